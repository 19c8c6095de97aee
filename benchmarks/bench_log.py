"""What a commit of the prediction log costs as its table grows, beside delta-rs's own append.

``make bench-log``; about two minutes. Each contestant appends the same batches, a second of an
endpoint at 2,400 requests/s each, in a process of its own, on one core, and nobody joins the small
files. Then each appends to a table in which 20,000 small files were joined before and are still
named, as after five and a half hours of a commit a second.

- ``kept``: ``write_deltalake`` with the table kept open, as one who cares about speed has it.
- ``path``: ``write_deltalake`` with the table's path, as its documentation shows.

CPU, not time: what a commit takes from those who answer. Its sync is in ours only; the others do
none. Ours pauses in an endpoint, here it does not.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from _form import Form
from tenfold_serve.log_end import add_action, append_entry, put_entry
from tenfold_serve.log_table import LogTable
from tenfold_serve.prediction_log import META_FIELDS, features_as_text
from tenfold_serve.process import tables_on_one_core

WHO = ("tenfold", "kept", "path")
_ROWS = 2_400
_NUMBERS = 20
_COMMITS = 500
_AT_ONCE = 50
_JOINED = 20_000
_JOINED_AT_ONCE = 100


def batch(seed: int) -> pa.Table:
    """A second of answers: meta columns, and 20 numbers as text."""
    rng = np.random.default_rng(seed)
    at = np.arange(_ROWS) + 1_700_000_000_000_000 + seed * 1_000_000
    meta: dict[str, Any] = {
        "__id": [f"{seed:08x}{k:041x}" for k in range(_ROWS)],
        "__at": pa.array(at).view(META_FIELDS[1].type),
        "__version": pa.repeat(pa.scalar(1, pa.int32()), _ROWS),
        "__digest": pa.repeat(pa.scalar("d" * 64), _ROWS),
        "__arm": pa.repeat(pa.scalar("champion"), _ROWS),
        "__replica": pa.repeat(pa.scalar("replica"), _ROWS),
        "__value": pa.array(rng.choice(["no", "yes"], _ROWS)),
        "__scores": pa.array(rng.random((_ROWS, 2)).tolist()),
    }
    numbers = {f"x{k}": rng.normal(size=_ROWS) for k in range(_NUMBERS)}
    return features_as_text(pa.table({**meta, **numbers}))


def appender(who: str, folder: Path) -> Callable[[pa.Table, int], None]:
    """Appends a batch with its number."""
    from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

    if who == "tenfold":
        ours = LogTable(folder)
        return lambda rows, number: ours.append(rows, {"bench.1": number}, breathe=lambda: None)
    kept: list[DeltaTable] = []

    def append(rows: pa.Table, number: int) -> None:
        if who == "kept" and not kept and DeltaTable.is_deltatable(str(folder)):
            kept.append(DeltaTable(str(folder)))
        write_deltalake(
            kept[0] if kept else str(folder),
            rows,
            mode="append",
            schema_mode="merge",
            commit_properties=CommitProperties(app_transactions=[Transaction("bench.1", number)]),
        )

    return append


def costs(append: Callable[[pa.Table, int], None], numbers: range) -> Iterator[float]:
    """Milliseconds of CPU of each append."""
    batches = [batch(seed) for seed in range(8)]
    for number in numbers:
        began = time.process_time()
        append(batches[number % len(batches)], number)
        yield 1e3 * (time.process_time() - began)


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def old_table(folder: Path) -> None:
    """A table in whose log 20,000 small files were joined, a hundred at a time."""
    from deltalake import DeltaTable

    rows = batch(0).slice(0, 1)
    LogTable(folder).append(rows, {"bench.1": 0})
    (data,) = folder.glob("*.parquet")
    added = add_action(data, rows)["add"]
    log, version = folder / "_delta_log", 0
    now_ms = time.time_ns() // 1_000_000
    for first in range(0, _JOINED, _JOINED_AT_ONCE):
        names = [f"part-{first + k:08d}.parquet" for k in range(_JOINED_AT_ONCE)]
        gone = {"deletionTimestamp": now_ms, "dataChange": False, "size": added["size"]}
        joined = {"add": {**added, "path": f"joined-{first:08d}.parquet", "dataChange": False}}
        removed = [{"remove": {"path": name, **gone}} for name in names]
        put_entry(
            log, version + 1, append_entry([{"add": {**added, "path": n}} for n in names], {})
        )
        put_entry(log, version + 2, b"\n".join(map(orjson.dumps, [*removed, joined])))
        version += 2
    DeltaTable(str(folder)).create_checkpoint()


def contestant(who: str) -> dict[str, float]:
    """All figures of one, in this process."""
    tables_on_one_core()
    with tempfile.TemporaryDirectory() as name:
        append = appender(who, Path(name) / "grows")
        found = costs(append, range(_COMMITS))
        first = [next(found) for _ in range(_AT_ONCE)][_AT_ONCE // 2 :]  # what is loaded is loaded
        before = resident_mb()
        rest = list(found)
        grown = resident_mb() - before
        old_table(Path(name) / "old")
        old = list(costs(appender(who, Path(name) / "old"), range(1, 11)))[2:]
        return {
            "first_ms": statistics.median(first),
            "last_ms": statistics.median(rest[-_AT_ONCE:]),
            "old_ms": statistics.median(old),
            "grown_mb": grown,
        }


def main() -> None:
    """Measure and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--who", choices=WHO, help="one contestant, as JSON")
    asked = parser.parse_args()
    if asked.who:
        sys.stdout.write(json.dumps(contestant(asked.who)))
        return
    form = Form("log")
    found: dict[str, dict[str, float]] = {}
    for who in WHO:
        command = [sys.executable, __file__, "--who", who]
        found[who] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        for key, value in found[who].items():
            form.add(f"{who}.{key}", value)
    for who in WHO[1:]:
        for key in ("first_ms", "last_ms", "old_ms"):
            form.add(f"{who}.{key}_ratio", found[who][key] / found["tenfold"][key])
    form.table(
        f"CPU of a commit of {_ROWS} rows, ms",
        [
            "who",
            "of commits 26 to 50",
            f"after {_COMMITS}",
            f"after {_JOINED} joined",
            "grown by, MB",
        ],
        [[who, *(f"{value:.1f}" for value in found[who].values())] for who in WHO],
    )
    form.finish(libraries=["deltalake", "pyarrow"])


if __name__ == "__main__":
    main()
