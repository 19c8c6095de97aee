"""Prometheus and Grafana: one table of names, and all that is made from it."""

from __future__ import annotations

from tenfold.telemetry.exporter import CONTENT_TYPE, ProjectView, TenfoldCollector, render
from tenfold.telemetry.names import METRICS, Metric, MetricType

__all__ = [
    "CONTENT_TYPE",
    "METRICS",
    "Metric",
    "MetricType",
    "ProjectView",
    "TenfoldCollector",
    "render",
]
