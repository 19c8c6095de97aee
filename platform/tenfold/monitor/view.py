"""What people see of each column: effect sizes, quality rates, evidence."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from tenfold.monitor.channels import Channel
from tenfold.monitor.effects import kolmogorov_smirnov, population_stability
from tenfold.monitor.quality import KINDS, quality_counts, quality_streams
from tenfold.monitor.reference import Reference

__all__ = ["feature_views", "shift_views"]

Counts = npt.NDArray[np.int64]


def feature_views(
    reference: Reference, live: Counts, channel: Channel
) -> dict[str, dict[str, float]]:
    """Per column, what the live window looks like beside the reference.

    Args:
        reference: of the model.
        live: counts of the window, ``(n_cells,)``.
        channel: the feature channel, for the evidence per column.

    Returns:
        Column → ``psi``, ``ks`` (numbers only), ``missing_ratio``, ``unseen_ratio``,
        ``out_of_range_ratio``, ``evidence`` (nats). The model's scores are ``prediction``.
    """
    evidence = dict(zip(channel.streams, channel.mixture.log_evidence().tolist(), strict=True))
    views = shift_views(reference, live)
    for name, view in views.items():
        nats = evidence.get(name)
        if nats is not None:
            view["evidence"] = nats if math.isfinite(nats) else 0.0
    return views


def shift_views(reference: Reference, live: Counts) -> dict[str, dict[str, float]]:
    """Per column, how far some rows lie from the reference; sizes for people, no evidence.

    Args:
        reference: of the model.
        live: counts of the rows, ``(n_cells,)``.

    Returns:
        Column → what `feature_views` says of it, without ``evidence``.
    """
    bins = reference.bins
    views: dict[str, dict[str, float]] = {}
    pairs = zip(bins.columns, bins.split(reference.totals), bins.split(live), strict=True)
    for column, before, now in pairs:
        view = {"psi": population_stability(before, now)}
        if column.ordered:
            # `missing` is the last cell and has no place in the order of values.
            view["ks"] = kolmogorov_smirnov(before[:-1], now[:-1])
        views[column.name] = view
    n_rows = int(live[: bins.columns[0].n_cells].sum()) if bins.columns else 0
    streams = quality_streams(bins)
    for stream, events in zip(streams, quality_counts(streams, live).tolist(), strict=True):
        views[stream.column][f"{stream.kind}_ratio"] = events / n_rows if n_rows else 0.0
    for column in bins.features:
        for kind in KINDS:
            views[column.name].setdefault(f"{kind}_ratio", 0.0)
    return views
