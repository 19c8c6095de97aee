"""Whether a model is as quick as it was when it was trained.

A training writes what a row cost into the manifest, and gates judge that. A file that answers the
same and works a hundred times as long passes every golden row, and would take the endpoint with it;
so what probes a model asks it for a row as well.
"""

from __future__ import annotations

import time
from math import inf
from typing import TYPE_CHECKING, Any

from tenfold.errors import ArtifactError

if TYPE_CHECKING:
    from tenfold.inference.predictor import Predictor

__all__ = ["check_pace"]

_TIMES = 50
"""Another machine may be some times slower, and this one busy."""
_LEAST_MS = 0.05
"""What a clock and a cold cache make of less."""
_TRIES = 5


def check_pace(predictor: Predictor) -> None:
    """Answer a row of nulls where the manifest says what one takes; the quickest try counts.

    Args:
        predictor: just loaded.

    Raises:
        ArtifactError: it takes over 50 times as long (CPU of this process) as it did at training,
            and over 2.5 ms.
    """
    told_ms = _told_ms(predictor.manifest.metrics)
    if told_ms is None:
        return
    row = dict.fromkeys(column.name for column in predictor.columns)
    least_ms, bound_ms = inf, _TIMES * max(told_ms, _LEAST_MS)
    for _ in range(_TRIES):
        began = time.process_time()
        predictor.predict_rows([row])
        least_ms = min(least_ms, 1e3 * (time.process_time() - began))
        if least_ms <= bound_ms:
            return
    raise ArtifactError(
        f"a row takes {least_ms:.3g} ms of CPU and took {told_ms:.3g} ms when the model was "
        f"trained; over {bound_ms:.3g} ms it is another model or a damaged one: train it again"
    )


def _told_ms(metrics: dict[str, Any]) -> float | None:
    """Median of one row, if the training measured it."""
    found = metrics.get("latency_p50_ms")
    value = found.get("value") if isinstance(found, dict) else None
    return float(value) if isinstance(value, int | float) and 0 < value < inf else None
