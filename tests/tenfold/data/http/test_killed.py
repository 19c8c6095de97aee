"""SIGKILL in the middle of a pull: the next run has every record exactly once."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tenfold.data.drivers import InProcess
from tenfold.data.http import HttpPlace
from tenfold.data.pull import pull
from tenfold.progress import SILENT
from tenfold.project.sources import HttpSource
from tests.httpserver import Call, Reply, api
from tests.tenfold.data.http.killed_pull import FIELDS

SIZE = 5


def record(number: int) -> dict[str, Any]:
    return {"id": number, f"c{number // SIZE}": "x"}  # a new column, so a new file, on each page


@pytest.mark.parametrize(("n_before", "deadly"), [(0, 1), (0, 4), (12, 3)])
def test_every_record_is_there_once_after_a_kill(
    n_before: int, deadly: int, tmp_path: Path
) -> None:
    records = [record(n) for n in range(n_before)]
    reached, over = threading.Event(), threading.Event()
    armed = threading.Event()

    def respond(call: Call) -> Reply:
        kept = [one for one in records if one["id"] >= int(call.query.get("since", "0"))]
        start = (int(call.query["page"]) - 1) * SIZE
        if armed.is_set() and call.query["page"] == str(deadly):
            reached.set()
            over.wait()
        return Reply(kept[start : start + SIZE])

    with api(respond) as made:
        place = HttpPlace(HttpSource(**{**FIELDS, "url": made.url}))
        if n_before:
            pull(place, tmp_path, driver=InProcess(), progress=SILENT)
        records += [record(n) for n in range(n_before, n_before + 23)]
        armed.set()
        script = Path(__file__).with_name("killed_pull.py")
        with subprocess.Popen([sys.executable, script, made.url, tmp_path]) as child:
            assert reached.wait(60)
            child.kill()
        armed.clear()
        over.set()
        assert (tmp_path / "pulling.json").exists()
        stored = pull(place, tmp_path, driver=InProcess(), progress=SILENT)
    found = [row["id"] for shard in stored.shards() for row in shard.read().table.to_pylist()]
    assert found == [str(n) for n in range(n_before + 23)]
    assert not (tmp_path / "pulling.json").exists()
