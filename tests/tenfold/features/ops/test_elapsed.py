from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.errors import ArtifactError
from tenfold.features.ops import Elapsed, op_from_dict
from tenfold.features.ops.elapsed import MAX_DAYS
from tenfold.testing.preprocessing import same_bits

DAY_S = 86_400.0
ELAPSED = Elapsed((0, 1, 1), (1, 0, 0), ("days", "days", "log"), (math.nan, -5.0, 0.0))
SIZES = (0, 0)
moments = st.one_of(st.just(math.nan), st.floats(-1e12, 1e12))
rows = st.lists(st.tuples(moments, moments), min_size=1, max_size=30)


def run(op: Elapsed, codes: np.ndarray) -> np.ndarray:
    out = np.full((len(codes), op.n_outputs), 99.0, dtype=np.float32)
    op.apply(codes, out)
    return out


@given(rows)
def test_a_row_has_the_same_bits_alone_and_in_a_batch(batch: list[tuple[float, float]]) -> None:
    codes = np.array(batch)
    alone = np.vstack([run(ELAPSED, codes[i : i + 1]) for i in range(len(codes))])
    assert same_bits(run(ELAPSED, codes), alone)


@given(rows)
def test_days_between_times_within_a_century(batch: list[tuple[float, float]]) -> None:
    codes = np.array(batch)
    got = run(ELAPSED, codes)
    between = np.clip((codes[:, 1] - codes[:, 0]) / DAY_S, -MAX_DAYS, MAX_DAYS)
    np.testing.assert_allclose(got[:, 0], -between, rtol=1e-6, atol=1e-30)
    np.testing.assert_allclose(
        got[:, 1], np.where(np.isnan(between), -5.0, between), rtol=1e-6, atol=1e-30
    )
    logs = np.sign(between) * np.log1p(np.abs(between)) / math.log(366.25)
    np.testing.assert_allclose(got[:, 2], np.nan_to_num(logs), rtol=1e-5, atol=1e-30)


def test_a_year_is_one_and_placeholders_are_a_century() -> None:
    codes = np.array([[0.0, 365.25 * DAY_S], [0.0, 2.5e11]])
    got = run(ELAPSED, codes)
    assert got[0, 2] == 1.0
    assert got[1, 1] == MAX_DAYS


@pytest.mark.parametrize(
    "change",
    [
        {"others": [1, 0]},
        {"others": [1, 0, 2]},
        {"others": [-1, 0, 0]},
        {"forms": ["days", "days", "weeks"]},
        {"forms": ["days"]},
        {"missing": [0.0]},
        {"columns": [0, 1, 7]},
        {"columns": [], "others": [], "forms": [], "missing": []},
    ],
)
def test_broken_times_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ArtifactError, match="op 'elapsed'"):
        op_from_dict(ELAPSED.to_dict() | change, sizes=SIZES)


def test_round_trip() -> None:
    assert op_from_dict(ELAPSED.to_dict(), sizes=SIZES).to_dict() == ELAPSED.to_dict()
