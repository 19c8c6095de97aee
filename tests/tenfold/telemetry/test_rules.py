from __future__ import annotations

import subprocess
from pathlib import Path

import yaml

from tenfold.telemetry.names import METRICS
from tenfold.telemetry.rules import ALERTS, RECORDS, metric_names, rule_file, rule_resource

KNOWN = {entry.name for entry in METRICS}


def test_every_rule_reads_metrics_of_the_table() -> None:
    for expr in (*RECORDS.values(), *(alert.expr for alert in ALERTS)):
        assert metric_names(expr) <= KNOWN, expr
        assert metric_names(expr) or "project:" in expr


def test_recorded_series_are_defined_before_they_are_read() -> None:
    for alert in ALERTS:
        for word in alert.expr.split():
            if word.startswith("project:"):
                assert word in RECORDS


def test_every_alert_says_what_to_do() -> None:
    assert len({alert.name for alert in ALERTS}) == len(ALERTS)
    for alert in ALERTS:
        assert alert.severity in {"page", "ticket"} and alert.summary and alert.action


def test_the_resource_holds_the_same_rules() -> None:
    assert rule_resource()["spec"] == rule_file()
    assert rule_resource()["kind"] == "PrometheusRule"


def test_every_alert_has_a_unit_test_that_fires_it(monitoring_folder: Path) -> None:
    text = (monitoring_folder / "tests" / "tenfold-rules.test.yaml").read_text()
    fired = {
        case["alertname"]
        for group in yaml.safe_load(text)["tests"]
        for case in group.get("alert_rule_test", [])
        if case["exp_alerts"]
    }
    assert fired == {alert.name for alert in ALERTS}


def test_promtool_accepts_the_rules(promtool: str, monitoring_folder: Path) -> None:
    rules = monitoring_folder / "tenfold-rules.yaml"
    done = subprocess.run([promtool, "check", "rules", rules], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_runs_the_unit_tests(promtool: str, monitoring_folder: Path) -> None:
    cases = monitoring_folder / "tests" / "tenfold-rules.test.yaml"
    done = subprocess.run([promtool, "test", "rules", cases], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
