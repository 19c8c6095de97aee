"""Trials are nested runs, written by a thread, once each, also over a kill; a failure is words."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path
from typing import Any

from tenfold.settings import Settings
from tenfold.tracking import RunFacts, Tracker, TrialFacts, TrialLog


def facts(number: int, **more: Any) -> TrialFacts:
    return TrialFacts(
        number,
        f"{number:04d} boosting",
        params={"eta": 0.1},
        metrics={"roc_auc": 0.9, "unknown": float("nan")},
        tags={"tenfold.fate": "scored"},
        curves={"stopping_loss": [(1, 0.6), (2, 0.5)]},
        **more,
    )


def test_a_training_goes_on_with_its_run_and_writes_each_trial_once(
    settings: Settings, tmp_path: Path
) -> None:
    from mlflow import MlflowClient

    oof = tmp_path / "oof-0001.npy"
    oof.write_bytes(b"scores")
    tracker = Tracker(settings)
    first = TrialLog(tracker, "churn", memory=tmp_path / "run")
    first.add(facts(1, files=(oof, tmp_path / "absent")))
    first.add(facts(1))
    assert first.close() is None
    again = TrialLog(tracker, "churn", memory=tmp_path / "run")
    for number in (1, 2):
        again.add(facts(number, status="FAILED"))
    assert again.close() is None
    assert again.close() is None
    assert again.run_id == first.run_id is not None
    client = MlflowClient(tracking_uri=settings.mlflow_uri)
    experiment = client.get_experiment_by_name("churn").experiment_id
    nested = client.search_runs(
        [experiment], f"tags.`mlflow.parentRunId` = '{first.run_id}'", order_by=["start_time"]
    )
    assert [(r.info.run_name, r.info.status) for r in nested] == [
        ("0001 boosting", "FINISHED"),
        ("0002 boosting", "FAILED"),
    ]
    run = nested[0]
    assert run.data.metrics == {"roc_auc": 0.9, "stopping_loss": 0.5}
    assert run.data.params == {"eta": "0.1"}
    assert run.data.tags["tenfold.fate"] == "scored"
    curve = client.get_metric_history(run.info.run_id, "stopping_loss")
    assert [(point.step, point.value) for point in curve] == [(1, 0.6), (2, 0.5)]
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["oof-0001.npy"]
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "manifest.json").write_text("{}")
    whole = RunFacts("churn", 3, {"family": "boosting"}, {}, {}, folder, run_id=again.run_id)
    assert tracker.log(whole) is None
    parent = client.get_run(str(again.run_id))
    assert (parent.info.run_name, parent.info.status) == ("v3", "FINISHED")


def test_without_mlflow_there_is_a_sentence(settings: Settings, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    broken = dataclasses.replace(settings, mlflow_uri=f"sqlite:///{blocked}/mlflow.db")
    log = TrialLog(Tracker(broken), "churn", memory=tmp_path / "run")
    log.add(facts(1))
    fault = log.close()
    assert fault is not None
    assert ":" in fault
    assert log.run_id is None


class Gate(Tracker):
    """A tracker whose database answers when it is told to."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.opened = threading.Event()

    def experiment(self, project: str) -> str:
        self.opened.wait()
        return super().experiment(project)


def test_a_slow_database_holds_up_neither_trials_nor_the_end(
    settings: Settings, tmp_path: Path
) -> None:
    gate = Gate(settings)
    log = TrialLog(gate, "churn", memory=tmp_path / "run")
    for number in range(20):
        log.add(facts(number))
    assert log.close(within_s=0.05) == "20 of 20 trials were not written in 0.05 s"
    gate.opened.set()
    log._thread.join(60)  # it writes what it had begun: in no other test's time
