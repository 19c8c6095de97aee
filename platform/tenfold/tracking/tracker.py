"""MLflow as a mirror for people: runs, metrics, files, versions and aliases. Nothing reads it back.

Logged from the driver only, with the client API: MLflow gets files, never `log_model`, which would
pickle. The mirror must not break a training: a failure is answered with a sentence.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tenfold.settings import Settings

__all__ = ["RunFacts", "Tracker"]

MAX_VALUE = 500
"""MLflow refuses longer parameter values."""
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "GIT_PYTHON_REFRESH": "quiet"}


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What is mirrored of one training."""

    project: str
    version: int
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    folder: Path
    """The published artifact; its files are logged as they are."""
    run_id: str | None = None
    """A run that was begun while the training ran, see `tenfold.tracking.TrialLog`."""


class Tracker:
    """Opens MLflow's database in the background (its first one takes seconds) and logs at the end.

    The import is done by the caller's thread: MLflow and what it stands on silence warnings while
    they are imported, that silence belongs to the whole process, and another thread that touches
    the warning filters meanwhile turns it off, so that an import can end half-way.

    Args:
        settings: ``mlflow_uri`` says where.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: Any = None
        self._fault: str | None = None
        self._opening = threading.Thread(target=self._open, name="mlflow", daemon=True)
        try:
            _import_quietly()
        except Exception as error:  # noqa: BLE001 - a mirror must not break what it mirrors
            self._fault = f"{type(error).__name__}: {error}"
        else:
            self._opening.start()

    def _open(self) -> None:
        from mlflow import MlflowClient

        try:
            self._settings.home.mkdir(parents=True, exist_ok=True)
            client = MlflowClient(tracking_uri=self._settings.mlflow_uri)
            client.search_experiments(max_results=1)
            self._client = client
        except Exception as error:  # noqa: BLE001 - a mirror must not break what it mirrors
            self._fault = f"{type(error).__name__}: {error}"

    def log(self, facts: RunFacts) -> str | None:
        """Mirror one run and its version; None, or why it was not mirrored."""
        return self._guarded(lambda: self._log(facts))

    def mirror_aliases(self, project: str, aliases: Mapping[str, int | None]) -> str | None:
        """Let the registered model's aliases say what the registry says.

        Args:
            project: name of the project.
            aliases: version number by alias; None where the alias points to nothing.

        Returns:
            None, or why it was not mirrored.
        """
        return self._guarded(lambda: self._mirror_aliases(project, aliases))

    def client(self) -> Any:
        """MLflow's client, when its database is open; None where it cannot be reached."""
        if self._opening.ident is not None:
            self._opening.join()
        return self._client

    @property
    def fault(self) -> str | None:
        """Why there is no client."""
        return self._fault

    def _guarded(self, work: Callable[[], None]) -> str | None:
        if self.client() is None:
            return self._fault
        try:
            work()
        except Exception as error:  # noqa: BLE001 - a mirror must not break what it mirrors
            return f"{type(error).__name__}: {error}"
        return None

    def _mirror_aliases(self, project: str, aliases: Mapping[str, int | None]) -> None:
        versions = {
            found.tags.get("tenfold.version"): found.version
            for found in self._client.search_model_versions(f"name='{project}'")
        }
        for alias, number in aliases.items():
            mirrored = versions.get(str(number))
            if mirrored is None:
                self._client.delete_registered_model_alias(project, alias)
            else:
                self._client.set_registered_model_alias(project, alias, mirrored)

    def _log(self, facts: RunFacts) -> None:
        from mlflow.entities import Metric, Param, RunTag

        client, name = self._client, f"v{facts.version}"
        if facts.run_id is None:
            run = client.create_run(self.experiment(facts.project), run_name=name)
        else:
            client.update_run(facts.run_id, name=name)
            run = client.get_run(facts.run_id)
        run_id, stamp = run.info.run_id, int(time.time() * 1000)
        client.log_batch(
            run_id,
            metrics=[
                Metric(name, value, stamp, 0)
                for name, value in facts.metrics.items()
                if math.isfinite(value)
            ],
            params=[Param(k, str(v)[:MAX_VALUE]) for k, v in facts.params.items()],
            tags=[RunTag(k, str(v)) for k, v in facts.tags.items()],
        )
        client.log_artifacts(run_id, str(facts.folder), artifact_path="model")
        client.set_terminated(run_id)
        self._register(facts, run_id)

    def experiment(self, project: str) -> str:
        """The id of a project's experiment, made when it is not there. Needs a client."""
        found = self._client.get_experiment_by_name(project)
        if found is not None:
            return str(found.experiment_id)
        location = None
        if self._settings.mlflow_uri.startswith("sqlite:"):
            location = (self._settings.home / "mlartifacts" / project).as_uri()
        return str(self._client.create_experiment(project, artifact_location=location))

    def _register(self, facts: RunFacts, run_id: str) -> None:
        from mlflow.exceptions import MlflowException

        client = self._client
        try:
            client.create_registered_model(facts.project)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        client.create_model_version(
            facts.project,
            source=facts.folder.as_uri(),
            run_id=run_id,
            tags={"tenfold.version": str(facts.version)},
        )


def _import_quietly() -> None:
    os.environ.update({k: v for k, v in QUIET.items() if k not in os.environ})
    import mlflow.entities
    import mlflow.tracking  # noqa: F401

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
