from __future__ import annotations

from types import ModuleType

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tenfold.telemetry import METRICS, ProjectView, TenfoldCollector, render
from tenfold.telemetry.exporter import MAX_FEATURES, MAX_SOURCES
from tenfold.telemetry.names import base_name, metric

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scraped(page: bytes) -> Series:
    """Every sample of a page by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


def test_every_metric_of_the_table_has_a_series_with_its_labels(views: ModuleType) -> None:
    series = scraped(render([views.full_view()]))
    assert {base_name(name) for name, _ in series} == {entry.name for entry in METRICS}
    for name, labels in series:
        expected = set(metric(base_name(name)).labels)
        assert {key for key, _ in labels} - {"le"} == expected


def test_values_come_from_the_snapshot(views: ModuleType) -> None:
    series = scraped(render([views.full_view()]))
    model = (("project", "adult"), ("version", "3"))
    harm = (("channel", "harm"), *model)
    assert series["tenfold_predictions_total", model] == 800
    assert series["tenfold_labels_total", model] == 400
    assert series["tenfold_drift_alarm", harm] == 1.0
    assert (
        series["tenfold_drift_evidence_log", harm]
        >= series["tenfold_drift_alarm_threshold_log", harm]
    )
    assert series["tenfold_performance", (("measure", "accuracy"), *model)] == 0.5
    assert series["tenfold_loss_reference_ratio", model] == 0.1
    range_ = (("cause", "out_of_range"), ("project", "adult"))
    assert series["tenfold_snapshot_quarantined_by_cause", range_] == 70
    shadow = (("project", "adult"), ("version", "4"))
    assert series["tenfold_shadow_loss_difference", shadow] == pytest.approx(0.1)
    assert series["tenfold_shadow_row_seconds", (*shadow[:1], ("quantile", "0.99"), *shadow[1:])]


def test_arms_and_the_guard_of_a_canary(views: ModuleType) -> None:
    series = scraped(render([views.full_view()]))
    canary = (("arm", "challenger"), ("project", "adult"))
    version = ("version", "4")
    assert series["tenfold_arm_requests_total", (*canary, version)] == 100
    failures = "tenfold_arm_failures_total"
    assert series[failures, (*canary, ("reason", "error"), version)] == 9
    assert series[failures, (*canary, ("reason", "late"), version)] == 0
    assert series["tenfold_arm_latency_seconds_count", (*canary, version)] == 100
    rank, champion = "tenfold_arm_score_rank", (("project", "adult"), ("version", "3"))
    assert series[f"{rank}_bucket", (("le", "0.5"), *champion)] == 300
    assert series[f"{rank}_sum", champion] == 300 * 0.25 + 500 * 0.75
    failing = (("channel", "failures"), ("project", "adult"), version)
    assert series["tenfold_canary_evidence_log", failing] == 9.0
    assert series["tenfold_canary_threshold_log", failing] == 8.0
    gone = (("project", "adult"), ("reason", "failures"), ("version", "2"))
    assert series["tenfold_canary_withdrawn_timestamp_seconds", gone] == 1.9e9
    refused = (("project", "adult"), ("reason", "probe"), ("version", "5"))
    assert series["tenfold_version_refused", refused] == 1.0


def test_a_shadow_that_never_ran_has_failures_and_no_figures() -> None:
    shadow = {"version": 2, "state": "waiting", "failures": 3}
    series = scraped(render([ProjectView("adult", shadow=shadow)]))
    model = (("project", "adult"), ("version", "2"))
    assert series["tenfold_shadow_running", model] == 0.0
    assert series["tenfold_shadow_failures_total", model] == 3
    named = {name for name, _ in series if name.startswith("tenfold_shadow")}
    assert named == {"tenfold_shadow_running", "tenfold_shadow_failures_total"}


def test_latency_cells_become_cumulative_buckets(views: ModuleType) -> None:
    series = scraped(render([views.full_view()]))
    name = "tenfold_request_latency_seconds"
    buckets = {
        edge: series[f"{name}_bucket", (("le", edge), ("project", "adult"))]
        for edge in ("0.01", "0.1", "+Inf")
    }
    assert buckets == {"0.01": 700, "0.1": 800, "+Inf": 802}
    assert series[f"{name}_count", (("project", "adult"),)] == 802
    assert series[f"{name}_sum", (("project", "adult"),)] == 4.5


def test_a_project_without_traffic_is_a_valid_page() -> None:
    series = scraped(render([ProjectView("new")]))
    assert series["tenfold_retrain_running", (("project", "new"),)] == 0.0
    assert not any(name.startswith("tenfold_request_latency") for name, _ in series)


def test_labels_stay_bounded(views: ModuleType) -> None:
    snapshot = views.harmed_monitor().snapshot()
    one = snapshot["features"]["age"]
    snapshot["features"] = {f"f{k}": {**one, "evidence": float(k)} for k in range(500)}
    snapshot["feedback"] = [
        {"source": f"s{k}", "status": "accepted", "count": k + 1} for k in range(100)
    ]
    series = scraped(render([ProjectView("adult", monitors=[snapshot])]))
    psi = [labels for name, labels in series if name == "tenfold_feature_drift_psi"]
    assert len(psi) == MAX_FEATURES
    assert (("feature", "f499"), ("project", "adult"), ("version", "3")) in psi
    sources = {dict(labels)["source"] for name, labels in series if name.endswith("feedback_total")}
    assert len(sources) == MAX_SOURCES + 1 and {"other", "s99"} <= sources
    total = sum(value for (name, _), value in series.items() if name.endswith("feedback_total"))
    assert total == 5050


def test_hostile_label_values_are_escaped(views: ModuleType) -> None:
    snapshot = views.harmed_monitor().snapshot()
    name = 'a"b\\c\nd'
    snapshot["features"] = {name: snapshot["features"]["age"]}
    series = scraped(render([ProjectView("adult", monitors=[snapshot])]))
    found = {dict(labels).get("feature") for _, labels in series} - {None}
    assert found == {name}


def test_views_are_asked_for_at_every_scrape() -> None:
    asked: list[int] = []

    def views() -> list[ProjectView]:
        asked.append(1)
        return [ProjectView("a", retrains={"done": len(asked)})]

    collector = TenfoldCollector(views)
    list(collector.describe())
    assert asked == []
    for expected in (1, 2):
        families = {family.name: family for family in collector.collect()}
        assert families["tenfold_retrain"].samples[0].value == expected
