"""Everything the aggregator knows about one project: pure, one thread, no clock, no I/O.

It holds a `Monitor` per model version, the index that joins labels with predictions, and the totals
of requests. `Hub.state` and `Hub.from_state` carry it over a restart; the index is filled again
from the committed logs (`Hub.rebuild`), because it is large and they are its source.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tenfold.artifact import Manifest
from tenfold.errors import DataError
from tenfold.monitor import (
    CountsMessage,
    Joined,
    Label,
    LabelJoiner,
    LabelStatus,
    Monitor,
    MonitorSettings,
    Outcome,
    Predictions,
    Reference,
)
from tenfold.monitor.arms import ArmTotals
from tenfold.monitor.levels import score_ranks
from tenfold.monitor.messages import SeenMessages
from tenfold_serve.logged import LoggedPredictions
from tenfold_serve.shipping import Report

__all__ = ["Hub", "WatchedModel"]

_MAX_MODELS: Final = 8
"""Monitors kept: those of the models that answer, and the others that were used last."""


@dataclass(frozen=True)
class WatchedModel:
    """What the hub must know to watch a version.

    Attributes:
        reference: what live rows are compared with.
        settings: of its monitor.
        score_index: column of the scores that is the positive class' probability or the number;
            None where there is none.
    """

    reference: Reference
    settings: MonitorSettings
    score_index: int | None

    @classmethod
    def from_artifact(cls, manifest: Manifest, reference: bytes, *, version: int) -> WatchedModel:
        """From an artifact's manifest and its ``reference.json``."""
        project = manifest.project
        monitor = project.get("monitor", {})
        index: int | None = None
        if manifest.task == "regression":
            index = 0
        elif manifest.task == "binary" and manifest.positive_class in manifest.classes:
            index = list(manifest.classes).index(manifest.positive_class)
        return cls(
            reference=Reference.from_bytes(reference),
            settings=MonitorSettings(
                project=str(project["name"]),
                version=version,
                task=manifest.task,
                positive_class=manifest.positive_class,
                false_alarm=float(monitor.get("false_alarm", 0.01)),
                harm_tolerance=float(monitor.get("harm_tolerance", 0.02)),
            ),
            score_index=index,
        )


class Hub:
    """One project's live knowledge. The aggregator owns it.

    Args:
        project: its name.
        life: of the process' own, and of no other's: who takes differences of the totals starts
            again where it changed, since a restart forgets what came after its checkpoint.
    """

    def __init__(self, project: str, *, life: int = 0) -> None:
        self.project = project
        self._models: dict[int, WatchedModel] = {}
        self._monitors: OrderedDict[int, Monitor] = OrderedDict()  # the one used last stands last
        self._answering: frozenset[int] = frozenset()
        self._joiner = LabelJoiner()
        self._seen = SeenMessages()
        self._statuses: Counter[str] = Counter()
        self._latency_edges_s: list[float] = []
        self._latency_cells: list[int] = []
        self._latency_sum_s = 0.0
        self._dropped_rows = 0
        self._misfits = 0
        self._arms: OrderedDict[str, ArmTotals] = OrderedDict()  # the one told last stands last
        self._life = life
        self._score_cells: dict[int, npt.NDArray[np.int64]] = {}

    @property
    def has_index(self) -> bool:
        """Whether any prediction is known for joining; not so after a restart."""
        return self._joiner.n_predictions > 0

    def use(self, version: int) -> bool:
        """Whether the version has a monitor, which then is not the next to go."""
        found = version in self._monitors
        if found:
            self._monitors.move_to_end(version)
        return found

    def answer_with(self, versions: Iterable[int]) -> None:
        """Name the models that answer: their monitors stay, however long they were not used."""
        self._answering = frozenset(versions)

    def watch(
        self, version: int, model: WatchedModel, *, state: Mapping[str, Any] | None = None
    ) -> dict[int, dict[str, Any]]:
        """Start the monitor of a version, from a checkpoint if it has one that fits.

        Returns:
            Checkpoints of the monitors that had to make room, by version, to be kept.
        """
        try:
            monitor = (
                Monitor(model.reference, model.settings)
                if state is None
                else Monitor.from_state(model.reference, model.settings, dict(state))
            )
        except DataError:  # the checkpoint is another model's: it cost delay, never a false alarm
            monitor = Monitor(model.reference, model.settings)
        self._models[version] = model
        self._monitors[version] = monitor
        self._monitors.move_to_end(version)
        others = [old for old in self._monitors if old != version and old not in self._answering]
        gone = others[: max(0, len(self._monitors) - _MAX_MODELS)]
        states = {}
        for old in gone:
            del self._models[old]
            self._score_cells.pop(old, None)
            states[old] = self._monitors.pop(old).state()
        return states

    def take(self, report: Report, *, between: Callable[[], object] = lambda: None) -> bool:
        """Count a replica's report; False if it was heard before.

        Args:
            report: the report.
            between: called between pieces of the work.

        Raises:
            DataError: it speaks of a version that is not watched yet: the replica keeps it and
                sends it again.
            ValueError: its totals have another form than these; nothing of it was heard, and it can
                be sent again.
        """
        arms = [ArmTotals.from_dict(told) for told in report.arms]
        for message in report.counts:
            if message.version not in self._monitors:
                raise DataError(f"version {message.version} of {self.project!r} is not watched yet")
        for message in report.counts:
            if self._monitors[message.version].observe(message, between=between):
                self._rank(message)
        if not self._seen.is_new(report.replica, report.epoch, report.seq):
            return False
        self._dropped_rows += report.dropped_rows
        self._statuses.update(report.requests["statuses"])
        cells = report.requests["latency_cells"]
        if report.requests["latency_edges_s"] != self._latency_edges_s:
            self._latency_edges_s = list(report.requests["latency_edges_s"])
            self._latency_cells = [0] * len(cells)
        pairs = zip(self._latency_cells, cells, strict=True)
        self._latency_cells = [old + new for old, new in pairs]
        self._latency_sum_s += report.requests["latency_sum_s"]
        for told in arms:
            self._add_arm(told)
        return True

    def feed(
        self,
        predictions: LoggedPredictions,
        labels: Iterable[Label],
        *,
        now_s: float,
        between: Callable[[], object] = lambda: None,
    ) -> dict[str, int]:
        """Join newly committed log rows and let the monitors see the outcomes.

        A label that is none for the model that answered (a word for a number) judges nobody and is
        counted, see ``misfit_labels`` of `snapshot`.

        Args:
            predictions: rows of the log.
            labels: that came.
            now_s: seconds since 1970.
            between: called between pieces of the work.

        Returns:
            How many labels got which status.
        """
        joined = self._index(predictions)
        between()
        for label in labels:
            joined.append(self._joiner.label(label))
            between()
        outcomes: dict[int, list[Outcome]] = {}
        statuses: dict[int, Counter[tuple[str, str]]] = {}
        for item in joined:
            version = -1 if item.predicted is None else item.predicted.version
            source = item.label.source
            statuses.setdefault(version, Counter())[source, item.status.value] += 1
            outcome = _outcome(item)
            if outcome is not None:
                outcomes.setdefault(version, []).append(outcome)
        for version, monitor in self._monitors.items():
            for outcome in outcomes.get(version, ()):
                try:  # how labels are handed over changes nothing: each on its own
                    monitor.labels([outcome], now_s=now_s)
                except DataError:  # it was checked by another version's schema
                    self._misfits += 1
                between()
            if version in statuses:
                monitor.count_labels(dict(statuses[version]))
        return dict(Counter(item.status.value for item in joined))

    def rebuild(self, predictions: LoggedPredictions, labels: Iterable[Label]) -> None:
        """Fill the index from the logs after a restart; the monitors have seen these already."""
        self._joiner = LabelJoiner()
        self._index(predictions)
        for label in labels:
            self._joiner.label(label)

    def snapshot(self) -> dict[str, Any]:
        """For status, exporter and journal; JSON values."""
        return {
            "project": self.project,
            "models": {str(v): m.snapshot() for v, m in sorted(self._monitors.items())},
            "requests": {
                "statuses": dict(self._statuses),
                "latency_edges_s": self._latency_edges_s,
                "latency_cells": self._latency_cells,
                "latency_sum_s": self._latency_sum_s,
            },
            "dropped_rows": self._dropped_rows,
            **self.arms(),
            "score_ranks": self._ranks(),
            "misfit_labels": self._misfits,
            "waiting_labels": self._joiner.n_waiting,
            "indexed_predictions": self._joiner.n_predictions,
        }

    def arms(self) -> dict[str, Any]:
        """``arms`` and ``life`` of `snapshot` alone, for the guard of a canary."""
        return {"arms": [total.to_dict() for total in self._arms.values()], "life": self._life}

    def monitor_state(self, version: int) -> dict[str, Any]:
        """The checkpoint of a version's monitor, JSON values."""
        return self._monitors[version].state()

    def versions(self) -> list[int]:
        """The watched versions, oldest first."""
        return sorted(self._monitors)

    def state(self) -> dict[str, Any]:
        """The totals of requests as JSON values."""
        return {
            "seen": self._seen.state(),
            "statuses": dict(self._statuses),
            "latency_edges_s": self._latency_edges_s,
            "latency_cells": self._latency_cells,
            "latency_sum_s": self._latency_sum_s,
            "dropped_rows": self._dropped_rows,
            "arms": [total.to_dict() for total in self._arms.values()],
            "score_cells": {
                str(version): cells.tolist()
                for version, cells in self._score_cells.items()
                if version in self._monitors
            },
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a state of `state`."""
        self._seen.restore(state["seen"])
        self._statuses = Counter(state["statuses"])
        self._latency_edges_s = list(state["latency_edges_s"])
        self._latency_cells = list(state["latency_cells"])
        self._latency_sum_s = float(state["latency_sum_s"])
        self._dropped_rows = int(state["dropped_rows"])
        for told in state.get("arms", ()):
            self._add_arm(ArmTotals.from_dict(told))
        self._score_cells = {
            int(version): np.array(cells, dtype=np.int64)
            for version, cells in state.get("score_cells", {}).items()
        }

    def _rank(self, message: CountsMessage) -> None:
        bins = self._models[message.version].reference.bins
        if bins.score is not None:
            cells = bins.split(message.counts)[-1]
            before = self._score_cells.get(message.version)
            fits = before is not None and before.shape == cells.shape
            self._score_cells[message.version] = before + cells if fits else cells.copy()

    def _ranks(self) -> dict[str, Any]:
        """By watched version, see `score_ranks`."""
        found = {
            str(version): score_ranks(model.reference, self._score_cells[version])
            for version, model in self._models.items()
            if version in self._score_cells
        }
        return {version: ranks for version, ranks in found.items() if ranks is not None}

    def _add_arm(self, more: ArmTotals) -> None:
        total = self._arms.setdefault(more.key, ArmTotals(more.arm, more.version))
        total.add(more)
        self._arms.move_to_end(more.key)
        while len(self._arms) > _MAX_MODELS:
            self._arms.popitem(last=False)

    def _index(self, logged: LoggedPredictions) -> list[Joined]:
        scores = np.full(len(logged), np.nan)
        for version in np.unique(logged.versions).tolist():
            model = self._models.get(version)
            if model is not None and model.score_index is not None:
                own = logged.versions == version
                scores[own] = logged.scores_at(model.score_index)[own]
        # A message may lie in memory that is shared and scarce: what stays is copied.
        versions, at_s = logged.versions.copy(), logged.at_s.copy()
        return self._joiner.predicted(
            Predictions(logged.ids, versions, logged.values, scores, at_s)
        )


def _outcome(item: Joined) -> Outcome | None:
    if item.predicted is None or item.status not in (LabelStatus.ACCEPTED, LabelStatus.REVISED):
        return None
    return Outcome(
        id=item.predicted.id,
        value=item.predicted.value,
        label=item.value,
        score=item.predicted.score,
        revised=item.status is LabelStatus.REVISED,
        at_s=item.predicted.at_s,
    )
