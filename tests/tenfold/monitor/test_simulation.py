"""Whole streams with fixed seeds: silent when nothing changes, quick when something does."""

from __future__ import annotations

import numpy as np
import pytest

from tenfold.monitor import (
    CountsMessage,
    LossRule,
    Monitor,
    MonitorSettings,
    Outcome,
    build_reference,
)
from tenfold.testing.streams import STREAM_KINDS, bins_of, healthy_stream

N_FEATURES = 8
N_REFERENCE = 4000
ERROR_RATE = 0.12
MESSAGE_ROWS = 50


class Stream:
    """A model that errs at a fixed rate, its monitor, and traffic with labels for every row."""

    def __init__(self, seed: int, *, kind: str = "iid") -> None:
        self.generator = np.random.default_rng(seed)
        self.kind = kind
        self.clock = 0
        rows = self.rows(N_REFERENCE)
        self.reference = build_reference(
            bins_of(rows),
            rows,
            scores=self.scores(rows),
            losses=(self.generator.random(1000) < ERROR_RATE).astype(float),
            rule=LossRule("zero_one"),
        )
        self.monitor = Monitor(self.reference, MonitorSettings("demo", 1, "binary", "yes"))

    def rows(self, n: int) -> np.ndarray:
        made = healthy_stream(
            n, N_FEATURES, kind=self.kind, generator=self.generator, start=self.clock
        )
        self.clock += n
        return made

    @staticmethod
    def scores(rows: np.ndarray) -> np.ndarray:
        chance = 1.0 / (1.0 + np.exp(-rows[:, :3].sum(axis=1)))
        return np.column_stack([1.0 - chance, chance])

    def send(
        self, n: int, *, shift: float = 0.0, error: float = ERROR_RATE, missing: float = 0.0
    ) -> dict[str, float]:
        """Send n rows; give back the row at which each channel first alarmed."""
        first: dict[str, float] = {}
        rows = self.rows(n)
        rows[:, 0] += shift
        rows[self.generator.random(n) < missing, 1] = np.nan
        for start in range(0, n, MESSAGE_ROWS):
            part = rows[start : start + MESSAGE_ROWS]
            now = self.clock - n + start + len(part)
            counts = self.reference.bins.count(part, self.scores(np.nan_to_num(part)))
            self.monitor.observe(CountsMessage(1, "r", 1, now, len(part), counts, float(now)))
            wrong = self.generator.random(len(part)) < error
            self.monitor.labels(
                [Outcome(f"{now}-{k}", "yes", "no" if w else "yes") for k, w in enumerate(wrong)],
                now_s=float(now),
            )
            for name, channel in self.monitor.channels.items():
                if channel.active:
                    first.setdefault(name, start + len(part))
        return first


@pytest.mark.parametrize("kind", STREAM_KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_a_healthy_stream_is_silent(kind: str, seed: int) -> None:
    assert Stream(seed, kind=kind).send(12_000) == {}


@pytest.mark.parametrize("seed", range(6))
def test_a_concept_flip_is_proven_within_some_hundred_labels(seed: int) -> None:
    stream = Stream(seed)
    assert stream.send(1500) == {}
    first = stream.send(800, error=0.6)
    assert set(first) == {"harm"} and first["harm"] <= 200


@pytest.mark.parametrize("seed", range(6))
def test_a_doubled_error_rate_is_proven_within_three_thousand_labels(seed: int) -> None:
    stream = Stream(seed)
    assert stream.send(1500) == {}
    assert stream.send(3000, error=2.2 * ERROR_RATE)["harm"] <= 3000


@pytest.mark.parametrize("seed", range(4))
def test_a_shifted_feature_is_named_and_is_no_harm(seed: int) -> None:
    stream = Stream(seed)
    stream.send(2000)
    first = stream.send(4000, shift=0.75)
    assert first["feature"] <= 3500 and not {"harm", "quality"} & set(first)
    channel = stream.monitor.snapshot()["channels"]["feature"]
    assert channel["named"][0] == "x0"
    assert channel["change_s"] == pytest.approx(N_REFERENCE + 2000, abs=700)


@pytest.mark.parametrize("seed", range(4))
def test_a_column_that_goes_missing_is_broken_data_at_once(seed: int) -> None:
    stream = Stream(seed)
    stream.send(1000)
    first = stream.send(600, missing=0.5)
    assert first["quality"] <= 300
    assert stream.monitor.channels["quality"].named == ("x1:missing",)
    stream.send(1500)
    assert not stream.monitor.channels["quality"].active  # repaired: the alarm ends
    assert stream.monitor.channels["quality"].first_alarm_s is not None
