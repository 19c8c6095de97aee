"""Scans merge exactly."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.data.scan import MAX_VALUES, TableScan, scan_table
from tenfold.data.text import to_text
from tenfold.errors import DataError

CELLS = st.lists(
    st.sampled_from(["1", "2.5", " x", "?", " ?", "", "1,234", "true", "2014-09-16", "007"]),
    min_size=1,
)


def _facts(scan: TableScan) -> list[object]:
    column = scan.columns[0]
    return [
        column.n_rows,
        column.n_missing,
        column.n_numbers,
        column.n_integers,
        column.n_codes,
        column.n_booleans,
        column.n_datetimes,
        column.n_words,
        column.n_padded,
        column.n_dressed,
        dict(column.markers),
        column.minimum,
        column.maximum,
        column.earliest,
        column.latest,
        column.n_distinct,
        column.is_exact,
        column.most_frequent(),
        column.value_counts(),
        column.sketch.tolist(),
    ]


@given(CELLS, st.randoms(), st.integers(1, 5))
def test_any_cut_and_order_of_the_same_rows_gives_the_same_scan(cells, random, n_parts) -> None:  # type: ignore[no-untyped-def]
    whole = scan_table(pa.table({"a": cells}))
    shuffled = list(cells)
    random.shuffle(shuffled)
    parts = [shuffled[i::n_parts] for i in range(n_parts)]
    scans = [scan_table(pa.table({"a": pa.array(part, pa.string())})) for part in parts]
    random.shuffle(scans)
    assert _facts(TableScan.merge_all(scans)) == _facts(whole)


@given(CELLS)
def test_a_scan_survives_its_bytes(cells: list[str]) -> None:
    scan = scan_table(pa.table({"a": cells, "b": cells}))
    back = TableScan.from_bytes(scan.to_bytes())
    assert back.names == scan.names
    assert _facts(back) == _facts(scan)
    assert back.columns[1].types == {"text"}


def test_too_many_values_are_estimated_within_their_error() -> None:
    n_values = MAX_VALUES + 10_000
    texts = pa.array([f"v{i}" for i in range(n_values)])
    scan = scan_table(pa.table({"a": texts})).columns[0]
    assert scan.value_counts() is None
    assert scan.n_distinct == pytest.approx(n_values, rel=0.05)
    half = scan_table(pa.table({"a": texts[: n_values // 2]}))
    rest = scan_table(pa.table({"a": texts[n_values // 4 :]}))
    merged = half.merge(rest).columns[0]
    assert merged.value_counts() is None
    assert np.array_equal(merged.sketch, scan.sketch)


def test_typed_columns_say_what_they_are() -> None:
    table = pa.table(
        {
            "i": [1, 2],
            "f": [1.0, float("nan")],
            "b": [True, None],
            "n": pa.nulls(2),
            "t": pa.array([0, 10**6], pa.timestamp("us")),
        }
    )
    scans = dict(zip(table.column_names, scan_table(table).columns, strict=True))
    assert {name: set(scan.types) for name, scan in scans.items()} == {
        "i": {"integer"},
        "f": {"number"},
        "b": {"boolean"},
        "n": {"text"},
        "t": {"datetime"},
    }
    assert scans["f"].n_missing == 1
    assert scans["t"].latest == 1.0
    assert scans["n"].n_values == 0


FLOATS = st.lists(
    st.none()
    | st.sampled_from([0.0, -0.0, 1.0, 3.0, 2.5, 1e15, 2.0**53, 1e16, 1e300, 5e-324])
    | st.floats(),
    min_size=1,
)


@given(FLOATS, st.integers(1, 4), st.sampled_from([pa.float64(), pa.float32()]))
def test_a_column_of_floats_is_scanned_as_its_texts_would_be(
    cells: list[float | None], n_parts: int, kind: pa.DataType
) -> None:
    column = pa.array(cells, pa.float64()).cast(kind, safe=False)
    known = [None if v is None or math.isnan(v) else v + 0.0 for v in column.to_pylist()]
    texts = to_text(pa.array(known, pa.float64()))
    scans = [scan_table(pa.table({"a": column[part::n_parts]})) for part in range(n_parts)]
    floats = TableScan.from_bytes(TableScan.merge_all(scans).to_bytes())
    wanted = scan_table(pa.table({"a": texts}))
    found, as_text = floats.columns[0], wanted.columns[0]
    assert (found.minimum, found.maximum) == (as_text.minimum, as_text.maximum)
    assert _facts(floats)[:-1] == _facts(wanted)[:-1]
    mixed = floats.merge(wanted).columns[0].value_counts()
    assert mixed == {value: 2 * n for value, n in (as_text.value_counts() or {}).items()}


def test_many_floats_are_estimated_within_their_error() -> None:
    values = np.random.default_rng(3).normal(size=MAX_VALUES + 10_000)
    whole = scan_table(pa.table({"a": values})).columns[0]
    assert whole.value_counts() is None
    assert whole.n_distinct == pytest.approx(len(values), rel=0.05)
    parts = [scan_table(pa.table({"a": values[part::3]})) for part in range(3)]
    merged = TableScan.merge_all(parts).columns[0]
    assert np.array_equal(merged.sketch, whole.sketch)


def test_the_most_frequent_value_is_known_while_values_are_counted() -> None:
    def most(*cells: object) -> tuple[str, int] | None:
        return scan_table(pa.table({"a": pa.array(cells)})).columns[0].most_frequent()

    assert most("b", "a", "b", "a", "c", "?") == ("a", 2)
    assert most(999.0, 2.5, 999.0, None) == ("999", 2)
    assert most("a", "b") is None and most("?", None) is None
    ids = [f"id {i}" for i in range(MAX_VALUES + 1)]
    many = scan_table(pa.table({"a": [*ids, "id 0"]})).columns[0]
    assert many.most_frequent() is None and not many.is_exact


def test_nested_columns_are_refused_by_name() -> None:
    with pytest.raises(DataError, match=r"column 'a' has type list<.*flatten it"):
        scan_table(pa.table({"a": [[1]]}))


def test_files_of_other_columns_are_refused() -> None:
    one, other = scan_table(pa.table({"a": ["1"]})), scan_table(pa.table({"b": ["1"]}))
    with pytest.raises(DataError, match=r"found \['a'\] and \['b'\]"):
        one.merge(other)


def test_what_cleaning_will_pass_over_is_counted_by_its_form() -> None:
    cells = [" x", "y", " ?", "  ?", "?", " ", "", None, "NA"]
    column = scan_table(pa.table({"a": cells})).columns[0]
    assert dict(column.markers) == {"": 1, " ": 1, " ?": 2, "?": 1, "NA": 1}
    assert (column.n_padded, column.n_missing) == (1, 7)
    numbers = scan_table(pa.table({"a": ["1,234", "5", " 6", "1e3", "+7"]})).columns[0]
    assert (numbers.n_numbers, numbers.n_dressed, numbers.n_padded) == (5, 1, 1)
    typed = scan_table(pa.table({"a": pa.array([1234, None])})).columns[0]
    assert (typed.n_dressed, typed.n_padded, dict(typed.markers)) == (0, 0, {})
