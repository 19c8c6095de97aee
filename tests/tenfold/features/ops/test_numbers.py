from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.errors import ArtifactError
from tenfold.features.ops import MAX_FLOAT32, Missing, Power, Quantile, Scale, Take, op_from_dict
from tenfold.features.ops.base import Op
from tenfold.testing.preprocessing import same_bits

values = st.one_of(st.just(math.nan), st.floats(allow_nan=False, allow_infinity=False))
columns = st.lists(st.tuples(values, values), min_size=1, max_size=30)

SCALE = Scale((0, 1), (1.0, math.nan), (0.5, -2.0), (2.0, 1e-3), clip=3.0)
QUANTILE = Quantile((1, 0), (0.0, 1.0), ((0.0, 1.0, 4.0), (-1.0, 1.0)), ((-1.0, 0.0, 2.0), (0, 1)))
BOUNDED = Scale((0, 1), (1.0, math.nan), (0.5, -2.0), (2.0, 1e-3), None, (-1.0, 0.0), (1.0, 0.0))
POWER = Power((0, 1), (1.0, -3.0), (0.5, -2.0), (2.0, 1e-3), 3.0, lambdas=(-1.5, 3.0))
SIZES = (0, 0)


def run(op: Op, codes: np.ndarray) -> np.ndarray:
    out = np.full((len(codes), op.n_outputs), 99.0, dtype=np.float32)
    op.apply(codes, out)
    return out


@given(columns)
@pytest.mark.parametrize("op", [Take((1, 0)), SCALE, BOUNDED, POWER, QUANTILE, Missing((0, 1))])
def test_a_row_has_the_same_bits_alone_and_in_a_batch(
    op: Op, rows: list[tuple[float, float]]
) -> None:
    codes = np.array(rows)
    together = run(op, codes)
    alone = np.vstack([run(op, codes[i : i + 1]) for i in range(len(codes))])
    assert same_bits(together, alone)
    assert not np.isinf(together).any()


@given(columns)
def test_quantile_agrees_with_interpolation(rows: list[tuple[float, float]]) -> None:
    codes = np.array(rows)
    got = run(QUANTILE, codes)
    first = np.where(np.isnan(codes[:, 1]), 0.0, codes[:, 1])
    second = np.where(np.isnan(codes[:, 0]), 1.0, codes[:, 0])
    expected = np.column_stack(
        [
            np.interp(first, [0.0, 1.0, 4.0], [-1.0, 0.0, 2.0]),
            np.interp(second, [-1.0, 1.0], [0.0, 1.0]),
        ]
    )
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-7)


def test_scale_imputes_centers_divides_and_bends() -> None:
    codes = np.array([[math.nan, math.nan], [4.5, -2.0]])
    got = run(SCALE, codes)
    bent = lambda z: z / math.sqrt(1 + (z / 3.0) ** 2)  # noqa: E731
    assert got[:, 0].tolist() == [np.float32(bent(0.25)), np.float32(bent(2.0))]
    assert math.isnan(got[0, 1])
    assert got[1, 1] == 0.0


def test_bounds_are_hard_and_come_before_the_scale() -> None:
    codes = np.array([[math.nan, math.nan], [-1e300, 1e300], [0.25, -7.0]])
    got = run(BOUNDED, codes)
    assert got[:, 0].tolist() == [0.25, -0.75, -0.125]
    assert math.isnan(got[0, 1])
    assert got[1:, 1].tolist() == [2000.0, 2000.0]


def test_a_scale_of_the_first_format_is_read_and_written_as_it_was() -> None:
    first = {
        "op": "scale",
        "columns": [0, 1],
        "impute": [1.0, None],
        "center": [0.5, -2.0],
        "scale": [2.0, 1e-3],
        "clip": 3.0,
    }
    assert SCALE.to_dict() == first
    assert op_from_dict(first, sizes=SIZES).to_dict() == first


def test_take_keeps_order_given_and_bounds() -> None:
    got = run(Take((1, 0)), np.array([[-1e300, 5.0]]))
    assert got.tolist() == [[5.0, -MAX_FLOAT32]]


@pytest.mark.parametrize(
    "change",
    [
        {"scale": [2.0, 0.0]},
        {"scale": [2.0]},
        {"scale": [2.0, -1.0]},
        {"scale": [2.0, None]},
        {"scale": [2.0, "1"]},
        {"scale": {"a": 1}},
        {"clip": -1.0},
        {"clip": "3"},
        {"columns": [0, 2]},
        {"columns": [0, -1]},
        {"columns": "01"},
        {"impute": [True, 0.0]},
        {"low": [0.0, 0.0]},
        {"low": [0.0], "high": [1.0]},
        {"low": [0.0, 1.0], "high": [1.0, 0.5]},
        {"low": [0.0, None], "high": [1.0, 1.0]},
        {"low": "00", "high": [1.0, 1.0]},
        {"lambdas": [1.0, 1.0]},
    ],
)
def test_broken_numbers_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ArtifactError, match=r"op 'scale' .*publish the model again"):
        op_from_dict(SCALE.to_dict() | change, sizes=SIZES)


@pytest.mark.parametrize(
    "change",
    [
        {"knots": [[0.0, 0.0, 4.0], [-1.0, 1.0]]},
        {"knots": [[0.0], [-1.0, 1.0]], "values": [[0.0], [0.0, 1.0]]},
        {"knots": [[0.0, 1.0, None], [-1.0, 1.0]]},
        {"impute": [0.0]},
    ],
)
def test_broken_knots_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ArtifactError, match="op 'quantile'"):
        op_from_dict(QUANTILE.to_dict() | change, sizes=SIZES)


def test_round_trip() -> None:
    for op in (SCALE, BOUNDED, POWER, QUANTILE, Take((0,)), Missing((1,))):
        assert op_from_dict(op.to_dict(), sizes=SIZES).to_dict() == op.to_dict()
