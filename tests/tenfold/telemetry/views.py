"""A view in which every metric of the table has a series."""

from __future__ import annotations

from typing import Any

import numpy as np

from tenfold.monitor import (
    CountsMessage,
    FeatureBins,
    FrozenBins,
    LossRule,
    Monitor,
    MonitorSettings,
    Outcome,
    build_reference,
)
from tenfold.monitor.arms import ArmTotals
from tenfold.monitor.canary import CanaryEvidence, Channel
from tenfold.telemetry import ProjectView


def harmed_monitor() -> Monitor:
    """A monitor that has seen 800 healthy rows and 400 labels of which half are wrong."""
    rng = np.random.default_rng(0)
    codes = np.column_stack([rng.normal(size=4000), rng.integers(0, 2, 4000)])
    bins = FrozenBins(
        (
            FeatureBins.of_numbers("age", [-1.0, 0.0, 1.0], -4.0, 4.0),
            FeatureBins.of_categories("color", ("blue", "red"), {"blue": 5, "red": 5}),
        )
    )
    reference = build_reference(
        bins,
        codes,
        scores=rng.random((1000, 2)),
        losses=np.repeat([0.0, 1.0], [900, 100]),
        rule=LossRule("zero_one"),
    )
    monitor = Monitor(reference, MonitorSettings("adult", 3, "binary", "yes"))
    counts = reference.bins.count(codes[:800], rng.random((800, 2)))
    message = CountsMessage(3, "r1", 1, 0, 800, counts, 50.0, n_errors={"column": 2}, busy_s=0.01)
    monitor.observe(message)
    outcomes = [Outcome(f"i{k}", "yes", "no" if k % 2 else "yes", 0.8) for k in range(400)]
    monitor.labels(outcomes, now_s=60.0)
    monitor.count_labels({("shop", "accepted"): 400, ("shop", "contradicting"): 1})
    return monitor


def full_view() -> ProjectView:
    """One project with a champion, traffic, labels, harm and a retrain."""
    return ProjectView(
        project="adult",
        monitors=[harmed_monitor().snapshot()],
        requests={
            "statuses": {"200": 800, "400": 2},
            "latency_edges_s": [0.01, 0.1],
            "latency_cells": [700, 100, 2],
            "latency_sum_s": 4.5,
        },
        arms=[{"arm": "champion", "version": 3, "digest": "ab" * 32, "weight": 1.0}],
        decisions={"wait": 9, "retrain": 1},
        retrains={"done": 1, "failed": 0},
        retrain_running=True,
        dropped_rows=1,
        prepared={
            "records": 1000.0,
            "quarantined_records": 80.0,
            "duplicate_records": 10.0,
            "quarantined_files": 2.0,
            "quarantine_ratio": 0.08,
            "duplicate_ratio": 0.01,
            "timestamp_seconds": 1.9e9,
        },
        refused={"5": "probe"},
        quarantined={"out_of_range": 70, "unreadable_file": 10},
        shadow={
            "version": 4,
            "state": "scoring",
            "failures": 1,
            "rows": 700,
            "dropped_rows": 80,
            "refused_rows": 20,
            "disagreement": {"rows": 700, "score_gap": 0.02, "changed_ratio": 0.01},
            "row_s": {"p50": 0.0001, "p99": 0.0002},
            "paired": {"n_rows": 300, "old": 0.2, "new": 0.1, "lower": 0.02, "upper": 0.18},
        },
        counted=[counted("champion", 3, failed=0), counted("challenger", 4, failed=9)],
        score_ranks={"3": {"edges": [0.0, 0.5, 1.0], "cells": [0, 300, 500, 0]}},
        guard={
            "evidence": evidence(),
            "withdrawn": {
                "version": 2,
                "at": "2030-03-17T17:46:40.000000Z",
                "evidence": evidence(),
            },
        },
    )


def counted(arm: str, version: int, *, failed: int) -> dict[str, Any]:
    total = ArmTotals(arm, version, requests=100, latency_sum_s=0.5)
    total.failures = {"error": failed}
    total.latency_cells[3] = 100
    return total.to_dict()


def evidence() -> dict[str, Any]:
    channels = {
        name: Channel(nats, 8.0, 0.0, 0.1, "requests that fail")
        for name, nats in (("failures", 9.0), ("latency", 1.0), ("scores", -3.0))
    }
    return CanaryEvidence(3, 4, (900, 100), channels).to_dict()
