from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from tenfold.errors import ArtifactError
from tenfold.profile.codec import decode, encode

stored = st.dictionaries(
    st.text(max_size=4),
    arrays(np.float64, array_shapes(max_dims=2, min_side=0, max_side=4))
    | arrays(np.int64, array_shapes(max_dims=2, min_side=0, max_side=4),
             elements=st.integers(0, 2**63 - 1)),
    max_size=4,
)  # fmt: skip


@given(stored)
def test_arrays_come_back_as_they_were(given_arrays: dict[str, np.ndarray]) -> None:
    data = encode({"x": [1, "é"]}, given_arrays)
    head, found = decode(data)
    assert head == {"x": [1, "é"]}
    assert list(found) == list(given_arrays)
    for name, array in given_arrays.items():
        assert found[name].shape == array.shape
        assert np.array_equal(found[name], array, equal_nan=array.dtype.kind == "f")
    assert encode(head, found) == data


@pytest.mark.parametrize("largest, size", [(255, 1), (256, 2), (65_536, 4), (2**32, 8)])
def test_integers_take_no_more_room_than_they_need(largest: int, size: int) -> None:
    counts = np.array([0, largest])
    assert len(encode({}, {"c": counts})) - len(encode({}, {"c": counts[:0]})) == 2 * size


@given(st.binary(max_size=60))
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ArtifactError, match="a stored profile must be whole"):
        decode(data)


@given(st.integers(0, 90))
def test_cut_or_lengthened_bytes_are_refused(at: int) -> None:
    data = encode({"n": 1}, {"x": np.array([1.0, 2.0])})
    for damaged in (data[: min(at, len(data) - 1)], data + b"\0"):
        with pytest.raises(ArtifactError, match="prepare the data again"):
            decode(damaged)


def test_foreign_types_and_shapes_are_refused() -> None:
    data = encode({}, {"x": np.array([1.0])})
    for damaged in (data.replace(b'"f8"', b'"O8"'), data.replace(b"[1]", b"-11")):
        with pytest.raises(ArtifactError):
            decode(damaged)
