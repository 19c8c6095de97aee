from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tenfold.monitor import (
    CountsMessage,
    FrozenBins,
    LossRule,
    Monitor,
    MonitorSettings,
    Reference,
    build_reference,
)
from tenfold.testing.streams import bins_of, healthy_stream

N_FEATURES = 8
N_REFERENCE = 4000
ERROR_RATE = 0.1


@pytest.fixture(scope="session")
def reference() -> Reference:
    """4,000 rows of eight numbers, scores, and losses with an error rate of one in ten."""
    generator = np.random.default_rng(7)
    rows = healthy_stream(N_REFERENCE, N_FEATURES, kind="iid", generator=generator)
    return build_reference(
        bins_of(rows),
        rows,
        scores=generator.random((1000, 2)),
        losses=(np.arange(1000) % 10 == 0).astype(float),
        rule=LossRule("zero_one"),
    )


@pytest.fixture
def settings() -> MonitorSettings:
    return MonitorSettings("demo", 1, "binary", positive_class="yes")


@pytest.fixture
def monitor(reference: Reference, settings: MonitorSettings) -> Monitor:
    return Monitor(reference, settings)


@pytest.fixture(scope="session")
def message_of(reference: Reference) -> Callable[..., CountsMessage]:
    """Makes the message of a replica that saw given rows."""
    bins: FrozenBins = reference.bins

    def make(rows: np.ndarray, *, seq: int, seed: int = 0, replica: str = "r1") -> CountsMessage:
        scores = np.random.default_rng([seed, seq]).random((len(rows), 2))
        counts = bins.count(rows, scores)
        return CountsMessage(1, replica, 1, seq, len(rows), counts, float(seq))

    return make
