"""Runs of files, chosen columns, flat tables."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.data.lake.runs import (
    MAX_STREAMS,
    RUN_BYTES,
    check_columns,
    check_flat,
    file_runs,
    flat,
    opened,
    sample_of,
)
from tenfold.errors import DataError


@given(sizes=st.lists(st.integers(0, 3 * RUN_BYTES), max_size=60))
def test_every_file_is_in_one_run_in_order_and_runs_are_bounded(sizes: list[int]) -> None:
    files = [(str(number), size) for number, size in enumerate(sizes)]
    runs = file_runs(files)
    assert [name for run in runs for name in run] == [name for name, _ in files]
    known = dict(files)
    for run in runs[:-1]:
        assert sum(known[name] for name in run) >= RUN_BYTES
    for run in runs:
        assert sum(known[name] for name in run[:-1]) < RUN_BYTES


def test_a_table_of_very_many_files_has_a_bounded_number_of_streams() -> None:
    runs = file_runs([(str(number), RUN_BYTES) for number in range(5 * MAX_STREAMS)])
    assert len(runs) <= MAX_STREAMS


def test_columns_that_are_not_there_are_named_with_the_nearest() -> None:
    assert check_columns([], ["a", "b"], source="s") == ["a", "b"]
    assert check_columns(["b"], ["a", "b"], source="s") == ["b"]
    with pytest.raises(DataError, match="'prices' is none; did you mean 'price'"):
        check_columns(["prices"], ["price", "id"], source="s")


def test_only_cells_pass_and_every_text_is_a_plain_string() -> None:
    schema = pa.schema([("a", pa.string_view()), ("b", pa.large_string()), ("c", pa.int8())])
    batch = pa.RecordBatch.from_pylist([{"a": "x", "b": None, "c": 1}], schema=schema)
    assert flat(batch, source="s").schema.types == [pa.string(), pa.string(), pa.int8()]
    for kind in (pa.list_(pa.int8()), pa.binary(), pa.time64("us"), pa.uuid()):
        with pytest.raises(DataError, match=r"column 'x' has type .*'columns'"):
            check_flat(pa.schema([("x", kind)]), source="s")


class Tables:
    """A stream of three tables, of which the third is not needed."""

    def batches(self) -> Iterator[pa.Table]:
        """Two of 900 rows."""
        yield pa.table({"a": range(900)})
        yield pa.table({"a": range(900)})
        raise AssertionError("the third table is not needed")


def test_a_sample_stops_reading_early() -> None:
    assert sample_of([Tables()], source="s", what="version 3 of it").num_rows == 1000
    with pytest.raises(DataError, match="source 's': version 3 of it has no rows; give at least"):
        sample_of([], source="s", what="version 3 of it")


def test_secrets_are_put_in_and_shown_by_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "k3y")
    values, hide = opened({"secret": "${env:KEY}", "region": "eu"})
    assert values == {"secret": "k3y", "region": "eu"}
    assert hide == {"k3y": "${env:KEY}"}
