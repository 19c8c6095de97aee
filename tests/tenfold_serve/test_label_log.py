from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from concurrent.futures import Future, wait
from pathlib import Path

import orjson
import pytest

from tenfold.errors import StoreError
from tenfold_serve.label_log import LabelLog, _Append
from tenfold_serve.spool import read_frames, recover_journals, segments


def kept(folder: Path) -> list[dict[str, object]]:
    found = [s.path.read_bytes() for s in segments(folder, "labels")]
    found += [path.read_bytes() for path in sorted(folder.glob("*.open"))]
    return [orjson.loads(body) for data in found for body in read_frames(data).bodies]


def test_what_is_acknowledged_is_in_the_journal(tmp_path: Path) -> None:
    log = LabelLog(tmp_path / "spool", app="a.1")
    for number in range(5):
        log.append([{"id": number}, {"id": -number}]).result(timeout=5)
        assert {"id": number} in kept(tmp_path / "spool")
    log.close()
    assert len(kept(tmp_path / "spool")) == 10
    assert not list((tmp_path / "spool").glob("*.open"))


def test_many_appends_share_syncs_and_keep_their_order(tmp_path: Path) -> None:
    log = LabelLog(tmp_path, app="a.1")
    futures = [log.append([{"id": number}]) for number in range(500)]
    wait(futures, timeout=20)
    log.close()
    assert [record["id"] for record in kept(tmp_path)] == list(range(500))


def test_cancelled_appends_do_not_end_the_writer(tmp_path: Path) -> None:
    log = LabelLog(tmp_path, app="a.1")
    asked = [log.append([{"id": number}]) for number in range(200)]
    newest_first = reversed([*enumerate(asked)])  # which the writer has hardly begun
    cancelled = {number for number, future in newest_first if future.cancel()}
    log.append([{"id": 200}]).result(timeout=10)
    log.close()
    assert cancelled
    assert {record["id"] for record in kept(tmp_path)} == set(range(201)) - cancelled


def test_an_unforeseen_failure_fails_its_appends_and_not_the_writer(tmp_path: Path) -> None:
    log = LabelLog(tmp_path, app="a.1")
    log.append([{"id": 1}]).result(timeout=5)
    log._queue.put(_Append(object(), broken := Future()))  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="the labels could not be kept"):
        broken.result(timeout=5)
    log.append([{"id": 3}]).result(timeout=5)
    log.close()
    assert [record["id"] for record in kept(tmp_path)] == [1, 3]


def test_a_killed_writer_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from tenfold_serve.label_log import LabelLog\n"
        "log = LabelLog(Path(sys.argv[1]), app='a.1')\n"
        "for n in range(10**6):\n"
        "    log.append([{'id': n}]).result(); print(n, flush=True)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(50)]
        os.kill(process.pid, signal.SIGKILL)
        lines += process.stdout.read().splitlines()
    acknowledged = {int(line) for line in lines if line.strip()}
    recover_journals(tmp_path)
    assert not list(tmp_path.glob("*.open"))
    assert acknowledged <= {record["id"] for record in kept(tmp_path)}
    assert len(acknowledged) >= 50


def test_a_full_disk_refuses_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    log = LabelLog(tmp_path, app="a.1")
    log.append([{"id": 1}]).result(timeout=5)
    # A file size limit is the full disk that an ordinary user can make: write() fails midway.
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, before[1]))
    try:
        with pytest.raises(StoreError, match="labels could not be kept"):
            log.append([{"id": 2, "source": "x" * 500}]).result(timeout=5)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    log.append([{"id": 3}]).result(timeout=5)
    log.close()
    assert [record["id"] for record in kept(tmp_path)] == [1, 3]


def test_a_folder_that_cannot_be_made_refuses(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    log = LabelLog(tmp_path / "file" / "spool", app="a.1")
    with pytest.raises(StoreError, match="Not a directory"):
        log.append([{"id": 1}]).result(timeout=5)
    log.close()
