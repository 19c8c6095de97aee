"""Series of the arms and of a canary's guard, for the exporter."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from prometheus_client.core import HistogramMetricFamily

from tenfold.monitor.arms import FAILURES, LATENCY_EDGES_S

__all__ = ["Series", "add_arm_histograms", "arm_series", "guard_series"]

Series = Iterator[tuple[str, tuple[str, ...], float]]


def arm_series(project: str, counted: Iterable[Mapping[str, Any]]) -> Series:
    """Requests and failures by arm; failures that never happened are zero, so rates begin there.

    >>> told = {"arm": "champion", "version": 3, "requests": 9, "failures": {"error": 1}}
    >>> [value for _, _, value in arm_series("adult", [told])]
    [9, 1, 0, 0, 0]
    """
    for total in counted:
        arm = project, str(total["version"]), str(total["arm"])
        yield "tenfold_arm_requests_total", arm, total["requests"]
        for reason in FAILURES:
            yield "tenfold_arm_failures_total", (*arm, reason), total["failures"].get(reason, 0)


def guard_series(project: str, guard: Mapping[str, Any]) -> Series:
    """Evidence about a canary, and when the last one was taken back."""
    evidence = guard.get("evidence")
    if evidence:
        canary = project, str(evidence["challenger"])
        for name, channel in evidence["channels"].items():
            yield "tenfold_canary_evidence_log", (*canary, name), channel["evidence"]
            yield "tenfold_canary_threshold_log", (*canary, name), channel["level"]
    gone = guard.get("withdrawn")
    if gone:
        channels = gone["evidence"]["channels"].items()
        proven = [name for name, found in channels if found["evidence"] >= found["level"]]
        labels = project, str(gone["version"]), "+".join(sorted(proven))
        at_s = datetime.fromisoformat(gone["at"]).timestamp()
        yield "tenfold_canary_withdrawn_timestamp_seconds", labels, at_s


def add_arm_histograms(
    families: Mapping[str, Any],
    project: str,
    counted: Iterable[Mapping[str, Any]],
    ranks: Mapping[str, Mapping[str, Any]],
) -> None:
    """Seconds by arm, and ranks of the scores by watched version."""
    edges = [repr(float(edge)) for edge in LATENCY_EDGES_S]
    for total in counted:
        labels = [project, str(total["version"]), str(total["arm"])]
        family = families["tenfold_arm_latency_seconds"]
        _add(family, labels, edges, total["latency_cells"], total["latency_sum_s"])
    for version, found in ranks.items():
        edges_of = [repr(float(edge)) for edge in found["edges"]]
        # A rank inside a cell is not known: its middle stands for it.
        ends = [0.0, *found["edges"], 1.0]
        middles = [(low + high) / 2 for low, high in itertools.pairwise(ends)]
        total_rank = sum(n * middle for n, middle in zip(found["cells"], middles, strict=True))
        family = families["tenfold_arm_score_rank"]
        _add(family, [project, version], edges_of, found["cells"], total_rank)


def _add(
    family: HistogramMetricFamily,
    labels: Sequence[str],
    edges: Sequence[str],
    cells: Sequence[int],
    total: float,
) -> None:
    buckets, so_far = [], 0
    for edge, count in zip([*edges, "+Inf"], cells, strict=True):
        so_far += count
        buckets.append((edge, so_far))
    family.add_metric(labels, buckets, total)
