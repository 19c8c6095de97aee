from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import xgboost
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tenfold.models.ubjson import read_ubjson


def booster(objective: str = "binary:logistic", **params: Any) -> xgboost.Booster:
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(200, 4)).astype(np.float32)
    target = rng.integers(0, 3, 200) if "num_class" in params else rng.integers(0, 2, 200)
    data = xgboost.DMatrix(matrix, label=target)
    return xgboost.train({"objective": objective, "nthread": 1, **params}, data, 4)


def as_json(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {key: as_json(inner) for key, inner in value.items()}
    return [as_json(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("params", [{}, {"objective": "multi:softprob", "num_class": 3}])
def test_it_reads_what_xgboost_says_in_json(params: dict[str, Any]) -> None:
    made = booster(**params)
    found = as_json(read_ubjson(bytes(made.save_raw("ubj"))))
    expected = json.loads(made.save_raw("json"))
    trees = expected["learner"]["gradient_booster"]["model"]["trees"]
    for tree, other in zip(
        trees, found["learner"]["gradient_booster"]["model"]["trees"], strict=True
    ):
        for name, value in tree.items():
            if isinstance(value, list):
                assert other[name] == pytest.approx(value, rel=1e-6), name
            else:
                assert other[name] == value
    trees.clear()
    found["learner"]["gradient_booster"]["model"]["trees"].clear()
    assert found == expected


def test_words_strings_and_every_number() -> None:
    data = (
        b"[ZTFi\xffU\xffI\xff\xffl\xff\xff\xff\xffL" + b"\xff" * 8
        + b"d\x3f\x80\x00\x00D\x3f\xf0\x00\x00\x00\x00\x00\x00Si\x02\xc3\xa9[#i\x01T{}]"
    )  # fmt: skip
    assert read_ubjson(data) == [
        None, True, False, -1, 255, -1, -1, -1, 1.0, 1.0, "é", [True], {},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "1 bytes are wanted at byte 0 and 0 are left"),
        (b"TT", "the value ends at byte 1 of 2"),
        (b"q", "is no type"),
        (b"[$Si\x01", "an array of one type"),
        (b"[$U#L\x7f" + b"\xff" * 7, "bytes are wanted"),
        (b"[#L\x7f" + b"\xff" * 7, "1 bytes are wanted"),
        (b"[$U#i\xff", "-1 bytes are wanted"),
        (b"[" * 100, "nested deeper than 32"),
        (b"{i\x01aTi\x01aT}", "'a' at byte 8 comes twice"),
        (b"Sd\x00", "a length at byte 1 is a whole number"),
        (b"Si\x01\xff", "decode"),
    ],
)
def test_what_is_none_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("[", r"\[")):
        read_ubjson(data)


GOOD = bytes(booster().save_raw("ubj"))


@hypothesis_settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.integers(0, len(GOOD)).map(lambda n: GOOD[:n])))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        read_ubjson(data)
    except ValueError as error:
        assert str(error)
