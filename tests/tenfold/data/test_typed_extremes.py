"""Typed columns at the ends of what their types hold go through the whole preparation."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.data import prepare
from tenfold.data.stamps import FIRST_US, LAST_US, typed_micros
from tenfold.data.text import to_text
from tenfold.settings import Settings

N_ROWS = 60


def hostile() -> pa.Table:
    """One odd value a column, in different rows."""
    seconds = [86_400 * n for n in range(N_ROWS)]
    return pa.table({
        "big": pa.array([2**60 + 7 * n for n in range(N_ROWS)], pa.int64()),
        "huge": pa.array([2**64 - 1 - n for n in range(N_ROWS)], pa.uint64()),
        "half": pa.array(np.linspace(0, 1, N_ROWS, dtype=np.float16)),
        "money": pa.array([Decimal(n) / 4 for n in range(N_ROWS)], pa.decimal128(20, 2)),
        "s": pa.array([2**60, *seconds[1:]], pa.timestamp("s")),
        "ms": pa.array([seconds[0], -(2**62), *seconds[2:]], pa.timestamp("ms", tz="UTC")),
        "day": pa.array([0, 1, 2**31 - 1, *range(3, N_ROWS)], pa.int32()).cast(pa.date32()),
        "x": pa.array([1e308, -1e308, float("inf"), float("nan"), *range(N_ROWS - 4)]),
        "y": ["no", "yes", "yes"] * 20,
    })  # fmt: skip


def test_a_table_of_extremes_is_prepared_and_what_is_no_date_is_told(
    tmp_path: Path, settings: Settings, make_project: Any
) -> None:
    table = hostile()  # Parquet has no seconds: it is an Arrow file
    with pa.ipc.new_file(tmp_path / "t.arrow", table.schema) as writer:
        writer.write_table(table)
    limits = {"big": {"kind": "integer", "minimum": 0}}
    project = make_project(
        tmp_path / "t.arrow",
        data={"columns": limits},
        prepare={"max_bad_fraction": 0.2},
        train={"folds": 3},
    )
    snapshot = prepare(project, settings=settings)
    told = {(row["column"], row["position"]) for row in snapshot.quarantine().to_pylist()}
    assert {("s", 1), ("ms", 2), ("day", 3), ("x", 3)} <= told
    assert snapshot.n_rows + snapshot.n_quarantined == N_ROWS
    kept = snapshot.table()["s"].to_pylist()
    assert min(kept).year == 1970
    assert max(kept).year == 1970


@given(
    st.sampled_from(["s", "ms", "us", "ns"]), st.lists(st.integers(-(2**63), 2**63 - 1), max_size=9)
)
def test_micros_are_exact_or_told(unit: str, raw: list[int]) -> None:
    micros, known, outside = typed_micros(pa.array(raw, pa.timestamp(unit)))
    for value, micro, inside, out in zip(raw, micros, known, outside, strict=True):
        exact = value * {"s": 10**6, "ms": 10**3, "us": 1}.get(unit, 1)
        exact = value // 1000 if unit == "ns" else exact
        assert inside == (FIRST_US <= exact <= LAST_US) == (not out)
        assert not inside or micro == exact


@pytest.mark.parametrize(
    ("array", "texts"),
    [
        (pa.array([date(2031, 1, 2), None]), ["2031-01-02", None]),
        (pa.array([datetime(2031, 1, 2, 3)]), ["2031-01-02T03:00:00.000000"]),
        (pa.array([2**60], pa.timestamp("s")), ["1152921504606846976 timestamp[s]"]),
    ],
)
def test_stamps_as_texts(array: pa.Array, texts: list[str | None]) -> None:
    assert to_text(array).to_pylist() == texts
