from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pyarrow as pa
from deltalake import write_deltalake
from hypothesis import given
from hypothesis import strategies as st

from tenfold.live import LABEL, join_labels, labeled_rows, log_tables
from tenfold.monitor import Label, LabelJoiner, Predicted, Predictions

START = datetime(2026, 1, 1, tzinfo=UTC)
TIME = pa.timestamp("us", tz="UTC")


def moments(seconds: list[int]) -> pa.Array:
    return pa.array([START + timedelta(seconds=s) for s in seconds], TIME)


def predictions(ids: list[str], at: list[int]) -> pa.Table:
    return pa.table({"__id": ids, "__at": moments(at), "x": [float(len(i)) for i in ids]})


def labels(rows: list[tuple[str, str, int]], *, source: str = "") -> pa.Table:
    """Labels by (id, label, when it was observed and received)."""
    ids, texts, at = ([row[n] for row in rows] for n in range(3))
    times = moments(at)
    return pa.table(
        {
            "id": ids,
            "label": texts,
            "observed_at": times,
            "received_at": times,
            "source": [source] * len(rows),
        }
    )


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


@given(
    said=st.lists(
        st.tuples(
            st.sampled_from("ab"), st.sampled_from(["yes", "no"]), st.integers(0, 9),
            st.sampled_from(["bank", "shop"]), st.integers(0, 9),
        ),
        min_size=1,
        max_size=10,
    ),
    order=st.randoms(use_true_random=False),
)  # fmt: skip
def test_training_takes_the_label_that_the_monitor_judged_by(
    said: list[tuple[str, str, int, str, int]], order: Random
) -> None:
    names = ("id", "label", "observed_at", "source", "received_at")
    columns = dict(zip(names, map(list, zip(*said, strict=True)), strict=True))
    columns |= {name: moments(columns[name]) for name in ("observed_at", "received_at")}
    joined = join_labels(predictions(["a", "b"], [0, 1]), pa.table(columns))
    start = START.timestamp()
    arrived = [
        Label(one, text, start + observed, source, start + received)
        for one, text, observed, source, received in said
    ]
    order.shuffle(arrived)
    joiner = LabelJoiner()
    joiner.predicted(Predictions.of(Predicted(one, 1, "yes", None, start) for one in "ab"))
    monitored = {label.id: joiner.label(label).value for label in arrived}
    assert {row["__id"]: row[LABEL] for row in joined.to_pylist()} == monitored
