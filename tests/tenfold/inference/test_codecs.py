from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.errors import RequestError
from tenfold.features import RowEncoder
from tenfold.inference import Prediction, prediction_items
from tenfold.schema import Column, Kind, Schema

ENCODER = RowEncoder(
    Schema((Column("age", Kind.NUMBER), Column("sex", Kind.CATEGORY, domain=("f", "m"))))
)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@given(st.lists(st.dictionaries(st.sampled_from(["age", "sex", "x"]), json_values), max_size=3))
def test_any_json_row_is_answered_or_refused(rows: list[dict[str, Any]]) -> None:
    try:
        codes = ENCODER.encode_rows(rows)
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
