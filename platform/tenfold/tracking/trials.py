"""The trials of a training as nested runs of MLflow, written while they come by a thread.

`add` costs its caller nothing: a trial is a few writes of some 30 ms each to a database, and these
are made by a thread of the driver. What is still unwritten when the training ends is waited for a
few seconds, then counted and left out: a mirror must not hold up what it mirrors.
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tenfold.canonical import write_atomic
from tenfold.tracking.tracker import MAX_VALUE, Tracker

__all__ = ["TrialFacts", "TrialLog"]

CLOSE_S = 5.0
"""Seconds that a training waits at its end for trials that are not written yet."""
PARENT, NUMBER = "mlflow.parentRunId", "tenfold.number"
PAGE_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class TrialFacts:
    """What is mirrored of one trial.

    Attributes:
        number: in its search; told once.
        name: of the nested run.
        params: of the configuration.
        metrics: final values; those that are not finite are left out.
        tags: words.
        curves: name to (step, value) pairs.
        status: MLflow's: ``FINISHED``, ``FAILED`` or ``KILLED``.
        files: logged as they are, where they exist.
    """

    number: int
    name: str
    params: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    curves: Mapping[str, Sequence[tuple[int, float]]] = field(default_factory=dict)
    status: str = "FINISHED"
    files: tuple[Path, ...] = ()


class TrialLog:
    """The run of a training with its trials. `add` and `close` are for one thread.

    Args:
        tracker: whose database is opened in the background.
        project: the experiment's name.
        memory: a file that remembers the run, so that a training that was killed goes on with it.
    """

    def __init__(self, tracker: Tracker, project: str, *, memory: Path) -> None:
        self._tracker, self._project, self._memory = tracker, project, memory
        self._queue: queue.SimpleQueue[TrialFacts | None] = queue.SimpleQueue()
        self._added: set[int] = set()
        self._known: set[int] = set()
        self._left_out = threading.Event()
        self._n_written = 0
        self._fault: str | None = None
        self.run_id: str | None = None
        self._thread = threading.Thread(target=self._write, name="mlflow-trials", daemon=True)
        self._thread.start()

    def add(self, facts: TrialFacts) -> None:
        """One trial more; a second one of the same number is ignored. Returns at once."""
        if facts.number not in self._added:
            self._added.add(facts.number)
            self._queue.put(facts)

    def close(self, *, within_s: float = CLOSE_S) -> str | None:
        """Wait for what is not written yet.

        Args:
            within_s: at most so long once the database is open; the rest is left out.

        Returns:
            None, or what was not mirrored and why.
        """
        self._queue.put(None)
        self._tracker.client()  # a first database takes seconds, and is waited for anyway
        self._thread.join(within_s)
        if self._thread.is_alive():
            self._left_out.set()
            self._thread.join(within_s)
            missing = len(self._added) - self._n_written
            return f"{missing} of {len(self._added)} trials were not written in {within_s:g} s"
        return self._fault

    def _write(self) -> None:
        try:
            client = self._tracker.client()
            if client is None:
                self._fault = self._tracker.fault
                return
            experiment = self._tracker.experiment(self._project)
            self.run_id = self._resume(client, experiment) or self._begin(client, experiment)
            while not self._left_out.is_set() and (facts := self._queue.get()) is not None:
                if facts.number not in self._known:
                    self._write_trial(client, experiment, facts)
                self._n_written += 1
        except Exception as error:  # noqa: BLE001 - a mirror must not break what it mirrors
            self._fault = f"{type(error).__name__}: {error}"

    def _begin(self, client: Any, experiment: str) -> str:
        run_id = str(client.create_run(experiment, run_name="training").info.run_id)
        write_atomic(self._memory, run_id.encode())
        return run_id

    def _resume(self, client: Any, experiment: str) -> str | None:
        """The run of an earlier, killed training of the same search, if it is still there."""
        from mlflow.exceptions import MlflowException

        try:
            run_id = self._memory.read_text()
            client.get_run(run_id)
        except (OSError, MlflowException):
            return None
        token = None
        while True:
            page = client.search_runs(
                [experiment],
                filter_string=f"tags.`{PARENT}` = '{run_id}'",
                max_results=PAGE_ROWS,
                page_token=token,
            )
            self._known |= {int(run.data.tags[NUMBER]) for run in page if NUMBER in run.data.tags}
            token = page.token
            if not token:
                return run_id

    def _write_trial(self, client: Any, experiment: str, facts: TrialFacts) -> None:
        from mlflow.entities import Metric, Param

        stamp = int(time.time() * 1000)
        tags = {PARENT: str(self.run_id), NUMBER: str(facts.number), **facts.tags}
        run = client.create_run(experiment, run_name=facts.name, tags=tags)
        points = [(name, value, 0) for name, value in facts.metrics.items()]
        points += [(name, v, step) for name, curve in facts.curves.items() for step, v in curve]
        client.log_batch(
            run.info.run_id,
            metrics=[Metric(n, v, stamp, step) for n, v, step in points if math.isfinite(v)],
            params=[Param(name, str(value)[:MAX_VALUE]) for name, value in facts.params.items()],
        )
        for file in facts.files:
            if file.is_file():
                client.log_artifact(run.info.run_id, str(file))
        client.set_terminated(run.info.run_id, status=facts.status)
