"""The aggregator: one named Ray actor that holds the `Hub` of every project.

Replicas send it their reports, the supervisor feeds it committed log rows, and every replica asks
it for ``/metrics``, so the totals are the same whoever answers. It loads what it must watch from
the registry by itself, and saves its state in the state database, so it may be killed at any time:
what it forgets then are counts since the last checkpoint, which replicas do not send again; that
delays evidence and never makes a false alarm.
"""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, cast

import numpy as np
from sqlalchemy.exc import SQLAlchemyError

from tenfold.artifact import REFERENCE_FILE, read_artifact
from tenfold.canonical import canonical_json
from tenfold.errors import ArtifactError, TenfoldError, UserError
from tenfold.monitor import Label
from tenfold.registry import Registry
from tenfold.settings import Settings
from tenfold.telemetry import ProjectView, render
from tenfold_serve.hub import Hub, WatchedModel
from tenfold_serve.logged import LoggedPredictions
from tenfold_serve.process import Breaths, give_way, set_aside_what_stays
from tenfold_serve.shipping import Report

__all__ = ["ACTOR_NAME", "NAMESPACE", "Aggregator", "start_aggregator"]

ACTOR_NAME: Final = "tenfold-aggregator"
NAMESPACE: Final = "tenfold"
_CHECKPOINT_S: Final = 5.0
"""Shortest time between checkpoints: what a crash may cost in counted rows."""
_LIFE_BITS: Final = 53
"""Of a random number: two processes never have the same, and JSON keeps it."""

log = logging.getLogger("tenfold.serve")


class Aggregator:
    """The actor's class; without Ray it is an ordinary object. One thread calls it.

    Args:
        settings: where registry and state database are; from the environment by default.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self._registry = Registry(settings or Settings.from_env())
        self._state = self._registry.state
        self._hubs: dict[str, Hub] = {}
        self._saved_s: dict[str, float] = {}
        self._facts: dict[str, dict[str, Any]] = {}
        self._breathe = Breaths()

    def take(self, report: Report) -> bool:
        """Count a replica's report; False if it was heard before."""
        hub = self._hub(report.project)
        for message in report.counts:
            self._watch(hub, message.version)
        new = hub.take(report, between=self._breathe)
        if new:
            self._breathe()
            self._save_sometimes(hub)
        return new

    def feed(
        self,
        project: str,
        predictions: LoggedPredictions,
        labels: Sequence[Label],
    ) -> dict[str, int]:
        """Join newly committed log rows; durable when this returns if labels were among them."""
        hub = self._hub(project)
        self._watch_all(hub, predictions)
        statuses = hub.feed(predictions, labels, now_s=time.time(), between=self._breathe)
        if labels:
            self._save(hub)
        return statuses

    def rebuild(
        self,
        project: str,
        predictions: LoggedPredictions,
        labels: Sequence[Label],
    ) -> None:
        """Fill a project's index from the logs."""
        hub = self._hub(project)
        self._watch_all(hub, predictions)
        hub.rebuild(predictions, labels)

    def needs_rebuild(self, project: str) -> bool:
        """Whether the index is empty, as after a restart."""
        return not self._hub(project).has_index

    def watch(self, project: str, version: int) -> None:
        """Start the monitor of a version before its first report.

        Raises:
            ArtifactError: its artifact is broken.
        """
        self._watch(self._hub(project), version)

    def snapshot(self, project: str) -> dict[str, Any]:
        """All that is known of a project, JSON values."""
        return self._hub(project).snapshot()

    def arms(self, project: str) -> dict[str, Any]:
        """What was counted by arm, and this process' ``life``; quick, for every second."""
        return self._hub(project).arms()

    def metrics(self) -> bytes:
        """The exporter's text for all projects."""
        return render(self._view(hub) for _, hub in sorted(self._hubs.items()))

    def tell(self, project: str, facts: Mapping[str, Any]) -> None:
        """Take what only the supervisor knows, for ``/metrics``.

        Args:
            project: name of the project.
            facts: ``arms``, ``decisions``, ``retrains``, ``retrain_running``, ``prepared``,
                ``quarantined``, ``shadow``, ``guard`` and ``refused`` of `ProjectView`.
        """
        hub = self._hub(project)
        hub.answer_with(int(arm["version"]) for arm in facts.get("arms", ()))
        self._facts[project] = dict(facts)

    def save(self) -> None:
        """Checkpoint everything."""
        for hub in self._hubs.values():
            self._save(hub)

    def _view(self, hub: Hub) -> ProjectView:
        snapshot = hub.snapshot()
        return ProjectView(
            project=hub.project,
            monitors=list(snapshot["models"].values()),
            requests=snapshot["requests"],
            dropped_rows=snapshot["dropped_rows"],
            counted=snapshot["arms"],
            score_ranks=snapshot["score_ranks"],
            **self._facts.get(hub.project, {}),
        )

    def _hub(self, project: str) -> Hub:
        hub = self._hubs.get(project)
        if hub is None:
            hub = Hub(project, life=secrets.randbits(_LIFE_BITS))
            state = self._read(f"hub/{project}")
            if state is not None:
                try:
                    hub.restore(state)
                except (KeyError, TypeError, ValueError):
                    log.exception("the totals of %s start again: the checkpoint is broken", project)
                    hub = Hub(project, life=secrets.randbits(_LIFE_BITS))
            self._hubs[project] = hub
        return hub

    def _watch(self, hub: Hub, version: int) -> None:
        if hub.use(version):
            return
        found = self._registry.require(hub.project, version)
        artifact = read_artifact(found.path)
        model = WatchedModel.from_artifact(
            artifact.manifest, artifact.files[REFERENCE_FILE], version=version
        )
        state = self._read(_monitor_key(hub.project, version))
        for old, its_state in hub.watch(version, model, state=state).items():
            with self._forgiving(hub.project):
                self._put(_monitor_key(hub.project, old), its_state)

    def _watch_all(self, hub: Hub, predictions: LoggedPredictions) -> None:
        """A version that cannot be watched (removed, damaged) does not keep the others waiting."""
        for version in np.unique(predictions.versions).tolist():
            try:
                self._watch(hub, version)
            except (UserError, ArtifactError):
                log.exception("version %d of %s is not watched", version, hub.project)

    def _read(self, key: str) -> dict[str, Any] | None:
        body = self._state.get_checkpoint(key)
        if body is None:
            return None
        try:
            return cast(dict[str, Any], json.loads(body))
        except ValueError:
            log.exception("the checkpoint %s is broken and starts again", key)
            return None

    def _save_sometimes(self, hub: Hub) -> None:
        if time.monotonic() - self._saved_s.get(hub.project, 0.0) >= _CHECKPOINT_S:
            self._save(hub)

    def _save(self, hub: Hub) -> None:
        self._saved_s[hub.project] = time.monotonic()
        with self._forgiving(hub.project):
            for version in hub.versions():
                self._put(_monitor_key(hub.project, version), hub.monitor_state(version))
                self._breathe()
            self._put(f"hub/{hub.project}", hub.state())

    @contextmanager
    def _forgiving(self, project: str) -> Iterator[None]:
        """A checkpoint that cannot be written costs only what a crash would then forget."""
        try:
            yield
        except (TenfoldError, SQLAlchemyError, OSError, ValueError):
            log.exception("the checkpoint of %s was not written; the next one tries", project)

    def _put(self, key: str, state: Mapping[str, Any]) -> None:
        self._state.put_checkpoint(key, canonical_json(state))


class AggregatorActor(Aggregator):
    """The aggregator in a process of its own, which gives way to those that answer."""

    def __init__(self) -> None:
        give_way()
        super().__init__()
        set_aside_what_stays()


def start_aggregator() -> Any:
    """The actor's handle; the actor is started if it is not there.

    It outlives its maker (detached), is started again when its process dies, and reserves no CPU.
    """
    import ray

    actor = ray.remote(AggregatorActor)
    return actor.options(
        name=ACTOR_NAME,
        namespace=NAMESPACE,
        lifetime="detached",
        get_if_exists=True,
        max_restarts=-1,
        max_task_retries=0,
        num_cpus=0,
    ).remote()


def _monitor_key(project: str, version: int) -> str:
    return f"monitor/{project}/{version}"
