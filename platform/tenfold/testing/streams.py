"""Streams with a known truth: healthy ones of three kinds, and changes put into them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tenfold.monitor.bins import FrozenBins
from tenfold.monitor.cells import FeatureBins, quantile_levels

__all__ = ["STREAM_KINDS", "bins_of", "healthy_stream"]

STREAM_KINDS = ("iid", "ar", "season")
"""Independent rows; autocorrelated rows (rho = 0.9); a daily cycle of 0.3 sigma."""

RHO = 0.9
DAY_ROWS = 2_000
SWING = 0.3

Floats = npt.NDArray[np.float64]


def healthy_stream(
    n_rows: int, n_features: int, *, kind: str, generator: np.random.Generator, start: int = 0
) -> Floats:
    """Rows of a process that does not change, each feature with mean 0 and variance about 1.

    Args:
        n_rows: rows.
        n_features: independent features.
        kind: one of `STREAM_KINDS`.
        generator: where the randomness comes from.
        start: number of the first row, for the phase of the cycle.

    Returns:
        ``(n_rows, n_features)``.

    >>> healthy_stream(3, 2, kind="ar", generator=np.random.default_rng(0)).shape
    (3, 2)
    """
    noise = generator.normal(size=(n_rows, n_features))
    if kind == "ar":
        from scipy.signal import lfilter

        noise[1:] *= np.sqrt(1.0 - RHO**2)
        noise = np.asarray(lfilter([1.0], [1.0, -RHO], noise, axis=0))
    if kind == "season":
        phase = 2.0 * np.pi * (start + np.arange(n_rows)) / DAY_ROWS
        noise += SWING * np.sin(phase)[:, None]
    return noise


def bins_of(rows: Floats) -> FrozenBins:
    """Frozen bins of number columns ``x0``, ``x1``, ... straight from rows ``(n_rows, n)``."""
    return FrozenBins(
        tuple(
            FeatureBins.of_numbers(
                f"x{j}",
                np.quantile(column, quantile_levels(), method="inverted_cdf"),
                float(column.min()),
                float(column.max()),
            )
            for j, column in enumerate(rows.T)
        )
    )
