"""Files of the logs are joined beside the commits: by levels, one table at a time, no row lost."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from hypothesis import given
from hypothesis import strategies as st

from tenfold.errors import StoreError
from tenfold_serve.compaction import Compactor, main, target_bytes
from tenfold_serve.log_end import entry_path, versions
from tenfold_serve.log_table import LogTable
from tests.tenfold_serve.test_log_table import rows, write

MIB = 1 << 20
RECORDS = """
import json, os, sys
with open(os.environ["TEST_RECORDS"], "a") as file:
    print(json.dumps(sys.argv[1:]), file=file)
sys.exit(int(os.environ.get("TEST_EXIT", "0")))
"""


def grown(folder: Path, *numbers: int) -> LogTable:
    """A table with these commits more."""
    table = LogTable(folder)
    for number in numbers:
        write(table, number, number)
    return table


def n_files(folder: Path) -> int:
    return len(DeltaTable(str(folder)).file_uris())


def values(folder: Path) -> list[int]:
    found = LogTable(folder).newest(["at", "x"], 10**6, order="at")
    assert found is not None
    return [int(text) for text in found.column("x").to_pylist()]


class Watched(Compactor):
    """A compactor whose child's end can be awaited; the child does not give way."""

    def __init__(self, output: Path, **others: Any) -> None:
        super().__init__(output, **{"lower": lambda _pid: None, **others})

    def until_ended(self, *folders: Path) -> None:
        assert self._child is not None
        self._child.wait(timeout=120)
        self.follow(folders)


class Recorded(Watched):
    """Its child writes down what it was asked for."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.records = folder / "records"
        monkeypatch.setenv("TEST_RECORDS", str(self.records))
        command = [sys.executable, "-c", RECORDS]
        super().__init__(folder / "log", commits_a_round=10, command=command)

    def asked(self) -> list[tuple[str, int]]:
        """Folders and MiB."""
        lines = self.records.read_text().splitlines() if self.records.exists() else []
        found = [json.loads(line) for line in lines]
        return [(Path(folder).name, int(size) // MIB) for folder, size in found]


def at_version(folder: Path, version: int) -> Path:
    """What a compactor looks at of a table; of another one, where it was further."""
    log = folder / "_delta_log"
    first = max(versions(log), default=version - 1) + 1
    if first > version + 1:
        shutil.rmtree(log)
        first = version
    log.mkdir(parents=True, exist_ok=True)
    for number in range(first, version + 1):
        entry_path(log, number).touch()
    return folder


@given(st.integers(1, 10_000), st.integers(0, 300))
def test_rounds_that_were_skipped_are_made_up_for(first: int, more: int) -> None:
    each = [target_bytes(number, number) for number in range(first, first + more + 1)]
    assert target_bytes(first, first + more) == max(each)


def test_a_child_joins_the_files_when_a_round_is_due(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    compactor = Watched(tmp_path / "keeper" / "log", commits_a_round=4)
    grown(folder, 1, 2, 3)
    compactor.follow([folder, tmp_path / "none"])
    assert not compactor.is_running
    grown(folder, 4)
    compactor.follow([folder])
    assert compactor.is_running
    compactor.until_ended(folder)
    assert not compactor.is_running
    assert n_files(folder) == 1
    grown(folder, 5)
    compactor.follow([folder])
    assert not compactor.is_running
    assert values(folder) == [1, 2, 3, 4, 5]


def test_the_round_before_a_start_is_done_again_and_no_earlier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compactor = Recorded(tmp_path, monkeypatch)
    folder = at_version(tmp_path / "t", 325)
    compactor.follow([folder])
    compactor.until_ended(folder)
    assert compactor.asked() == [("t", 16)]  # round 32
    at_version(folder, 339)
    compactor.follow([folder])
    compactor.until_ended(folder)
    assert compactor.asked()[1:] == [("t", 1)]


def test_another_table_in_its_place_starts_its_own_rounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compactor = Recorded(tmp_path, monkeypatch)
    folder = at_version(tmp_path / "t", 400)
    compactor.follow([folder])
    compactor.until_ended(folder)
    at_version(folder, 11)
    compactor.follow([folder])
    compactor.until_ended(folder)
    assert len(compactor.asked()) == 2


def test_tables_take_turns_while_all_of_them_grow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compactor = Recorded(tmp_path, monkeypatch)
    folders = [tmp_path / name for name in ("a", "b", "c")]
    for number in range(1, 13):
        for folder in folders:
            at_version(folder, 10 * number)
        compactor.follow(folders)
        assert compactor.is_running
        compactor.until_ended()
    asked = [name for name, _ in compactor.asked()]
    assert {asked.count(name) for name in "abc"} == {4}


def test_one_that_asks_less_often_has_its_turn_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compactor = Recorded(tmp_path, monkeypatch)
    quiet = at_version(tmp_path / "quiet", 9)
    busy = [tmp_path / "a", tmp_path / "b"]
    for number in range(1, 5):
        for folder in busy:
            at_version(folder, 50 * number)
        compactor.follow([*busy, quiet])
        compactor.until_ended()
    assert [name for name, _ in compactor.asked()].count("quiet") == 1


def test_rounds_that_passed_meanwhile_are_done_in_one_and_one_that_failed_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    compactor = Recorded(tmp_path, monkeypatch)
    monkeypatch.setenv("TEST_EXIT", "3")
    folder = at_version(tmp_path / "t", 149)
    with caplog.at_level(logging.WARNING, logger="tenfold.serve"):
        compactor.follow([folder])
        at_version(folder, 179)  # rounds 16, 17 and 18
        compactor.until_ended(folder)
        compactor.until_ended(folder)
    assert caplog.text.count(f"small files of {folder} were not joined: exit 3") == 2
    assert not compactor.is_running  # it waits for the next round
    monkeypatch.setenv("TEST_EXIT", "0")
    at_version(folder, 189)
    compactor.follow([folder])
    compactor.until_ended(folder)
    assert compactor.asked() == [("t", 1), ("t", 16), ("t", 1)]


def test_entries_that_were_removed_start_nothing_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compactor = Recorded(tmp_path, monkeypatch)
    folder = at_version(tmp_path / "t", 30_020)
    at_version(folder, 30_029)
    compactor.follow([folder])
    compactor.until_ended(folder)
    for number in range(30_020, 30_029):  # as delta does with what a checkpoint has
        entry_path(folder / "_delta_log", number).unlink()
    compactor.follow([folder])
    assert not compactor.is_running
    assert len(compactor.asked()) == 1


def test_one_that_takes_too_long_is_ended_and_one_that_runs_ends_with_its_keeper(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    hangs = [sys.executable, "-c", "import threading; threading.Event().wait()"]
    folder = at_version(tmp_path / "t", 4)
    compactor = Watched(
        tmp_path / "log", commits_a_round=2, command=hangs, longest_s=10.0, clock=lambda: now[0]
    )
    compactor.follow([folder])
    first = compactor._child
    now[0] = 9.0
    compactor.follow([folder])
    assert first is not None and first.poll() is None
    now[0] = 11.0
    with caplog.at_level(logging.WARNING, logger="tenfold.serve"):
        compactor.follow([folder])
        compactor.until_ended(folder)
    assert not compactor.is_running
    assert f"{folder} were not joined: it took longer than 10 s and was ended" in caplog.text
    at_version(folder, 6)
    compactor.follow([folder])
    second = compactor._child
    compactor.stop()
    compactor.stop()
    assert not compactor.is_running
    assert second is not None and second.returncode == -9


def test_a_child_runs_where_a_core_is_idle(tmp_path: Path) -> None:
    hangs = [sys.executable, "-c", "import threading; threading.Event().wait()"]
    folder = at_version(tmp_path / "t", 100)
    compactor = Compactor(tmp_path / "log", command=hangs)
    if os.sched_getscheduler(0) == os.SCHED_IDLE:
        pytest.skip("these tests run in that class themselves")
    compactor.follow([folder])
    assert compactor._child is not None
    assert os.sched_getscheduler(compactor._child.pid) == os.SCHED_IDLE
    compactor.stop()


def test_commits_go_on_beside_it_and_no_row_is_lost(tmp_path: Path) -> None:
    table = grown(tmp_path / "t", *range(1, 21))

    over = threading.Event()

    def compact_again_and_again() -> None:
        try:
            for _ in range(4):
                LogTable(tmp_path / "t").compact(MIB)
        finally:
            over.set()

    thread = threading.Thread(target=compact_again_and_again)  # what it raises fails the test
    thread.start()
    n_rows = 20
    while not over.wait(0.01):
        n_rows += 1
        write(table, n_rows, n_rows)
    thread.join()
    assert values(tmp_path / "t") == list(range(1, n_rows + 1))
    assert table.known_numbers({"a.1"}) == {"a.1": n_rows}
    assert n_files(tmp_path / "t") < n_rows - 20


def test_of_two_at_once_one_is_refused_and_no_row_is_doubled(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    grown(folder, *range(1, 41))
    command = [sys.executable, "-m", "tenfold_serve.compaction", str(folder), str(MIB)]
    for start in (41, 51, 61):
        children = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
        for child in children:
            _, said = child.communicate(timeout=120)
            assert child.returncode == 0 or "is being compacted by another process" in said
        assert values(folder) == list(range(1, start))
        grown(folder, *range(start, start + 10))
    table = LogTable(folder)
    with table._alone(), pytest.raises(StoreError, match="another process"):
        LogTable(folder).compact(MIB)
    table.compact(MIB)
    assert n_files(folder) == 1


def test_the_command_says_why_it_failed(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    table = grown(folder, 1, 2, 3)
    main([str(folder), str(MIB)])
    assert n_files(folder) == 1
    table.append(rows(9), {"a.1": 9})
    for path in folder.glob("*.parquet"):
        path.write_bytes(b"")
    with pytest.raises(SystemExit, match="could not be compacted"):
        main([str(folder), str(MIB)])
    assert n_files(folder) == 2


def test_what_a_killed_one_left_is_removed_by_a_high_level(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    grown(folder, 1, 2, 3)
    orphan = folder / "part-00000-00000000-0000-4000-8000-000000000000-c000.snappy.parquet"
    orphan.write_bytes(b"half of a file")
    os.utime(orphan, (1_000_000_000, 1_000_000_000))
    main([str(folder), str(MIB)])
    assert orphan.exists()
    main([str(folder), str(16 * MIB)])
    assert not orphan.exists()
    assert values(folder) == [1, 2, 3]
