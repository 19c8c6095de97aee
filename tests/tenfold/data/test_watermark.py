from __future__ import annotations

from datetime import datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.canonical import canonical_json
from tenfold.data.watermark import Mark, advance, common_order, leave_out
from tenfold.errors import DataError


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3)), max_size=30), st.data())
def test_pulls_of_a_growing_table_have_every_row_once(
    rows: list[tuple[int, int]], data: st.DataObject
) -> None:
    """The table grows by rows whose watermark is not below what it held: each pull sees it all."""
    rows = [(w, i) for i, (w, _) in enumerate(sorted(rows))]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=4)))
    mark: Mark | None = None
    got: list[int] = []
    for cut in (*cuts, len(rows)):
        order = data.draw(st.permutations(rows[:cut]))
        table = pa.table({
            "w": pa.array([w for w, _ in order], pa.int64()),
            "x": pa.array([x for _, x in order], pa.int64()),
        })  # fmt: skip
        fresh = leave_out(table, "w", mark)
        got += fresh["x"].to_pylist()
        mark = advance(mark, fresh, "w")
    assert sorted(got) == list(range(len(rows)))


@pytest.mark.parametrize(
    ("values", "text", "order"),
    [
        ([1, 3, 2], "3", "number"),
        ([1.5, 2.5], "2.5", "number"),
        (["9", "10"], "10", "number"),
        (["2031-01-02T00:00:00Z", "2031-01-03"], "2031-01-03", "time"),
        ([datetime(2031, 1, 2), datetime(2030, 1, 1)], "2031-01-02T00:00:00.000000", "time"),
        (["b", "a10", "a9"], "b", "text"),
    ],
)
def test_the_largest_watermark_and_how_it_is_compared(
    values: list[Any], text: str, order: str
) -> None:
    mark = advance(None, pa.table({"w": values}), "w")
    assert mark is not None
    assert (mark.text, mark.order, len(mark.hashes)) == (text, order, 1)
    assert leave_out(pa.table({"w": values}), "w", mark).num_rows == 0


def test_a_mark_survives_json_and_any_cut_of_the_rows() -> None:
    import json
    from dataclasses import asdict

    table = pa.table({"w": [1, 3, 3, 2], "x": ["a", "b", "c", None]})
    mark = advance(None, table, "w")
    parts = advance(advance(None, table.slice(2), "w"), table.slice(0, 2), "w")
    assert mark == parts == Mark(**json.loads(canonical_json(asdict(mark))))  # type: ignore[arg-type]


def test_rows_without_a_watermark_come_with_the_first_pull_only() -> None:
    table = pa.table({"w": [None, 1], "x": ["a", "b"]})
    assert leave_out(table, "w", None).num_rows == 2
    assert leave_out(table, "w", advance(None, table, "w")).num_rows == 0
    assert advance(None, pa.table({"w": pa.nulls(2, pa.int64())}), "w") is None


@pytest.mark.parametrize(
    ("values", "best", "later"),
    [
        ([1.0, float("nan"), 2.0], "2", [float("nan"), 2.0, 3.0]),
        (["9", "", "10"], "10", ["", "10", "11"]),
        (["9", " NA", "10", "nan"], "10", ["?", "10", "11"]),
        (["2031-01-02", "", "2031-01-03"], "2031-01-03", ["-", "2031-01-03", "2031-01-04"]),
        (["a", "#N/A", "b"], "b", ["NULL", "b", "c"]),
    ],
)
def test_a_missing_value_however_it_is_written_is_no_watermark(
    values: list[Any], best: str, later: list[Any]
) -> None:
    first = pa.table({"w": values})
    mark = advance(None, leave_out(first, "w", None), "w")
    assert mark is not None
    assert mark.text == best
    fresh = leave_out(pa.table({"w": later}), "w", mark)
    assert fresh["w"].to_pylist() == later[2:]
    after = advance(mark, fresh, "w")
    assert after is not None
    assert (after.order, after.value > mark.value) == (mark.order, True)
    nothing = pa.table({"w": later[:1]})
    assert advance(after, nothing, "w") == after
    assert leave_out(nothing, "w", after).num_rows == 0


@pytest.mark.parametrize("mark_of", ["b", 3, datetime(2031, 1, 2)])
@pytest.mark.parametrize("nothing", [pa.nulls(2), pa.array(["", None]), pa.array([float("nan")])])
def test_rows_without_a_watermark_fit_any_kind(mark_of: Any, nothing: pa.Array) -> None:
    mark = advance(None, pa.table({"w": [mark_of]}), "w")
    assert mark is not None
    assert leave_out(pa.table({"w": nothing}), "w", mark).num_rows == 0
    assert advance(mark, pa.table({"w": nothing}), "w") == mark


def test_a_watermark_that_is_gone_or_changed_its_kind_is_told() -> None:
    mark = advance(None, pa.table({"w": [1]}), "w")
    with pytest.raises(DataError, match="'w' must be a column of the source, which has 'x'"):
        leave_out(pa.table({"x": [1]}), "w", mark)
    with pytest.raises(DataError, match="must stay a number, and is a text now"):
        leave_out(pa.table({"w": ["soon"]}), "w", mark)


@given(st.lists(st.lists(st.sampled_from(["9", "10", "a7", "2031-01-02", "", None])), max_size=5))
def test_blocks_of_texts_of_several_kinds_are_compared_as_texts(
    blocks: list[list[str | None]],
) -> None:
    """As one block would be, however the rows are cut, and a later block of digits fits."""
    tables = [pa.table({"w": pa.array(block, pa.string())}) for block in blocks]
    order = common_order(tables, "w")
    mark: Mark | None = None
    for table in tables:
        mark = advance(mark, table, "w", order=order)
    known = [text for block in blocks for text in block if text]
    whole = advance(None, pa.table({"w": pa.array(known, pa.string())}), "w")
    assert mark == whole
    if mark is not None and mark.order == "text":
        assert leave_out(pa.table({"w": ["0", "~"]}), "w", mark)["w"].to_pylist() == ["~"]


def test_declared_markers_are_no_watermarks() -> None:
    table = pa.table({"w": ["2031-01-02", "never", "2031-01-03"]})
    mark = advance(None, table, "w", markers=("never",))
    assert mark is not None and (mark.order, mark.text) == ("time", "2031-01-03")
    later = pa.table({"w": ["never", "2031-01-04"]})
    assert leave_out(later, "w", mark, markers=("never",)).num_rows == 1
