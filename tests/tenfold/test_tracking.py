"""The mirror tells MLflow everything once, and its failure is a sentence, not an exception."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

from tenfold.settings import Settings
from tenfold.tracking import RunFacts, Tracker


def facts(folder: Path, version: int) -> RunFacts:
    folder.mkdir(exist_ok=True)
    (folder / "manifest.json").write_text("{}")
    return RunFacts(
        project="churn",
        version=version,
        params={"eta": 0.1, "long": "x" * 900},
        metrics={"roc_auc": 0.9, "unknown": float("nan")},
        tags={"tenfold.digest": "abc"},
        folder=folder,
    )


def test_runs_versions_and_aliases_are_mirrored(settings: Settings, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    tracker = Tracker(settings)
    assert tracker.log(facts(tmp_path / "one", 1)) is None
    assert tracker.log(facts(tmp_path / "two", 2)) is None
    assert tracker.mirror_aliases("churn", {"champion": 1, "challenger": 2}) is None
    client = MlflowClient(tracking_uri=settings.mlflow_uri)
    assert client.get_model_version_by_alias("churn", "challenger").tags["tenfold.version"] == "2"
    assert tracker.mirror_aliases("churn", {"champion": 2, "challenger": None}) is None
    assert client.get_model_version_by_alias("churn", "champion").tags["tenfold.version"] == "2"
    assert set(client.get_registered_model("churn").aliases) == {"champion"}
    assert tracker.mirror_aliases("churn", {"champion": 1, "challenger": None}) is None
    champion = client.get_model_version_by_alias("churn", "champion")
    assert champion.tags["tenfold.version"] == "1"
    assert len(client.search_model_versions("name='churn'")) == 2
    run = client.get_run(champion.run_id)
    assert run.data.metrics == {"roc_auc": 0.9}
    assert len(run.data.params["long"]) == 500
    assert run.info.status == "FINISHED"
    assert [f.path for f in client.list_artifacts(champion.run_id, "model")] == [
        "model/manifest.json"
    ]


def test_an_unreachable_mirror_is_a_sentence(settings: Settings, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    broken = dataclasses.replace(settings, mlflow_uri=f"sqlite:///{blocked}/mlflow.db")
    fault = Tracker(broken).log(facts(tmp_path / "one", 1))
    assert fault is not None
    assert ":" in fault


def test_the_import_is_over_before_another_thread_can_touch_the_warnings(
    settings: Settings,
) -> None:
    """MLflow's imports silence warnings for the whole process: they must not overlap with code that
    does the same, or an import ends half-way with another thread's filter."""
    code = """
import sys, warnings
from tenfold.settings import Settings
from tenfold.tracking import Tracker

tracker = Tracker(Settings.from_env())
assert "mlflow.tracking" in sys.modules
with warnings.catch_warnings():
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", "The ``noload`` loader strategy")
    fault = tracker.mirror_aliases("churn", {})
assert fault is None, fault
"""
    environ = os.environ | {"TENFOLD_HOME": str(settings.home)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
