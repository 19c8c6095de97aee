"""``tenfold prepare`` where the disk takes no more: one message, nothing half-written, no loss."""

from __future__ import annotations

import json
import resource
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.command import tenfold_json

N_ROWS = 6000
LEAST_BYTES = 60_000
"""Below every file of rows that these tables give, above the lock and the manifests."""


def write_tables(folder: Path) -> None:
    rng = np.random.default_rng(0)
    x = np.round(rng.normal(size=N_ROWS), 6)
    y = np.where(x + rng.normal(size=N_ROWS) > 0, "yes", "no")
    rows = [(number, a, b) for number, (a, b) in enumerate(zip(x.tolist(), y, strict=True))]
    lines = ["id,x,y", *(f"{number},{a},{b}" for number, a, b in rows)]
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    with sqlite3.connect(folder / "shop.db") as database:
        database.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, x REAL, y TEXT)")
        database.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
    database.close()


def take_little() -> None:
    """The kernel refuses a write behind the bound as a full disk does, without a signal."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LEAST_BYTES, LEAST_BYTES))


def prepare_in_little(project: Path, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tenfold_jobs", "prepare", str(project), "--json"],
        capture_output=True,
        text=True,
        env={"TENFOLD_HOME": str(home), "PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path)},
        timeout=120,
        preexec_fn=take_little,
    )


@pytest.mark.parametrize(
    ("source", "where"),
    [("{path: table.csv}", "snapshots"), ("{type: sql, url: 'sqlite:///DB', table: t}", "pulls")],
)
def test_a_disk_that_refuses_is_one_message_and_the_next_run_completes(
    source: str, where: str, tmp_path: Path
) -> None:
    write_tables(tmp_path)
    project, home = tmp_path / "project.yaml", tmp_path / "home"
    named = source.replace("DB", str(tmp_path / "shop.db"))
    project.write_text(
        f"name: t\nproblem: {{task: binary, target: y}}\ndata: {{sources: [{named}], key: id}}\n"
    )
    refused = prepare_in_little(project, home)
    assert refused.returncode == 1, refused.stderr
    error = json.loads(refused.stdout)["error"]
    assert (error["kind"], error["exit_code"]) == ("StoreError", 1)
    assert error["message"].startswith(str(home / "store" / where))
    assert error["message"].endswith(" could not be written: File too large")
    assert refused.stderr == f"error: {error['message']}\n"
    left = [path for path in (home / "store").rglob("*") if path.is_file()]
    written = {path.name: json.loads(path.read_bytes()) for path in left if path.stat().st_size}
    assert set(written) <= {"pulling.json"}  # what a pull goes on from, whole

    record = tenfold_json("prepare", str(project), home=home)
    whole = tenfold_json("prepare", str(project), home=tmp_path / "other")
    assert record["rows"] == N_ROWS
    for digest in ("snapshot", "folds_digest"):
        assert record[digest] == whole[digest]
