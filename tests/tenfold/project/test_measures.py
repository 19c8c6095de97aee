from __future__ import annotations

import pytest

from tenfold.project.measures import (
    MEASURES,
    Task,
    default_metric,
    measures_for,
    metric_direction,
)


@pytest.mark.parametrize("task", list(Task))
def test_default_metric_fits_its_task_and_can_be_searched(task: Task) -> None:
    assert default_metric(task) in measures_for(task, searchable=True)


@pytest.mark.parametrize("name", ["log_loss", "brier", "rmse", "mae", "latency_p99_ms"])
def test_errors_and_times_are_minimized(name: str) -> None:
    assert metric_direction(name) == "minimize"


@pytest.mark.parametrize("name", ["roc_auc", "accuracy", "f1", "r2", "silhouette"])
def test_scores_are_maximized(name: str) -> None:
    assert metric_direction(name) == "maximize"


def test_latency_is_gated_for_every_task_and_never_searched() -> None:
    for task in Task:
        assert "latency_p99_ms" in measures_for(task)
        assert "latency_p99_ms" not in measures_for(task, searchable=True)


def test_names_are_keys() -> None:
    assert all(name == measure.name for name, measure in MEASURES.items())


def test_task_properties() -> None:
    assert [task.value for task in Task if task.classifies] == ["binary", "multiclass"]
    assert [task.value for task in Task if not task.supervised] == ["clustering"]
