from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tenfold_serve.log_table import LogTable
from tenfold_serve.log_tail import LogTail


def append(folder: Path, *sizes: int) -> None:
    """One commit a size; rows are numbered through the table."""
    table = LogTable(folder)
    for size in sizes:
        found = table.newest(["n"], 1, order="n")
        start = 0 if found is None else found.column("n")[0].as_py() + 1
        table.append(pa.table({"n": list(range(start, start + size))}), {})


def numbers(rows: pa.Table | None) -> list[int]:
    return [] if rows is None else rows.column("n").to_pylist()


@hypothesis_settings(max_examples=10, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=5),
    looks=st.sets(st.integers(0, 5)),
    most=st.integers(0, 8),
)
def test_every_row_is_read_once_or_counted(
    tmp_path_factory: object, sizes: list[int], looks: set[int], most: int
) -> None:
    folder = tmp_path_factory.mktemp("tail") / "table"  # type: ignore[attr-defined]
    tail = LogTail(folder)
    read: list[int] = []
    n_dropped = 0
    for k, size in enumerate([*sizes, 0]):
        if k in looks or k == len(sizes):
            found = tail.take(most)
            read += numbers(found.rows)
            n_dropped += found.n_dropped
            assert len(numbers(found.rows)) == min(most, found.n_new)
        if size:
            append(folder, size)
    assert read == sorted(set(read))
    assert len(read) + n_dropped == sum(sizes)
    assert tail.at == len(sizes) - 1 and not tail.moved


def test_the_newest_commits_are_read_first(tmp_path: Path) -> None:
    append(tmp_path / "t", 3, 3, 3)
    tail = LogTail(tmp_path / "t", after=-1)
    found = tail.take(5)
    assert numbers(found.rows) == [3, 4, 6, 7, 8]
    assert (found.n_new, found.n_dropped) == (9, 4)


def test_it_starts_at_the_end_or_where_it_was(tmp_path: Path) -> None:
    append(tmp_path / "t", 2, 2)
    tail = LogTail(tmp_path / "t")
    assert tail.take(10).n_new == 0
    append(tmp_path / "t", 2)
    assert numbers(tail.take(10).rows) == [4, 5]
    assert numbers(LogTail(tmp_path / "t", after=0).take(10).rows) == [2, 3, 4, 5]


def test_a_compaction_brings_no_rows(tmp_path: Path) -> None:
    append(tmp_path / "t", 1, 1)
    tail = LogTail(tmp_path / "t", after=1)
    append(tmp_path / "t", 1, 1)
    LogTable(tmp_path / "t").compact(1 << 20)
    found = tail.take(10)
    assert numbers(found.rows) == [2, 3]
    assert found.n_new == 2
    assert tail.at == 4


def test_columns_that_came_later_are_null_before(tmp_path: Path) -> None:
    table = LogTable(tmp_path / "t")
    table.append(pa.table({"a": [1]}), {})
    table.append(pa.table({"a": [2], "b": ["x"]}), {})
    rows = LogTail(tmp_path / "t", after=-1).take(10).rows
    assert rows is not None
    assert rows.to_pylist() == [{"a": 1, "b": None}, {"a": 2, "b": "x"}]


def test_what_cannot_be_read_counts_as_dropped(tmp_path: Path) -> None:
    append(tmp_path / "t", 2, 2)
    for path in sorted((tmp_path / "t").glob("*.parquet"))[:1]:
        path.write_bytes(b"torn")
    found = LogTail(tmp_path / "t", after=-1).take(10)
    assert (found.n_new, found.n_dropped) == (4, 2)
    (tmp_path / "t" / "_delta_log" / f"{2:020d}.json").write_text("{torn")
    tail = LogTail(tmp_path / "t", after=1)
    assert tail.take(10).n_new == 0
    assert tail.at == 2


def test_a_log_that_was_cleaned_up_goes_on_with_what_is_there(tmp_path: Path) -> None:
    append(tmp_path / "t", 1, 1, 1)
    (tmp_path / "t" / "_delta_log" / f"{0:020d}.json").unlink()
    assert numbers(LogTail(tmp_path / "t", after=-1).take(10).rows) == [1, 2]


def test_entries_that_were_removed_while_it_slept_are_told_and_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    append(tmp_path / "t", 1, 1)
    tail = LogTail(tmp_path / "t", after=-1)
    assert tail.take(10).n_new == 2
    append(tmp_path / "t", 1, 1, 1)
    DeltaTable(str(tmp_path / "t")).create_checkpoint()
    (tmp_path / "t" / "_delta_log" / f"{2:020d}.json").unlink()
    assert numbers(tail.take(10).rows) == [3, 4]
    assert "the rows of 1 commits are not counted" in caplog.text
