"""What tests of both kinds of lake tables share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from tenfold.data.drivers import InProcess
from tenfold.data.pull import Pullable, pull
from tenfold.data.stored import StoredSource
from tenfold.progress import SILENT


def pulled(place: Pullable, folder: Path) -> StoredSource:
    return pull(place, folder, driver=InProcess(), progress=SILENT)


def rows(source: StoredSource, *, by: str = "id") -> list[dict[str, Any]]:
    table = pa.concat_tables([shard.read().table for shard in source.shards()])
    found: list[dict[str, Any]] = table.sort_by(by).to_pylist()
    return found
