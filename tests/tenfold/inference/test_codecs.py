from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.errors import RequestError
from tenfold.features import RowEncoder
from tenfold.inference import Prediction, decode_request, prediction_items
from tenfold.schema import Column, Kind, Schema

ENCODER = RowEncoder(
    Schema((Column("age", Kind.NUMBER), Column("sex", Kind.CATEGORY, domain=("f", "m"))))
)


def decode(body: bytes) -> Any:
    return decode_request(body, encoder=ENCODER, max_rows=3)


def test_rows_become_codes() -> None:
    decoded = decode(b'{"rows": [{"age": 1.5, "sex": "m"}, {"sex": null, "age": null}]}')
    np.testing.assert_array_equal(decoded.codes, [[1.5, 1.0], [np.nan, np.nan]])
    assert decoded.rows[0] == {"age": 1.5, "sex": "m"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is not JSON"),
        (b'{"rows": [', "the body is not JSON"),
        (b"\xff\xfe", "the body is not JSON"),
        (b'{"rows": [{"age": NaN, "sex": "m"}]}', "the body is not JSON"),
        (b'{"rows": [{"age": Infinity, "sex": "m"}]}', "the body is not JSON"),
        (b"[" * 100_000, "the body is not JSON"),
        (b"[]", "is an object with the field 'rows'"),
        (b'{"instances": []}', "is an object with the field 'rows'"),
        (b'{"rows": [{}], "model": 3}', "has an unknown field 'model'"),
        (b'{"rows": []}', "at least one row"),
        (b'{"rows": {"age": 1}}', "at least one row"),
        (b'{"rows": [1, 2, 3, 4]}', "at most 3 rows, this one 4; send several requests"),
        (b'{"rows": [3]}', "row 0: 3 is not an object"),
        (b'{"rows": [{"age": "39", "sex": "m"}]}', "'39' is text; send the number 39"),
        (b'{"rows": [{"age": 1e400, "sex": "m"}]}', ""),
        (b'{"rows": [{"age": 39}]}', "column 'sex': the column is missing"),
        (b'{"rows": [{"age": 39, "sex": "m", "x": 1}]}', "the model has no such column"),
    ],
)
def test_what_breaks_a_law_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        decode(body)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 400


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_bytes_do_more_than_be_refused(body: bytes) -> None:
    with pytest.raises(RequestError):
        decode(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@given(st.lists(st.dictionaries(st.sampled_from(["age", "sex", "x"]), json_values), max_size=3))
def test_any_json_row_is_answered_or_refused(rows: list[dict[str, Any]]) -> None:
    body = json.dumps({"rows": rows}, allow_nan=True).encode()
    try:
        codes = decode(body).codes
    except RequestError as error:
        assert str(error)
    else:
        assert codes.shape == (len(rows), 2)
        assert not np.isinf(codes).any()


def test_answers() -> None:
    numbers = Prediction(np.array([[1.5], [2.5]]), [1.5, 2.5])
    assert prediction_items(numbers, classes=(), ids=["a", "b"]) == [
        {"id": "a", "value": 1.5},
        {"id": "b", "value": 2.5},
    ]
    classes = Prediction(np.array([[0.1, 0.9]]), ["m"])
    assert prediction_items(classes, classes=("f", "m"), ids=["a"]) == [
        {"id": "a", "value": "m", "probabilities": {"f": 0.1, "m": 0.9}}
    ]
    with pytest.raises(ValueError, match="zip"):
        prediction_items(numbers, classes=(), ids=["a"])
