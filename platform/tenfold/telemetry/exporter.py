"""The exporter: one custom collector that turns totals and monitor snapshots into one page.

Nothing is counted here: the aggregator owns the totals and hands over a `ProjectView` per project
when it is asked. So the page is the same whichever replica answers, a restart of the exporter
loses nothing, and no gauge goes stale between two settings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from tenfold.telemetry.arms import Series, add_arm_histograms, arm_series, guard_series
from tenfold.telemetry.names import METRICS, MetricType

__all__ = ["CONTENT_TYPE", "MAX_FEATURES", "ProjectView", "TenfoldCollector", "render"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

MAX_FEATURES = 200
"""Features of a version on the page; the ones with the strongest evidence stay."""

MAX_SOURCES = 20
"""Label sources with a series of their own; a source is a client's word."""


@dataclass(frozen=True)
class ProjectView:
    """Everything the page shows of one project. All numbers are totals since the state began.

    Attributes:
        project: its name.
        monitors: `tenfold.monitor.Monitor.snapshot` of every watched version.
        requests: ``statuses`` (status → count), ``latency_edges_s``, ``latency_cells`` (one more
            than edges, not cumulative) and ``latency_sum_s``; empty before the first request.
        arms: models that answer: ``arm``, ``version``, ``digest``, ``weight`` each.
        decisions: journaled decisions by action.
        retrains: ended retrains by result, ``done`` or ``failed``.
        retrain_running: whether one runs now.
        dropped_rows: rows answered but in no count or no log.
        prepared: of the newest snapshot: ``records``, ``quarantined_records``,
            ``duplicate_records``, ``quarantined_files``, ``quarantine_ratio``, ``duplicate_ratio``
            and ``timestamp_seconds``; empty without one.
        quarantined: its quarantined records by cause, a word of `tenfold.data.causes`.
        shadow: what is known of the challenger in shadow: ``version``, ``state``, ``failures`` and,
            once it runs, ``rows``, ``dropped_rows``, ``refused_rows``, ``disagreement``, ``row_s``
            and ``paired``; empty without one.
        counted: totals by arm, `tenfold.monitor.arms.ArmTotals.to_dict` each.
        score_ranks: by version, `tenfold.monitor.levels.score_ranks`.
        guard: of a canary: ``evidence`` with its ``channels``; of the last that was taken back:
            ``withdrawn``; empty before the first canary.
        refused: versions that are asked for and may not answer, and what said so.
    """

    project: str
    monitors: Sequence[Mapping[str, Any]] = ()
    requests: Mapping[str, Any] = field(default_factory=dict)
    arms: Sequence[Mapping[str, Any]] = ()
    decisions: Mapping[str, int] = field(default_factory=dict)
    retrains: Mapping[str, int] = field(default_factory=dict)
    retrain_running: bool = False
    dropped_rows: int = 0
    prepared: Mapping[str, float] = field(default_factory=dict)
    quarantined: Mapping[str, int] = field(default_factory=dict)
    shadow: Mapping[str, Any] = field(default_factory=dict)
    counted: Sequence[Mapping[str, Any]] = ()
    score_ranks: Mapping[str, Any] = field(default_factory=dict)
    guard: Mapping[str, Any] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)


class TenfoldCollector(Collector):
    """Asks for views at every scrape.

    Args:
        views: gives one view per project; called in the scraper's thread.
    """

    def __init__(self, views: Callable[[], Iterable[ProjectView]]) -> None:
        self._views = views

    def collect(self) -> Iterable[Metric]:
        """All metrics of the table, also those that have no series now."""
        families = {entry.name: _family(entry.name) for entry in METRICS}
        for view in self._views():
            for name, labels, value in _series(view):
                families[name].add_metric(labels, value)
            _add_latency(families["tenfold_request_latency_seconds"], view)
            add_arm_histograms(families, view.project, view.counted, view.score_ranks)
        return list(families.values())

    def describe(self) -> Iterable[Metric]:
        """Names only, so that registering does not ask for views."""
        return [_family(entry.name) for entry in METRICS]


def render(views: Iterable[ProjectView]) -> bytes:
    """The page in Prometheus's text format.

    >>> page = render([ProjectView("adult", retrains={"done": 2})]).decode()
    >>> [line for line in page.splitlines() if line.startswith("tenfold_retrain_total")]
    ['tenfold_retrain_total{project="adult",result="done"} 2.0']
    """
    held = list(views)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(TenfoldCollector(lambda: held))
    return bytes(generate_latest(registry))


def _family(name: str) -> Any:
    entry = next(entry for entry in METRICS if entry.name == name)
    if entry.type is MetricType.HISTOGRAM:
        return HistogramMetricFamily(name, entry.help, labels=entry.labels)
    if entry.type is MetricType.COUNTER:
        return CounterMetricFamily(name.removesuffix("_total"), entry.help, labels=entry.labels)
    return GaugeMetricFamily(name, entry.help, labels=entry.labels)


def _add_latency(family: HistogramMetricFamily, view: ProjectView) -> None:
    cells = view.requests.get("latency_cells")
    if not cells:
        return
    edges = [repr(float(edge)) for edge in view.requests["latency_edges_s"]]
    buckets, total = [], 0
    for edge, count in zip([*edges, "+Inf"], cells, strict=True):
        total += count
        buckets.append((edge, total))
    family.add_metric([view.project], buckets, view.requests["latency_sum_s"])


def _series(view: ProjectView) -> Series:
    project = view.project
    for status, count in view.requests.get("statuses", {}).items():
        yield "tenfold_requests_total", (project, str(status)), count
    for arm in view.arms:
        version, name = str(arm["version"]), str(arm["arm"])
        yield "tenfold_model_info", (project, version, name, str(arm["digest"])[:12]), 1.0
        yield "tenfold_model_traffic_ratio", (project, version, name), float(arm["weight"])
    for action, count in view.decisions.items():
        yield "tenfold_decisions_total", (project, action), count
    for result, count in view.retrains.items():
        yield "tenfold_retrain_total", (project, result), count
    yield "tenfold_retrain_running", (project,), float(view.retrain_running)
    yield "tenfold_monitor_dropped_rows_total", (project,), view.dropped_rows
    for name, value in view.prepared.items():
        yield f"tenfold_snapshot_{name}", (project,), value
    for cause, count in view.quarantined.items():
        yield "tenfold_snapshot_quarantined_by_cause", (project, cause), float(count)
    if view.shadow:
        yield from _shadow_series((project, str(view.shadow["version"])), view.shadow)
    yield from arm_series(project, view.counted)
    yield from guard_series(project, view.guard)
    for version, reason in view.refused.items():
        yield "tenfold_version_refused", (project, version, reason), 1.0
    for snapshot in view.monitors:
        yield from _model_series(snapshot)


def _shadow_series(model: tuple[str, str], shadow: Mapping[str, Any]) -> Series:
    yield "tenfold_shadow_running", model, float(shadow["state"] == "scoring")
    yield "tenfold_shadow_failures_total", model, shadow["failures"]
    for key in ("rows", "dropped_rows", "refused_rows"):
        if key in shadow:
            yield f"tenfold_shadow_{key}_total", model, shadow[key]
    for key in ("score_gap", "changed_ratio"):
        value = shadow.get("disagreement", {}).get(key)
        if value is not None:
            yield f"tenfold_shadow_{key}", model, value
    for name, seconds in shadow.get("row_s", {}).items():
        if seconds is not None:
            quantile = f"0.{name.removeprefix('p')}"
            yield "tenfold_shadow_row_seconds", (*model, quantile), seconds
    paired = shadow.get("paired")
    if paired and paired["n_rows"]:
        yield "tenfold_shadow_labeled_rows", model, paired["n_rows"]
        yield "tenfold_shadow_loss_difference", model, paired["old"] - paired["new"]
        yield "tenfold_shadow_loss_difference_lower", model, paired["lower"]
        yield "tenfold_shadow_loss_difference_upper", model, paired["upper"]


def _model_series(snapshot: Mapping[str, Any]) -> Series:
    model = str(snapshot["project"]), str(snapshot["version"])
    messages = snapshot["messages"]
    yield "tenfold_predictions_total", model, snapshot["rows"]
    for reason, count in snapshot["errors"].items():
        yield "tenfold_prediction_errors_total", (*model, reason), count
    yield "tenfold_labels_total", model, snapshot["labels"]
    yield "tenfold_monitor_blocks_total", model, snapshot["blocks"]
    yield "tenfold_monitor_last_update_timestamp_seconds", model, snapshot["updated_s"]
    yield "tenfold_monitor_missing_messages", model, messages["missing"]
    yield "tenfold_monitor_duplicate_messages_total", model, messages["duplicate"]
    yield "tenfold_monitor_overhead_seconds_total", model, snapshot["busy_s"]
    if snapshot["loss"] is not None:
        yield "tenfold_loss_reference_ratio", model, snapshot["loss"]["reference"]
        yield "tenfold_loss_bound_ratio", model, snapshot["loss"]["bound"]
    for measure, estimate in snapshot["quality"].items():
        labels = (*model, measure)
        yield "tenfold_performance", labels, estimate["value"]
        yield "tenfold_performance_lower", labels, estimate["lower"]
        yield "tenfold_performance_upper", labels, estimate["upper"]
    yield from _channel_series(model, snapshot["channels"])
    yield from _feature_series(model, snapshot["features"])
    yield from _feedback_series(model, snapshot["feedback"])


def _channel_series(model: tuple[str, str], channels: Mapping[str, Any]) -> Series:
    for name, channel in channels.items():
        labels = (*model, name)
        yield "tenfold_drift_evidence_log", labels, channel["evidence"]
        yield "tenfold_drift_alarm_threshold_log", labels, channel["level"]
        yield "tenfold_drift_alarm", labels, float(channel["active"])
        if channel["change_s"] is not None:
            yield "tenfold_drift_change_point_timestamp_seconds", labels, channel["change_s"]


_FEATURE_KEYS = {
    "evidence": "tenfold_feature_drift_evidence_log",
    "psi": "tenfold_feature_drift_psi",
    "ks": "tenfold_feature_drift_ks",
    "missing_ratio": "tenfold_feature_missing_ratio",
    "unseen_ratio": "tenfold_feature_unseen_ratio",
    "out_of_range_ratio": "tenfold_feature_out_of_range_ratio",
}


def _feature_series(model: tuple[str, str], features: Mapping[str, Mapping[str, float]]) -> Series:
    strongest = sorted(features, key=lambda name: -features[name].get("evidence", float("inf")))
    for feature in strongest[:MAX_FEATURES]:
        for key, name in _FEATURE_KEYS.items():
            if key in features[feature]:
                yield name, (*model, feature), features[feature][key]


def _feedback_series(model: tuple[str, str], feedback: Sequence[Mapping[str, Any]]) -> Series:
    by_source: dict[str, int] = {}
    for item in feedback:
        by_source[item["source"]] = by_source.get(item["source"], 0) + item["count"]
    kept = sorted(by_source, key=lambda source: (-by_source[source], source))[:MAX_SOURCES]
    totals: dict[tuple[str, str], int] = {}
    for item in feedback:
        key = item["source"] if item["source"] in kept else "other", item["status"]
        totals[key] = totals.get(key, 0) + item["count"]
    for (source, status), count in sorted(totals.items()):
        yield "tenfold_feedback_total", (*model, source, status), count
