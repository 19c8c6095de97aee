from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.errors import ArtifactError
from tenfold.features.hashing import HASHES, text_hash
from tenfold.features.ops import Hashed, op_from_dict
from tenfold.testing.preprocessing import same_bits

HASHED = Hashed((1, 0), 4, ((), (-1, -1, 5, 6)))
SIZES = (2, 0)
rows = st.lists(
    st.tuples(
        st.sampled_from([math.nan, -1.0, 0.0, 1.0]),
        st.one_of(st.just(math.nan), st.integers(0, HASHES - 1).map(float)),
    ),
    min_size=1,
    max_size=20,
)


def run(op: Hashed, codes: np.ndarray) -> np.ndarray:
    out = np.full((len(codes), op.n_outputs), 99.0, dtype=np.float32)
    op.apply(codes, out)
    return out


@given(rows)
def test_a_row_has_the_same_bits_alone_and_in_a_batch(batch: list[tuple[float, float]]) -> None:
    codes = np.array(batch)
    alone = np.vstack([run(HASHED, codes[i : i + 1]) for i in range(len(codes))])
    assert same_bits(run(HASHED, codes), alone)


@given(rows)
def test_a_text_is_one_signed_place_and_nothing_is_none(batch: list[tuple[float, float]]) -> None:
    got = run(HASHED, np.array(batch))
    for (code, hashed), row in zip(batch, got, strict=True):
        known = {0.0: 5, 1.0: 6}.get(code, -1)
        for h, part in ((hashed, row[:4]), (known, row[4:])):
            expected = np.zeros(4)
            if not math.isnan(h) and h >= 0:
                expected[int(h) % 4] = -1.0 if int(h) // 4 % 2 else 1.0
            assert part.tolist() == expected.tolist()


def test_the_largest_hash_is_still_exact() -> None:
    got = run(Hashed((0,), 3, ((),)), np.array([[float(HASHES - 1)]]))
    assert np.abs(got[0]).tolist() == [float(slot == (HASHES - 1) % 3) for slot in range(3)]


def test_hashes_are_the_same_everywhere_and_spread() -> None:
    assert [text_hash(text) for text in ("", "a", "zürich")] == [
        634351890.0,
        1431053258.0,
        2510619330.0,
    ]
    assert text_hash("\ud800") != text_hash("\udfff")
    places = Counter(int(text_hash(f"item {k}")) % 16 for k in range(16_000))
    assert max(places.values()) < 1150
    assert min(places.values()) > 850


@pytest.mark.parametrize(
    "change",
    [
        {"n_slots": 0},
        {"n_slots": 10**9},
        {"n_slots": 2.5},
        {"tables": [[]]},
        {"tables": [[-1, -1, 5], []]},
        {"tables": [[], []]},
        {"tables": [[], [-1, -1, 5, 2**32]]},
        {"tables": [[], [-1, -1, 5, -2]]},
        {"tables": [[-1, -1], [-1, -1, 5, 6]]},
        {"columns": [1, 2]},
        {"columns": []},
    ],
)
def test_broken_hashes_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ArtifactError, match="op 'hashed'"):
        op_from_dict(HASHED.to_dict() | change, sizes=SIZES)


def test_round_trip() -> None:
    assert op_from_dict(HASHED.to_dict(), sizes=SIZES).to_dict() == HASHED.to_dict()
