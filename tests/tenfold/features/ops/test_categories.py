from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.errors import ArtifactError
from tenfold.features.ops import Lookup, NativeCodes, OneHot, TargetLookup, op_from_dict
from tenfold.features.ops.base import Op
from tenfold.testing.preprocessing import same_bits

LOOKUP = Lookup((1, 0), ((math.nan, -1.0, 0.5, 0.25), (9.0, 8.0, 7.0)))
ONEHOT = OneHot((1, 0), ((2, 1, 0, 1), (-1, -1, 3)), 4)
TARGET = TargetLookup((1, 0, 1), ((0.0, 0.0, 0.5, -0.25), (0.0, 0.0, 1.5), (0.0, 0.0, -3.0, 1e-6)))
NATIVE = NativeCodes((1, 0), ((math.nan, 0.0, 1.0, 2.0), (0.0, 1.0, 1.0)))
rows = st.lists(
    st.tuples(st.sampled_from([math.nan, -1.0, 0.0]), st.sampled_from([math.nan, -1.0, 0.0, 1.0])),
    min_size=1,
    max_size=20,
)
SIZES = (1, 2)


def run(op: Op, codes: np.ndarray) -> np.ndarray:
    out = np.full((len(codes), op.n_outputs), 99.0, dtype=np.float32)
    op.apply(codes, out)
    return out


@given(rows)
@pytest.mark.parametrize("op", [LOOKUP, ONEHOT, TARGET, NATIVE])
def test_a_row_has_the_same_bits_alone_and_in_a_batch(
    op: Op, batch: list[tuple[float, float]]
) -> None:
    codes = np.array(batch)
    alone = np.vstack([run(op, codes[i : i + 1]) for i in range(len(codes))])
    assert same_bits(run(op, codes), alone)


def test_lookup_answers_missing_unseen_and_codes() -> None:
    codes = np.array([[math.nan, math.nan], [-1.0, -1.0], [0.0, 0.0], [0.0, 1.0]])
    np.testing.assert_array_equal(
        run(LOOKUP, codes), [[math.nan, 9.0], [-1.0, 8.0], [0.5, 7.0], [0.25, 7.0]]
    )


@given(rows)
def test_onehot_lights_at_most_one_place_per_column(batch: list[tuple[float, float]]) -> None:
    got = run(ONEHOT, np.array(batch))
    assert set(np.unique(got)) <= {0.0, 1.0}
    assert (got[:, :3].sum(axis=1) == 1.0).all()  # the first column has a place for everything
    assert (got[:, 3] == [row[0] == 0.0 for row in batch]).all()


@pytest.mark.parametrize(
    "change",
    [
        {"slots": [[2, 1, 0, 1], [-1, -1, 4]]},
        {"slots": [[2, 1, 0, 1], [-1, -1, 2]]},
        {"slots": [[2, 1, 0, 1]]},
        {"slots": [[2], [-1, -1, 3]]},
        {"slots": [[2, 1, 0], [-1, -1, 3]], "n_slots": 4},
        {"slots": [[2, 1, 0, 1, 1], [-1, -1, 3]]},
        {"slots": [[2, 1, 0, 1.5], [-1, -1, 3]]},
        {"n_slots": 10**9},
        {"n_slots": -1},
        {"columns": []},
    ],
)
def test_broken_slots_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ArtifactError, match="op 'onehot'"):
        op_from_dict(ONEHOT.to_dict() | change, sizes=SIZES)


def test_round_trip() -> None:
    for op in (LOOKUP, ONEHOT, TARGET, NATIVE):
        again = op_from_dict(op.to_dict(), sizes=SIZES)
        assert again.to_dict() == op.to_dict()
        codes = np.array([[0.0, 1.0], [math.nan, math.nan]])
        assert same_bits(run(again, codes), run(op, codes))
