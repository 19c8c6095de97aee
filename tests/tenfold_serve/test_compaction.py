"""Files of the logs are joined beside the commits: by levels, one table at a time, no row lost."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from deltalake import DeltaTable
from hypothesis import given
from hypothesis import strategies as st

from tenfold_serve.compaction import Compactor, main, target_bytes
from tenfold_serve.log_table import LogTable
from tests.tenfold_serve.test_log_table import rows, write

MIB = 1 << 20


def await_true(found: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def written(folder: Path, n_commits: int) -> LogTable:
    table = LogTable(folder)
    for number in range(1, n_commits + 1):
        write(table, number, number)
    return table


def n_files(table: LogTable) -> int:
    return len(DeltaTable(str(table.folder)).file_uris())


def values(table: LogTable) -> list[int]:
    found = LogTable(table.folder).newest(["at", "x"], 10**6, order="at")
    assert found is not None
    return [int(text) for text in found.column("x").to_pylist()]


def ended(compactor: Compactor, *tables: LogTable) -> Callable[[], bool]:
    def look() -> bool:
        compactor.follow(tables)
        return not compactor.is_running

    return look


@given(st.integers(1, 10_000), st.integers(0, 300))
def test_rounds_that_were_skipped_are_made_up_for(first: int, more: int) -> None:
    each = [target_bytes(number, number) for number in range(first, first + more + 1)]
    assert target_bytes(first, first + more) == max(each)


def test_a_row_is_written_again_a_few_times() -> None:
    """Two months of one commit a second, of 500 bytes each. The last file of a level is not full,
    and joined again with the next."""
    last = [0.0, 0.0, 0.0]
    sizes = [MIB, 16 * MIB, 128 * MIB]
    again = 0.0
    n_rounds = 60 * 24 * 36
    for number in range(1, n_rounds + 1):
        level = sizes.index(target_bytes(number, number))
        joined = 100 * 500 + sum(last[: level + 1])
        again += joined
        last[: level + 1] = [0.0] * (level + 1)
        last[level] = joined % sizes[level]
    assert again / (n_rounds * 100 * 500) < 30


def test_a_child_joins_the_files_when_a_round_is_due(tmp_path: Path) -> None:
    table = written(tmp_path / "t", 4)
    compactor = Compactor(tmp_path / "keeper" / "log", commits_a_round=4)
    compactor.follow([table, LogTable(tmp_path / "none")])
    assert not compactor.is_running  # four commits are the versions 0 to 3
    write(table, 5, 5)
    compactor.follow([table])
    assert compactor.is_running
    await_true(ended(compactor, table))
    assert n_files(table) == 1
    write(table, 6, 6)
    compactor.follow([table])
    assert not compactor.is_running
    assert values(table) == [1, 2, 3, 4, 5, 6]


def test_rounds_go_on_where_an_earlier_keeper_stopped(tmp_path: Path) -> None:
    written(tmp_path / "t", 9)
    table = LogTable(tmp_path / "t")
    compactor = Compactor(tmp_path / "log", commits_a_round=4)
    compactor.follow([table])
    assert not compactor.is_running  # it has not been looked at
    table.known_numbers({"a.1"})
    compactor.follow([table])
    await_true(ended(compactor, table))
    assert n_files(table) == 1


def test_commits_go_on_beside_it_and_no_row_is_lost(tmp_path: Path) -> None:
    table = written(tmp_path / "t", 20)
    stop = threading.Event()

    def compact_again_and_again() -> None:
        while not stop.is_set():
            LogTable(tmp_path / "t").compact(MIB)

    thread = threading.Thread(target=compact_again_and_again)
    thread.start()
    for number in range(21, 121):
        write(table, number, number)
    stop.set()
    thread.join()
    assert values(table) == list(range(1, 121))
    assert table.known_numbers({"a.1"}) == {"a.1": 120}
    assert n_files(table) < 60


def test_one_table_at_a_time_in_turn(tmp_path: Path) -> None:
    tables = [written(tmp_path / name, 3) for name in ("a", "b")]
    compactor = Compactor(tmp_path / "log", commits_a_round=2)
    compactor.follow(tables)
    await_true(lambda: n_files(tables[0]) == 1)
    assert n_files(tables[1]) == 3
    await_true(lambda: (compactor.follow(tables), n_files(tables[1]) == 1)[1])
    await_true(ended(compactor, *tables))


def test_one_that_fails_is_told_and_the_next_round_tries_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = written(tmp_path / "t", 3)
    broken = (
        tmp_path / "t" / next(iter(DeltaTable(str(tmp_path / "t")).file_uris())).rsplit("/")[-1]
    )
    body = broken.read_bytes()
    broken.write_bytes(b"no parquet")
    compactor = Compactor(tmp_path / "log", commits_a_round=2)
    with caplog.at_level(logging.WARNING, logger="tenfold.serve"):
        compactor.follow([table])
        await_true(ended(compactor, table))
    assert "files of a log were not joined (exit 1)" in caplog.text
    assert "could not be compacted" in caplog.text
    broken.write_bytes(body)
    compactor.follow([table])
    assert not compactor.is_running
    for number in (4, 5):
        write(table, number, number)
    compactor.follow([table])
    await_true(ended(compactor, table))
    assert n_files(table) == 1
    assert values(table) == [1, 2, 3, 4, 5]


def test_one_that_hangs_is_ended_and_one_that_runs_ends_with_its_keeper(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    pid_file = tmp_path / "pid"
    hangs = [
        sys.executable, "-c",
        f"import os, time, pathlib; pathlib.Path({str(pid_file)!r}).write_text(str(os.getpid())); "
        "time.sleep(600)",
    ]  # fmt: skip
    table = written(tmp_path / "t", 3)
    compactor = Compactor(
        tmp_path / "log", commits_a_round=2, command=hangs, longest_s=10.0, clock=lambda: now[0]
    )

    def pid() -> int:
        await_true(lambda: pid_file.is_file() and pid_file.read_text())
        found = int(pid_file.read_text())
        pid_file.unlink()
        return found

    compactor.follow([table])
    first = pid()
    if hasattr(os, "SCHED_IDLE"):
        assert os.sched_getscheduler(first) == os.SCHED_IDLE
    now[0] = 9.0
    compactor.follow([table])
    assert compactor.is_running
    now[0] = 11.0
    with caplog.at_level(logging.WARNING, logger="tenfold.serve"):
        compactor.follow([table])
    assert not compactor.is_running and "took longer than 10 s" in caplog.text
    for number in (4, 5):
        write(table, number, number)
    compactor.follow([table])
    second = pid()
    compactor.stop()
    compactor.stop()
    assert not compactor.is_running
    for one in (first, second):
        with pytest.raises(ProcessLookupError):
            os.kill(one, 0)


def test_the_command_says_why_it_failed(tmp_path: Path) -> None:
    table = written(tmp_path / "t", 3)
    main([str(table.folder), str(MIB)])
    assert n_files(table) == 1
    table.append(rows(9), {"a.1": 9})
    for path in table.folder.glob("*.parquet"):
        path.write_bytes(b"")
    with pytest.raises(SystemExit, match="could not be compacted"):
        main([str(table.folder), str(MIB)])
    assert n_files(table) == 2
