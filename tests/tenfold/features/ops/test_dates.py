from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.errors import ArtifactError
from tenfold.features.ops import CALENDAR_FIELDS, Calendar, op_from_dict
from tenfold.testing.preprocessing import same_bits

PLAIN = Calendar((0,) * 4, tuple(f"{f}.plain" for f in CALENDAR_FIELDS), (math.nan,) * 4)
CYCLIC = Calendar((1, 1), ("hour.sin", "hour.cos"), (0.0, 0.0))
BOTH = Calendar((1, 0, 1), ("day.sin", "month.plain", "weekday.cos"), (-1.0, math.nan, 0.0))
SIZES = (0, 0)


def run(op: Calendar, codes: np.ndarray) -> np.ndarray:
    out = np.full((len(codes), op.n_outputs), 99.0, dtype=np.float32)
    op.apply(codes, out)
    return out


@given(st.lists(st.datetimes(timezones=st.just(UTC)), min_size=1, max_size=20))
def test_the_calendar_of_the_standard_library(moments: list[datetime]) -> None:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    codes = np.array([[(m - epoch).total_seconds()] for m in moments])
    expected = [[m.month, m.day, m.weekday(), m.hour] for m in moments]
    assert run(PLAIN, codes).tolist() == expected


def test_no_rows_are_no_rows() -> None:
    assert run(BOTH, np.empty((0, 2))).shape == (0, 3)


def test_every_day_of_a_cycle_of_400_years() -> None:
    first = date(1970, 1, 1).toordinal()
    days = [date.fromordinal(first + k) for k in range(146_097)]
    codes = 86_400.0 * np.arange(len(days)).reshape(-1, 1)
    expected = [[day.month, day.day, day.weekday(), 0] for day in days]
    np.testing.assert_array_equal(run(PLAIN, codes), expected)
    np.testing.assert_array_equal(run(PLAIN, codes - 86_400.0 * len(days)), expected)


seconds = st.just(math.nan) | st.datetimes().map(
    lambda moment: (moment - datetime(1970, 1, 1)) / timedelta(seconds=1)
)


@given(st.lists(st.tuples(seconds, seconds), min_size=1, max_size=20))
@pytest.mark.parametrize("op", [PLAIN, CYCLIC, BOTH])
def test_a_row_has_the_same_bits_alone_and_in_a_batch(
    op: Calendar, batch: list[tuple[float, float]]
) -> None:
    codes = np.array(batch)
    alone = np.vstack([run(op, codes[i : i + 1]) for i in range(len(codes))])
    assert same_bits(run(op, codes), alone)


def test_cycles_close_and_missing_times_get_their_value() -> None:
    hours = np.array([[0.0, h * 3600.0] for h in (0, 6, 12, 18, 24)] + [[0.0, math.nan]])
    got = run(CYCLIC, hours)
    np.testing.assert_allclose(got[:5, 0], [0, 1, 0, -1, 0], atol=1e-7)
    np.testing.assert_allclose(got[:5, 1], [1, 0, -1, 0, 1], atol=1e-7)
    assert got[5].tolist() == [0.0, 0.0]
    assert np.isnan(run(PLAIN, np.array([[math.nan]]))).all()


@pytest.mark.parametrize(
    "change",
    [
        {"parts": ["hour.sin", "hour.tan"]},
        {"parts": ["hour.sin"]},
        {"missing": [0.0]},
        {"parts": ["os.system", "hour.cos"]},
        {"columns": [1, 7]},
    ],
)
def test_broken_parts_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ArtifactError, match="op 'calendar'"):
        op_from_dict(CYCLIC.to_dict() | change, sizes=SIZES)


def test_round_trip() -> None:
    assert op_from_dict(CYCLIC.to_dict(), sizes=SIZES).to_dict() == CYCLIC.to_dict()
