from __future__ import annotations

from dataclasses import replace

import numpy as np

from tenfold.monitor import FeatureBins, FrozenBins
from tenfold.monitor.quality import (
    TOLERANCE,
    EventCells,
    quality_bounds,
    quality_counts,
    quality_streams,
)

AGE = FeatureBins.of_numbers("age", [30.0, 50.0], 20.0, 80.0)
DAY = replace(AGE, name="day", watched=False)
COLOR = FeatureBins.of_categories("color", ("blue", "red"), {"red": 5, "blue": 3})
BINS = FrozenBins((AGE, COLOR, DAY)).with_scores([[0.1], [0.9]])


def test_each_kind_of_column_has_its_streams_and_scores_have_none() -> None:
    names = [f"{stream.column}:{stream.kind}" for stream in quality_streams(BINS)]
    assert names == [
        "age:missing",
        "age:out_of_range",
        "color:missing",
        "color:unseen",
        "day:missing",
    ]


def test_events_are_counted_from_cells() -> None:
    nan = np.nan
    codes = [[nan, -1.0, nan], [-50.0, nan, 1e9], [500.0, 0.0, 40.0], [40.0, 1.0, 40.0]]
    counts = BINS.count(np.array(codes), np.zeros((4, 1)))
    assert quality_counts(quality_streams(BINS), counts).tolist() == [1, 2, 1, 1, 1]


def test_the_bound_is_the_reference_and_the_tolerance() -> None:
    streams = quality_streams(BINS)
    clean = BINS.count(np.tile([40.0, 0.0, 40.0], (10_000, 1)), np.zeros((10_000, 1)))
    bounds = quality_bounds(streams, clean, 10_000, delta=1e-4)
    assert ((bounds > TOLERANCE) & (bounds < TOLERANCE + 0.002)).all()
    empty = BINS.count(np.tile([np.nan, 0.0, 40.0], (100, 1)), np.zeros((100, 1)))
    assert quality_bounds(streams, empty, 100, delta=1e-4)[0] == 1.0


def test_no_streams_have_no_events() -> None:
    assert EventCells(()).count(np.array([1, 2, 3])).tolist() == []
