"""Calibration bins hold every row once; the error of a perfect model is small."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.evaluation import calibration_error, calibration_table


@given(st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]), min_size=1, max_size=80))
def test_every_row_is_in_one_bin_and_ties_stay_together(values: list[float]) -> None:
    p = np.array(values)
    table = calibration_table(p, p > 0.3)
    assert sum(row.n_rows for row in table) == len(p)
    predicted = [row.predicted for row in table]
    assert predicted == sorted(predicted)
    assert 0.0 <= calibration_error(table) <= 1.0


def test_perfect_and_shifted_probabilities() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(20_000)
    hit = rng.random(20_000) < p
    assert calibration_error(calibration_table(p, hit)) < 0.02
    shifted = calibration_error(calibration_table(np.clip(p + 0.2, 0, 1), hit))
    assert shifted == pytest.approx(0.18, abs=0.03)


def test_no_rows_no_table() -> None:
    table = calibration_table(np.zeros(0), np.zeros(0, dtype=bool))
    assert table == ()
    assert np.isnan(calibration_error(table))
