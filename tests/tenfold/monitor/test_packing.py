from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tenfold.errors import ArtifactError
from tenfold.monitor.packing import MAX_PACKED_BYTES, pack, unpack


@given(
    hnp.arrays(
        st.sampled_from([np.float64, np.float32, np.int64, np.int32]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5),
    )
)
def test_every_bit_survives_json(array: np.ndarray) -> None:
    back = unpack(json.loads(json.dumps(pack(array))))
    assert back.dtype == array.dtype and back.shape == array.shape
    assert back.tobytes() == array.tobytes()


def test_the_result_may_be_written_to() -> None:
    back = unpack(pack(np.zeros(3)))
    back += 1.0
    assert back.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    "damage",
    [
        {"shape": [4]},
        {"shape": [-1]},
        {"shape": [MAX_PACKED_BYTES]},
        {"dtype": "object"},
        {"data": "!"},
        {"data": "AAAA"},
        {"shape": None},
    ],
)
def test_damage_is_named(damage: dict[str, object]) -> None:
    with pytest.raises(ArtifactError, match="packed array"):
        unpack({**pack(np.zeros(3)), **damage})


def test_a_bomb_is_not_inflated() -> None:
    bomb = pack(np.zeros(10_000_000, dtype=np.int32))
    with pytest.raises(ArtifactError):
        unpack({**bomb, "shape": [3]})
