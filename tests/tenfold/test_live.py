from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
from deltalake import write_deltalake
from hypothesis import given
from hypothesis import strategies as st

from tenfold.live import LABEL, join_labels, labeled_rows, log_tables

START = datetime(2026, 1, 1, tzinfo=UTC)
TIME = pa.timestamp("us", tz="UTC")


def moments(seconds: list[int]) -> pa.Array:
    return pa.array([START + timedelta(seconds=s) for s in seconds], TIME)


def predictions(ids: list[str], at: list[int]) -> pa.Table:
    return pa.table({"__id": ids, "__at": moments(at), "x": [float(len(i)) for i in ids]})


def labels(rows: list[tuple[str, str, int]]) -> pa.Table:
    ids, texts, at = ([row[n] for row in rows] for n in range(3))
    return pa.table({"id": ids, "label": texts, "received_at": moments(at)})


def test_nothing_logged_is_an_empty_table(tmp_path: Path) -> None:
    assert labeled_rows(tmp_path, "adult").num_rows == 0


def test_logs_are_read_from_where_they_are_written(tmp_path: Path) -> None:
    one, two = log_tables(tmp_path, "adult")
    write_deltalake(str(one), predictions(["a", "bb"], [5, 3]))
    assert labeled_rows(tmp_path, "adult").num_rows == 0
    write_deltalake(str(two), labels([("a", "yes", 9), ("bb", "no", 9)]))
    joined = labeled_rows(tmp_path, "adult")
    assert joined.select(["__id", LABEL]).to_pylist() == [
        {"__id": "bb", LABEL: "no"},
        {"__id": "a", LABEL: "yes"},
    ]


@given(
    rows=st.lists(
        st.tuples(st.sampled_from("abcz"), st.sampled_from(["yes", "no"]), st.integers(0, 99)),
        max_size=12,
        unique_by=lambda row: row[2],
    ),
    order=st.randoms(use_true_random=False),
)
def test_the_order_of_arrival_in_the_table_does_not_count(
    rows: list[tuple[str, str, int]], order: object
) -> None:
    made = predictions(["a", "b", "c", "b"], [1, 2, 3, 4])
    shuffled = list(rows)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    one, two = join_labels(made, labels(rows)), join_labels(made, labels(shuffled))
    assert one.equals(two)
    assert one.num_rows == len({row[0] for row in rows} & set("abc"))
    truth = {name: text for name, text, _ in sorted(rows, key=lambda row: row[2])}
    assert [truth[row["__id"]] for row in one.to_pylist()] == one[LABEL].to_pylist()
