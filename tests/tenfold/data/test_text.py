"""Text columns as values and codes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.data.text import (
    DEFAULT_MARKERS,
    code_and_note,
    code_text,
    code_typed,
    is_text,
    to_text,
    whole,
)


@given(st.lists(st.one_of(st.none(), st.sampled_from([" a", "a", "b ", "?", "", "NA", "ü"]))))
def test_coding_trims_marks_and_keeps_every_row(cells: list[str | None]) -> None:
    coded = code_text(pa.array(cells, pa.string()))
    expected = [
        None if cell is None or cell.strip() in DEFAULT_MARKERS else cell.strip() for cell in cells
    ]
    assert coded.array().to_pylist() == expected
    assert len(set(coded.values.to_pylist())) == len(coded.values)
    assert coded.weights().sum() == sum(cell is not None for cell in expected)


def test_blanks_and_markers_count_where_the_project_says_so() -> None:
    coded = code_text(pa.array([" a", "none"]), markers=("none",), trim=False)
    assert coded.array().to_pylist() == [" a", None]


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["x", "y", "x"]).dictionary_encode(),
        pa.chunked_array([["x"], ["y", "x"]]),
        pa.array(["x", "y", "x"], pa.large_string()),
    ],
    ids=["dictionary", "chunked", "large"],
)
def test_every_text_layout_is_read(column: pa.Array) -> None:
    assert is_text(column.type)
    assert code_text(column).array().to_pylist() == ["x", "y", "x"]


@pytest.mark.parametrize(
    "texts",
    [["x", "y"], ["y", "x"], ["x", "y", "unused"], ["x", "y", "x"], ["x", "y", None], [" y", "x"]],
    ids=["as met", "another order", "one too many", "twice", "null", "padded"],
)
def test_a_dictionary_of_any_kind_is_its_texts(texts: list[str | None]) -> None:
    places = pa.array([0, 1, None, *range(len(texts) - (texts[-1] == "unused"))], pa.int32())
    column = pa.DictionaryArray.from_arrays(places, pa.array(texts))
    plain = column.cast(pa.string())
    coded, noted = code_and_note(column)
    expected, expected_noted = code_and_note(plain)
    assert coded.array().to_pylist() == expected.array().to_pylist()
    assert sorted(coded.values.to_pylist()) == sorted(expected.values.to_pylist())
    assert noted == expected_noted


def test_typed_values_are_coded_by_their_texts_and_nan_is_missing() -> None:
    coded = code_typed(pa.array([1.0, float("nan"), 2.5, 1.0]))
    assert coded.array().to_pylist() == ["1", None, "2.5", "1"]
    assert np.array_equal(coded.codes < 0, [False, True, False, False])


def test_typed_values_have_the_text_a_person_would_write() -> None:
    stamp = pa.array([0], pa.timestamp("ms", tz="UTC"))
    assert to_text(stamp).to_pylist() == ["1970-01-01T00:00:00.000000"]
    assert to_text(pa.array([True])).to_pylist() == ["true"]
    assert to_text(pa.array([10**18])).to_pylist() == [str(10**18)]


def test_a_column_without_chunks_is_whole() -> None:
    assert len(whole(pa.chunked_array([], pa.string()))) == 0
