from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tenfold.monitor import CountsMessage, Monitor, Reference
from tenfold.monitor.view import feature_views


def test_each_column_shows_effects_rates_and_evidence(
    reference: Reference, monitor: Monitor, message_of: Callable[..., CountsMessage]
) -> None:
    rows = np.random.default_rng(0).normal(size=(1000, 8))
    rows[:, 1] += 1.0
    rows[:250, 2] = np.nan
    rows[:, 3] *= 10.0
    live = message_of(rows, seq=0).counts
    views = feature_views(reference, live, monitor.channels["feature"])
    assert list(views) == [f"x{j}" for j in range(8)] + ["prediction"]
    assert views["x0"]["psi"] < 0.02 and views["x0"]["ks"] < 0.05
    assert views["x1"]["psi"] > 0.5 and 0.3 < views["x1"]["ks"] < 0.5
    assert views["x2"]["missing_ratio"] == 0.25 and views["x2"]["ks"] < 0.06
    assert views["x3"]["out_of_range_ratio"] > 0.5
    assert views["x0"]["unseen_ratio"] == 0.0 and views["x0"]["evidence"] == 0.0
    assert "evidence" not in views["prediction"]


def test_without_rows_everything_is_zero(reference: Reference, monitor: Monitor) -> None:
    live = np.zeros(reference.bins.n_cells, dtype=np.int64)
    views = feature_views(reference, live, monitor.channels["feature"])
    assert {value for view in views.values() for value in view.values()} == {0.0}
