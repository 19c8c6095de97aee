"""The one table of metric names: exporter, alert rules, dashboards and documentation all read it.

Every label is bounded, and the table says by what. Versions are those that answer or are watched
now; a version that is no longer watched leaves the page, and its series end.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["BUCKET_SUFFIXES", "METRICS", "Metric", "MetricType", "base_name", "metric"]


class MetricType(StrEnum):
    """Prometheus types."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes:
        name: as scraped; counters end in ``_total``.
        type: one of `MetricType`.
        help: one sentence.
        labels: label names in order.
        bounded: why the number of series stays small.
    """

    name: str
    type: MetricType
    help: str
    labels: tuple[str, ...]
    bounded: str


_PROJECT = ("project",)
_MODEL = ("project", "version")
_FEATURE = ("project", "version", "feature")
_CHANNEL = ("project", "version", "channel")

_BY_PROJECT = "one per project"
_BY_MODEL = "one per watched version of a project, at most a handful"
_BY_FEATURE = "at most 200 features per version, the strongest evidence first"
_BY_SHADOW = "one version per project, while it is in shadow"
_BY_CHANNEL = "four channels per version"
_BY_ARM = "at most eight models under one name, those that answered last"
_BY_CANARY = "four channels of one canary per project"
_ARM = ("project", "version", "arm")


def _counter(name: str, text: str, labels: tuple[str, ...], bounded: str) -> Metric:
    return Metric(name, MetricType.COUNTER, text, labels, bounded)


def _gauge(name: str, text: str, labels: tuple[str, ...], bounded: str) -> Metric:
    return Metric(name, MetricType.GAUGE, text, labels, bounded)


METRICS: tuple[Metric, ...] = (
    # The endpoint
    _counter(
        "tenfold_requests_total",
        "Requests answered, by HTTP status.",
        ("project", "status"),
        "HTTP statuses that the endpoint uses, under 20",
    ),
    Metric(
        "tenfold_request_latency_seconds",
        MetricType.HISTOGRAM,
        "Time in the replica from request to answer.",
        _PROJECT,
        "one histogram of 12 buckets per project",
    ),
    _counter("tenfold_predictions_total", "Rows predicted.", _MODEL, _BY_MODEL),
    _counter(
        "tenfold_prediction_errors_total",
        "Rows refused or failed, by reason.",
        ("project", "version", "reason"),
        "reasons are a closed list of the endpoint",
    ),
    _gauge(
        "tenfold_model_info",
        "1 for each model that answers.",
        ("project", "version", "arm", "digest"),
        "one per arm, at most three per project",
    ),
    _gauge(
        "tenfold_model_traffic_ratio",
        "Share of the traffic that an arm gets.",
        ("project", "version", "arm"),
        "one per arm, at most three per project",
    ),
    _gauge(
        "tenfold_version_refused",
        "1 for each version that was promoted or given a share and may not answer.",
        ("project", "version", "reason"),
        "at most two versions of a project; reasons are probe and device",
    ),
    # Arms and the guard of a canary
    _counter(
        "tenfold_arm_requests_total",
        "Requests that a model was asked to answer, those that failed included.",
        _ARM,
        _BY_ARM,
    ),
    _counter(
        "tenfold_arm_failures_total",
        "Requests that a model failed, by reason; of a canary the champion answered most of them.",
        ("project", "version", "arm", "reason"),
        "four reasons for each of at most eight models",
    ),
    Metric(
        "tenfold_arm_latency_seconds",
        MetricType.HISTOGRAM,
        "Time that a model took to read and score the rows of a request.",
        _ARM,
        "one histogram of 13 buckets for each of at most eight models",
    ),
    Metric(
        "tenfold_arm_score_rank",
        MetricType.HISTOGRAM,
        "Where scores stand among those that the model gave offline: an even spread is no shift.",
        ("project", "version"),
        "one histogram of at most 21 buckets per watched version",
    ),
    _gauge(
        "tenfold_canary_evidence_log",
        "Evidence that a canary is worse than the champion, or has shifted, in nats.",
        _CHANNEL,
        _BY_CANARY,
    ),
    _gauge(
        "tenfold_canary_threshold_log",
        "Nats at which a canary is taken back; states the bound on false rollbacks.",
        _CHANNEL,
        _BY_CANARY,
    ),
    _gauge(
        "tenfold_canary_withdrawn_timestamp_seconds",
        "When the last canary was taken back, by the channels that proved it.",
        ("project", "version", "reason"),
        "the last one of a project",
    ),
    # Drift
    _gauge(
        "tenfold_drift_evidence_log",
        "Evidence of change of a channel in nats.",
        _CHANNEL,
        _BY_CHANNEL,
    ),
    _gauge(
        "tenfold_drift_alarm_threshold_log",
        "Nats at which a channel alarms; states the bound on false alarms.",
        _CHANNEL,
        _BY_CHANNEL,
    ),
    _gauge(
        "tenfold_drift_alarm",
        "1 while the evidence of a channel is at its threshold.",
        _CHANNEL,
        _BY_CHANNEL,
    ),
    _gauge(
        "tenfold_drift_change_point_timestamp_seconds",
        "Estimated start of the change, while a channel alarms.",
        _CHANNEL,
        _BY_CHANNEL,
    ),
    _gauge(
        "tenfold_feature_drift_evidence_log",
        "Evidence of change of a feature in nats.",
        _FEATURE,
        _BY_FEATURE,
    ),
    _gauge(
        "tenfold_feature_drift_psi",
        "Population stability index of the newest blocks, bias removed.",
        _FEATURE,
        _BY_FEATURE,
    ),
    _gauge(
        "tenfold_feature_drift_ks",
        "Kolmogorov-Smirnov distance of the newest blocks, noise removed.",
        _FEATURE,
        _BY_FEATURE,
    ),
    _gauge(
        "tenfold_feature_missing_ratio",
        "Share of missing values in the newest blocks.",
        _FEATURE,
        _BY_FEATURE,
    ),
    _gauge(
        "tenfold_feature_unseen_ratio",
        "Share of categories that training never saw.",
        _FEATURE,
        _BY_FEATURE,
    ),
    _gauge(
        "tenfold_feature_out_of_range_ratio",
        "Share of numbers beyond the range of training.",
        _FEATURE,
        _BY_FEATURE,
    ),
    # Live quality and labels
    _gauge(
        "tenfold_performance",
        "A measure on the newest labelled predictions.",
        ("project", "version", "measure"),
        "at most three measures per version",
    ),
    _gauge(
        "tenfold_performance_lower",
        "Lower end of the 95 % interval of a measure.",
        ("project", "version", "measure"),
        "at most three measures per version",
    ),
    _gauge(
        "tenfold_performance_upper",
        "Upper end of the 95 % interval of a measure.",
        ("project", "version", "measure"),
        "at most three measures per version",
    ),
    _gauge(
        "tenfold_loss_reference_ratio",
        "Mean loss in [0, 1] on rows held out at training.",
        _MODEL,
        _BY_MODEL,
    ),
    _gauge(
        "tenfold_loss_bound_ratio",
        "Mean loss above which harm can be proven.",
        _MODEL,
        _BY_MODEL,
    ),
    _counter("tenfold_labels_total", "Labels joined to predictions.", _MODEL, _BY_MODEL),
    _counter(
        "tenfold_feedback_total",
        "Labels received, by what became of them.",
        ("project", "version", "source", "status"),
        "20 sources, the others counted as 'other'; statuses are a closed list",
    ),
    # The loop
    _counter(
        "tenfold_decisions_total",
        "Decisions of the policy that were journaled, by action.",
        ("project", "action"),
        "five actions",
    ),
    _counter(
        "tenfold_retrain_total",
        "Retrains that ended, by result.",
        ("project", "result"),
        "done or failed",
    ),
    _gauge(
        "tenfold_retrain_running",
        "1 while a retrain runs.",
        _PROJECT,
        _BY_PROJECT,
    ),
    # The shadow
    _gauge(
        "tenfold_shadow_running",
        "1 while a challenger scores in shadow, 0 while it starts or waits to start again.",
        _MODEL,
        _BY_SHADOW,
    ),
    _counter("tenfold_shadow_rows_total", "Rows scored in shadow.", _MODEL, _BY_SHADOW),
    _counter(
        "tenfold_shadow_dropped_rows_total",
        "Rows of the log that the shadow did not look at, to keep up.",
        _MODEL,
        _BY_SHADOW,
    ),
    _counter(
        "tenfold_shadow_refused_rows_total",
        "Rows that the shadow could not score.",
        _MODEL,
        _BY_SHADOW,
    ),
    _counter(
        "tenfold_shadow_failures_total",
        "Times that the shadow's process died or hung.",
        _MODEL,
        _BY_SHADOW,
    ),
    _gauge(
        "tenfold_shadow_score_gap",
        "Mean distance of the shadow's scores from the champion's on the newest rows.",
        _MODEL,
        _BY_SHADOW,
    ),
    _gauge(
        "tenfold_shadow_changed_ratio",
        "Share of the newest rows that the shadow would have decided otherwise.",
        _MODEL,
        _BY_SHADOW,
    ),
    _gauge(
        "tenfold_shadow_row_seconds",
        "CPU time of one row alone in the shadow, by quantile.",
        ("project", "version", "quantile"),
        "two quantiles of one version per project",
    ),
    _gauge(
        "tenfold_shadow_labeled_rows",
        "Newest rows with a label that the losses are compared on.",
        _MODEL,
        _BY_SHADOW,
    ),
    _gauge(
        "tenfold_shadow_loss_difference",
        "Champion's mean loss less the shadow's, on the same labelled rows.",
        _MODEL,
        _BY_SHADOW,
    ),
    _gauge(
        "tenfold_shadow_loss_difference_lower",
        "Lower end of its 95 % interval; above 0 the shadow is better.",
        _MODEL,
        _BY_SHADOW,
    ),
    _gauge(
        "tenfold_shadow_loss_difference_upper",
        "Upper end of its 95 % interval; below 0 the shadow is worse.",
        _MODEL,
        _BY_SHADOW,
    ),
    # The prepared table
    _gauge(
        "tenfold_snapshot_records",
        "Records read for the newest snapshot.",
        _PROJECT,
        _BY_PROJECT,
    ),
    _gauge(
        "tenfold_snapshot_quarantined_records",
        "Records of the newest snapshot that could not be mended.",
        _PROJECT,
        _BY_PROJECT,
    ),
    _gauge(
        "tenfold_snapshot_quarantined_by_cause",
        "The same by what was wrong; a record with several causes counts under each.",
        ("project", "cause"),
        "eight causes, a closed list",
    ),
    _gauge(
        "tenfold_snapshot_quarantined_files",
        "Files of the newest snapshot of which at least a piece could not be read.",
        _PROJECT,
        _BY_PROJECT,
    ),
    _gauge(
        "tenfold_snapshot_duplicate_records",
        "Records of the newest snapshot equal to an earlier one, kept or not.",
        _PROJECT,
        _BY_PROJECT,
    ),
    _gauge(
        "tenfold_snapshot_quarantine_ratio",
        "Share of the newest snapshot's records that could not be mended.",
        _PROJECT,
        _BY_PROJECT,
    ),
    _gauge(
        "tenfold_snapshot_duplicate_ratio",
        "Share of the newest snapshot's records equal to an earlier one, kept or not.",
        _PROJECT,
        _BY_PROJECT,
    ),
    _gauge(
        "tenfold_snapshot_timestamp_seconds",
        "When the newest snapshot was prepared.",
        _PROJECT,
        _BY_PROJECT,
    ),
    # The monitor itself
    _counter("tenfold_monitor_blocks_total", "Blocks of rows that were judged.", _MODEL, _BY_MODEL),
    _gauge(
        "tenfold_monitor_last_update_timestamp_seconds",
        "When the monitor last took counts or labels.",
        _MODEL,
        _BY_MODEL,
    ),
    _counter(
        "tenfold_monitor_dropped_rows_total",
        "Rows answered but in no count or no log.",
        _PROJECT,
        _BY_PROJECT,
    ),
    _gauge(
        "tenfold_monitor_missing_messages",
        "Messages of replicas that never came.",
        _MODEL,
        _BY_MODEL,
    ),
    _counter(
        "tenfold_monitor_duplicate_messages_total",
        "Messages that came twice and were counted once.",
        _MODEL,
        _BY_MODEL,
    ),
    _counter(
        "tenfold_monitor_overhead_seconds_total",
        "Time that replicas spent on counting.",
        _MODEL,
        _BY_MODEL,
    ),
)
"""All metrics, by theme."""

BUCKET_SUFFIXES = ("_bucket", "_sum", "_count")
"""What a histogram's series are called after its name."""

_BY_NAME = {entry.name: entry for entry in METRICS}


def metric(name: str) -> Metric:
    """The entry of a metric.

    Raises:
        KeyError: there is none; whoever asks must add it to the table first.

    >>> metric("tenfold_predictions_total").labels
    ('project', 'version')
    """
    return _BY_NAME[name]


def base_name(series: str) -> str:
    """The metric that a scraped series belongs to.

    >>> base_name("tenfold_request_latency_seconds_bucket")
    'tenfold_request_latency_seconds'
    """
    for suffix in BUCKET_SUFFIXES:
        stem = series.removesuffix(suffix)
        if stem != series and stem in _BY_NAME and _BY_NAME[stem].type is MetricType.HISTOGRAM:
            return stem
    return series
