"""Alert rules, made from the table of names.

Evidence already integrates time and bounds its false alarms, so drift and harm have no ``for``.
Error and latency alerts burn a budget over two windows (Google's SRE workbook, chapter 5).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from tenfold.telemetry.names import base_name

__all__ = ["ALERTS", "RECORDS", "Alert", "metric_names", "rule_file", "rule_resource"]

ERROR_BUDGET = 0.001
"""Share of requests that may fail: three nines."""

LATENCY_BUDGET = 0.01
"""Share of requests that may take longer than `SLOW_S`."""

SLOW_S = "0.1"
"""Edge of a latency bucket beyond which a request is slow."""

QUARANTINE_RATIO = 0.01
"""Share of bad records from which somebody should look; ``prepare.max_bad_fraction`` stops."""
SHADOW_FAILURES = 2
"""Failures in a quarter of an hour that are no accident."""

WITHDRAWN_S = 3600
"""So long after a canary was taken back somebody is told: nothing is broken any more."""

LOOP_RETRAINS = 10
"""Retrains in seven days that somebody should know of, well before the policy stops at 20."""

WINDOWS = ("5m", "30m", "1h", "6h", "3d")

BURNS = (
    ("Fast", 14.4, "1h", "5m", "page", "2 % of a month's budget in an hour"),
    ("Slow", 6.0, "6h", "30m", "page", "5 % of a month's budget in six hours"),
    ("Steady", 1.0, "3d", "6h", "ticket", "10 % of a month's budget in three days"),
)
"""Name, burn rate, long window, short window, severity, meaning."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert.

    Attributes:
        name: starts with Tenfold.
        expr: PromQL.
        severity: ``page`` or ``ticket``.
        summary: one sentence; may use Prometheus's ``{{ $labels.x }}``.
        action: what the reader does first.
        wait: how long the expression must hold; only for noisy rates.
    """

    name: str
    expr: str
    severity: str
    summary: str
    action: str
    wait: str = "0s"


def _error_ratio(window: str) -> str:
    failed = f'sum by (project) (rate(tenfold_requests_total{{status=~"5.."}}[{window}]))'
    # `or ... * 0`: a project without a single failure has a ratio of 0, not no ratio
    every = f"sum by (project) (rate(tenfold_requests_total[{window}]))"
    return f"({failed} or {every} * 0) / {every}"


def _slow_ratio(window: str) -> str:
    name = "tenfold_request_latency_seconds"
    quick = f'sum by (project) (rate({name}_bucket{{le="{SLOW_S}"}}[{window}]))'
    return f"1 - {quick} / sum by (project) (rate({name}_count[{window}]))"


RECORDS: dict[str, str] = {
    **{f"project:tenfold_request_errors:ratio_rate{w}": _error_ratio(w) for w in WINDOWS},
    **{f"project:tenfold_request_slow:ratio_rate{w}": _slow_ratio(w) for w in WINDOWS},
}
"""Recording rules: name → PromQL."""


def _burns(kind: str, record: str, budget: float, what: str) -> list[Alert]:
    return [
        Alert(
            f"Tenfold{kind}Budget{name}",
            f"project:{record}:ratio_rate{long} > {rate * budget:g} "
            f"and project:{record}:ratio_rate{short} > {rate * budget:g}",
            severity,
            f"{{{{ $labels.project }}}}: {what} ({meaning})",
            "look at the endpoint's log and at what changed: tenfold status",
        )
        for name, rate, long, short, severity, meaning in BURNS
    ]


def _evidence(channel: str) -> str:
    return (
        f'tenfold_drift_evidence_log{{channel="{channel}"}} '
        ">= on (project, version, channel) tenfold_drift_alarm_threshold_log"
    )


_WHO = "{{ $labels.project }} version {{ $labels.version }}"

ALERTS: tuple[Alert, ...] = (
    *_burns("Error", "tenfold_request_errors", ERROR_BUDGET, "requests fail"),
    *_burns("Latency", "tenfold_request_slow", LATENCY_BUDGET, f"requests take over {SLOW_S} s"),
    Alert(
        "TenfoldDataBroken",
        _evidence("quality"),
        "page",
        f"{_WHO}: values are missing, unseen or out of range more often than ever in training",
        "repair the data before it reaches the endpoint; the loop holds until then",
    ),
    Alert(
        "TenfoldHarm",
        _evidence("harm"),
        "page",
        f"{_WHO}: labels prove that the model is worse than it was",
        "nothing, if retrain is enabled; else: tenfold retrain",
    ),
    Alert(
        "TenfoldFeatureDrift",
        _evidence("feature"),
        "ticket",
        f"{_WHO}: features changed; whether it harms only labels can tell",
        "send labels of recent predictions: tenfold feedback",
    ),
    Alert(
        "TenfoldPredictionDrift",
        _evidence("prediction"),
        "ticket",
        f"{_WHO}: the model's answers changed",
        "send labels of recent predictions: tenfold feedback",
    ),
    Alert(
        "TenfoldLabelsContradict",
        'sum by (project) (increase(tenfold_feedback_total{status="contradicting"}[1h])) '
        "> 0.05 * sum by (project) (increase(tenfold_feedback_total[1h])) ",
        "ticket",
        "{{ $labels.project }}: over 5 % of the labels of an hour contradict earlier ones",
        "compare the sources: tenfold status",
    ),
    Alert(
        "TenfoldLabelsMissing",
        "sum by (project) (increase(tenfold_labels_total[24h])) == 0 "
        "and sum by (project) (increase(tenfold_predictions_total[24h])) > 1000",
        "ticket",
        "{{ $labels.project }}: no label in a day with over 1000 predictions",
        "without labels harm cannot be seen; look at whoever sends them",
        "1h",
    ),
    Alert(
        "TenfoldRetrainFailed",
        'increase(tenfold_retrain_total{result="failed"}[1h]) > 0',
        "ticket",
        "{{ $labels.project }}: a retrain failed",
        "read its log: tenfold status",
    ),
    Alert(
        "TenfoldRetrainLoop",
        f"sum by (project) (increase(tenfold_retrain_total[7d])) > {LOOP_RETRAINS}",
        "ticket",
        f"{{{{ $labels.project }}}}: over {LOOP_RETRAINS} retrains in seven days: it does not help",
        "look at the data and the labels, then raise retrain.cooldown",
    ),
    Alert(
        "TenfoldVersionRefused",
        "tenfold_version_refused > 0",
        "ticket",
        f"{_WHO} may not answer, by its {{{{ $labels.reason }}}}; what answered before does",
        "read why in tenfold status; train again or change serve.device, or tenfold rollback",
    ),
    Alert(
        "TenfoldShadowFails",
        # Pauses between its starts grow to half an hour, and one that is ended has no series.
        f"increase(tenfold_shadow_failures_total[2h]) > {SHADOW_FAILURES}"
        " and tenfold_shadow_failures_total > 0",
        "ticket",
        f"{_WHO}: the challenger in shadow dies or hangs again and again; answers are not touched",
        "do not promote it; the reason is in tenfold status, then: tenfold traffic --shadow off",
    ),
    Alert(
        "TenfoldCanaryTakenBack",
        f"time() - tenfold_canary_withdrawn_timestamp_seconds < {WITHDRAWN_S}",
        "ticket",
        f"{_WHO} was taken back by the guard for its {{{{ $labels.reason }}}} beside the champion "
        "and gets no traffic any more",
        "read why in tenfold status; mend the model and train again, or roll the share out anew",
    ),
    Alert(
        "TenfoldQuarantineHigh",
        f"tenfold_snapshot_quarantine_ratio > {QUARANTINE_RATIO}",
        "ticket",
        f"{{{{ $labels.project }}}}: over {QUARANTINE_RATIO:.0%} of the newest table's records "
        "could not be mended",
        "read the quarantine in the exploration report, then mend the source",
    ),
    Alert(
        "TenfoldFilesQuarantined",
        "tenfold_snapshot_quarantined_files > 0",
        "ticket",
        "{{ $labels.project }}: files of the newest table could not be read, wholly or in part",
        "read their paths in the quarantine table, then write them again and prepare",
    ),
    Alert(
        "TenfoldMonitorStale",
        "time() - max by (project) (tenfold_monitor_last_update_timestamp_seconds) > 300 "
        "and sum by (project) (rate(tenfold_requests_total[5m])) > 0",
        "page",
        "{{ $labels.project }}: requests are answered but the monitor hears nothing",
        "look at the aggregator's log; predictions go on meanwhile",
        "5m",
    ),
    Alert(
        "TenfoldMonitorAbsent",
        "absent(tenfold_model_info)",
        "page",
        "no Tenfold endpoint is scraped",
        "is it up (tenfold status), and does Prometheus reach its /metrics?",
        "10m",
    ),
    Alert(
        "TenfoldMonitorDroppingRows",
        "increase(tenfold_monitor_dropped_rows_total[15m]) > 0",
        "ticket",
        "{{ $labels.project }}: answered rows are in no count or no log",
        "the machine or the disk is too slow for the traffic: add a replica",
    ),
)
"""All alerts."""

_NAME = re.compile(r"\btenfold_[a-z0-9_]+")


def metric_names(expr: str) -> set[str]:
    """Names of the table that an expression reads, recorded series left out.

    >>> sorted(metric_names("rate(tenfold_requests_total[5m]) > project:tenfold_x:ratio_rate5m"))
    ['tenfold_requests_total']
    """
    bare = re.sub(r"\b\w+:[\w:]+", "", expr)
    return {base_name(found) for found in _NAME.findall(bare)}


def rule_file() -> dict[str, Any]:
    """The content of a plain Prometheus rule file."""
    records = [{"record": name, "expr": expr} for name, expr in RECORDS.items()]
    return {
        "groups": [
            {"name": "tenfold-records", "interval": "30s", "rules": records},
            {"name": "tenfold-alerts", "rules": [_alert(alert) for alert in ALERTS]},
        ]
    }


def rule_resource() -> dict[str, Any]:
    """The same rules as a PrometheusRule of the Prometheus operator."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {
            "name": "tenfold",
            "labels": {"app.kubernetes.io/part-of": "tenfold", "release": "prometheus"},
        },
        "spec": rule_file(),
    }


def _alert(alert: Alert) -> dict[str, Any]:
    rule: dict[str, Any] = {"alert": alert.name, "expr": alert.expr.strip()}
    if alert.wait != "0s":
        rule["for"] = alert.wait
    rule["labels"] = {"severity": alert.severity}
    rule["annotations"] = {"summary": alert.summary, "runbook": alert.action}
    return rule
