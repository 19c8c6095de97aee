"""Telling MLflow: once, after the registry, and a failure is a sentence that is said."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tenfold.progress import Advance
from tenfold.settings import Settings
from tenfold.tracking import RunFacts
from tenfold_jobs.mirror import tell_mlflow
from tests.tenfold_jobs.conftest import PublishSmall


class Heard:
    """A progress that remembers what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    @contextmanager
    def step(self, name: str, *, total: int | None = None) -> Iterator[Advance]:
        yield lambda _n: None


def test_the_run_and_the_aliases_are_told(settings: Settings, publish_small: PublishSmall) -> None:
    version = publish_small("churn", promote=True)
    run = RunFacts("churn", version.version, {}, {"roc_auc": 0.9}, {}, version.path)
    said = Heard()
    assert tell_mlflow("churn", settings, run=run, progress=said) is None
    assert said.said == []
    from mlflow import MlflowClient

    mirrored = MlflowClient(tracking_uri=settings.mlflow_uri)
    champion = mirrored.get_model_version_by_alias("churn", "champion")
    assert champion.tags["tenfold.version"] == "1"
    publish_small("churn", promote=True)  # a version that MLflow knows nothing of
    assert tell_mlflow("churn", settings) is None
    assert mirrored.get_registered_model("churn").aliases == {}


def test_a_mirror_that_is_away_is_said_and_breaks_nothing(
    settings: Settings, tmp_path: Path, publish_small: PublishSmall
) -> None:
    publish_small("churn", promote=True)
    (tmp_path / "file").write_text("not a folder")
    away = dataclasses.replace(settings, mlflow_uri=f"sqlite:///{tmp_path}/file/mlflow.db")
    said = Heard()
    fault = tell_mlflow("churn", away, progress=said)
    assert fault is not None
    assert said.said == [f"MLflow was not told ({fault}); the registry has it"]
