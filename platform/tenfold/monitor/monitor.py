"""The monitor of one model version: counts and labels in, evidence out.

A pure state machine: no clock, no thread, no I/O; the aggregator owns it, calls it from one thread
and stores `state` where it likes. Equal calls in equal order give equal states, bit for bit.

The bound: for one model version, the chance that *any* channel *ever* alarms while nothing changed
is at most ``false_alarm``; so it is within any number of days, whatever the traffic. It holds when

- blocks of reference and live rows are exchangeable (feature and prediction channels), and
- no row's chance of an event, given the past, exceeds the reference's upper limit plus the
  tolerance (quality and harm channels).

Bin edges come from the reference's own rows; what this costs is bounded by the size of the
reference and is part of the false-alarm study in ``benchmarks``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tenfold.errors import DataError
from tenfold.monitor.blocks import BlockCutter, block_scores
from tenfold.monitor.channels import CHANNELS, Channel, alphas
from tenfold.monitor.evidence import BlockConformal, ProportionDetector, score_cell
from tenfold.monitor.live import LiveQuality
from tenfold.monitor.messages import CountsMessage, Outcome, SeenMessages
from tenfold.monitor.packing import pack, unpack
from tenfold.monitor.quality import EventCells, quality_bounds, quality_streams
from tenfold.monitor.reference import Reference
from tenfold.monitor.view import feature_views

__all__ = ["Monitor", "MonitorSettings"]

STATE_VERSION = 1

LABEL_BATCH = 50
"""Labels that the harm evidence takes at once, so that how labels were sent changes nothing."""

MAX_COUNTED_SOURCES = 64
"""Sources of labels that are counted apart; an exporter tells fewer of them apart."""

OTHER_SOURCES = "other"

WINDOW_BLOCKS = 10
"""Blocks that effect sizes are shown for."""

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class MonitorSettings:
    """What a monitor is told about its model.

    Attributes:
        project: name of the project.
        version: of the model in the registry.
        task: ``"binary"``, ``"multiclass"``, ``"regression"`` or ``"clustering"``.
        positive_class: of a binary task.
        false_alarm: chance of ever any false alarm of this version, over all channels.
        harm_tolerance: rise of the mean loss that is still accepted.
    """

    project: str
    version: int
    task: str
    positive_class: str | None = None
    false_alarm: float = 0.01
    harm_tolerance: float = 0.02


class Monitor:
    """Counts and labels of one model version in, evidence out.

    Args:
        reference: of the model.
        settings: what else there is to know.
    """

    def __init__(self, reference: Reference, settings: MonitorSettings) -> None:
        self.reference = reference
        self.settings = settings
        spent = alphas(settings.false_alarm)
        bins = reference.bins
        self._cutter = BlockCutter(
            bins, block_rows=reference.block_rows, seed=int(reference.digest[:15], 16)
        )
        self._watched = np.array(
            [i for i, column in enumerate(bins.features) if column.watched], dtype=np.int64
        )
        self._quality_streams = quality_streams(bins)
        self._events = EventCells(self._quality_streams)
        self._quality = ProportionDetector(
            quality_bounds(
                self._quality_streams, reference.totals, reference.n_rows, delta=spent["quality"][1]
            ),
            alpha=spent["quality"][0],
        )
        self._features = BlockConformal(reference.bag[self._watched], alpha=sum(spent["feature"]))
        scored = [] if bins.score is None else [len(bins.features)]
        self._scored = np.array(scored, dtype=np.int64)
        self._predictions = BlockConformal(
            reference.bag[self._scored], alpha=sum(spent["prediction"])
        )
        loss = reference.loss
        limit = 1.0
        if loss is not None:
            limit = min(1.0, loss.upper(delta=spent["harm"][1]) + settings.harm_tolerance)
        self._harm = ProportionDetector(np.array([limit]), alpha=spent["harm"][0])
        self.harm_bound = limit
        self.channels = self._make_channels()
        self._live = LiveQuality(settings.task)
        self._pending: list[float] = []
        self._pending_s = 0.0  # when the first of them was answered
        self._seen = SeenMessages()
        self._window: list[Counts] = []
        self._totals: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._feedback: Counter[tuple[str, str]] = Counter()
        self._busy_s = 0.0
        self._updated_s = 0.0

    def _make_channels(self) -> dict[str, Channel]:
        features = [self.reference.bins.features[i].name for i in self._watched]
        streams = {
            "quality": [f"{s.column}:{s.kind}" for s in self._quality_streams],
            "feature": features,
            "prediction": ["prediction"] * len(self._scored),
            "harm": ["loss"],
        }
        mixtures = {
            "quality": self._quality.mixture,
            "feature": self._features.mixture,
            "prediction": self._predictions.mixture,
            "harm": self._harm.mixture,
        }
        return {name: Channel(name, tuple(streams[name]), mixtures[name]) for name in CHANNELS}

    def observe(
        self, message: CountsMessage, *, between: Callable[[], object] = lambda: None
    ) -> bool:
        """Take a replica's counts.

        Args:
            message: the counts.
            between: called after each block of rows, a millisecond of work.

        Returns:
            False when the message was heard before or speaks of another version; nothing changes
            then but a counter.

        Raises:
            DataError: the counts do not fit the model's bins.
        """
        self._check(message)
        if message.version != self.settings.version:
            self._totals["foreign_messages"] += 1
            return False
        if not self._seen.is_new(message.replica, message.epoch, message.seq):
            self._totals["duplicate_messages"] += 1
            return False
        self._totals["rows"] += message.n_rows
        self._totals["dropped_rows"] += message.n_dropped
        self._errors.update(message.n_errors or {})
        self._busy_s += message.busy_s
        self._updated_s = max(self._updated_s, message.ended_s)
        for blocks in self._cutter.add(message.counts):
            self._take_blocks(blocks, now_s=message.ended_s, between=between)
        return True

    def _check(self, message: CountsMessage) -> None:
        bins = self.reference.bins
        counts = message.counts
        fits = counts.shape == (bins.n_cells,) and bool((counts >= 0).all())
        if fits and bins.columns:
            fits = bool((np.add.reduceat(counts, bins.offsets) == message.n_rows).all())
        if not fits:
            raise DataError(
                f"counts of replica {message.replica!r} must fill {bins.n_cells} cells, each "
                f"column with {message.n_rows} rows; count with the bins of version "
                f"{self.settings.version}"
            )

    def _take_blocks(self, blocks: Counts, *, now_s: float, between: Callable[[], object]) -> None:
        """Take blocks that were cut at once, ``(n_blocks, n_cells)``, one after the other."""
        reference = self.reference
        scores = block_scores(reference.bins, blocks, reference.shape)
        cells = score_cell(scores, block_rows=reference.block_rows)
        events = self._events.count(blocks)
        rows = np.full(events.shape[1], reference.block_rows, dtype=np.int64)
        first = self._cutter.n_blocks - len(blocks) + 1
        for k, block in enumerate(blocks):
            ties = self._cutter.ties(first + k)
            self._features.update(cells[k, self._watched], ties[self._watched], now_s=now_s)
            self._predictions.update(cells[k, self._scored], ties[self._scored], now_s=now_s)
            self._quality.update_counts(events[k], rows, now_s=now_s)
            for name in ("quality", "feature", "prediction"):
                self.channels[name].latch(now_s)
            kept = block.copy()  # without the others that were cut with it
            self._window = [*self._window[-(WINDOW_BLOCKS - 1) :], kept]
            between()

    def labels(self, outcomes: list[Outcome], *, now_s: float) -> None:
        """Take joined labels.

        Args:
            outcomes: predictions of this version with their labels, in the order they came.
            now_s: when they came, seconds since 1970.

        Raises:
            DataError: the model has no loss (clustering), or a number is not one.
        """
        loss = self.reference.loss
        if loss is None:
            raise DataError("a model without a target takes no labels; leave them out")
        for outcome in outcomes:
            target, score, value = self._read(outcome)
            self._live.add(outcome.id, score=score, target=target, loss=value)
            self._totals["labels"] += 0 if outcome.revised else 1
            if not outcome.revised:
                if not self._pending:
                    self._pending_s = now_s if outcome.at_s is None else outcome.at_s
                self._pending.append(value)
            if len(self._pending) == LABEL_BATCH:
                self._harm.update_losses(np.array(self._pending), now_s=self._pending_s)
                self._pending = []
                self.channels["harm"].latch(now_s)
        self._updated_s = max(self._updated_s, now_s)

    def _read(self, outcome: Outcome) -> tuple[float, float | None, float]:
        """Target, score and loss of an outcome as numbers."""
        loss = self.reference.loss
        assert loss is not None  # noqa: S101  # the caller has looked
        if self.settings.task != "regression":
            value = loss.rule.losses([outcome.value], [outcome.label]).item()
            return float(outcome.label == self.settings.positive_class), outcome.score, value
        try:
            target, predicted = float(outcome.label), float(outcome.value)
        except ValueError as error:
            raise DataError(
                f"label {outcome.label!r} of prediction {outcome.id} must be a number: "
                "send the true value of the target"
            ) from error
        return target, predicted, loss.rule.losses([predicted], [target]).item()

    def count_labels(self, counts: dict[tuple[str, str], int]) -> None:
        """Add to the label counters: (source, status) → how many.

        Who sends labels names their source: of more than `MAX_COUNTED_SOURCES` the rest is counted
        together as ``other``, so memory, checkpoint and metrics stay small.
        """
        known = {source for source, _ in self._feedback}
        for (source, status), count in counts.items():
            if source not in known and len(known) >= MAX_COUNTED_SOURCES:
                source = OTHER_SOURCES
            known.add(source)
            self._feedback[source, status] += count

    @property
    def n_labels(self) -> int:
        """Labels taken, revisions not counted."""
        return self._totals["labels"]

    @property
    def labels_since_change(self) -> int:
        """Labels since the estimated start of the harm; all labels while there is no harm."""
        change = self.channels["harm"].change
        if change is None:
            return self.n_labels
        return (self._harm.mixture.step - change[0] + 1) * LABEL_BATCH + len(self._pending)

    def snapshot(self) -> dict[str, Any]:
        """All that status pages, the exporter and the journal show; JSON values.

        Keys: project, version, reference, rows, blocks, open_rows, block_rows, errors, messages,
        updated_s, busy_s, channels (see `Channel.snapshot`), features (see `feature_views`),
        quality (measure → value, lower, upper, n), loss, labels, labels_since_change, feedback.
        """
        loss = self.reference.loss
        window = np.sum(self._window, axis=0) if self._window else self._cutter.open_counts
        totals = self._totals
        return {
            "project": self.settings.project,
            "version": self.settings.version,
            "reference": self.reference.digest,
            "rows": totals["rows"],
            "dropped_rows": totals["dropped_rows"],
            "blocks": self._cutter.n_blocks,
            "open_rows": self._cutter.open_rows,
            "block_rows": self.reference.block_rows,
            "errors": dict(self._errors),
            "messages": {
                "duplicate": totals["duplicate_messages"],
                "foreign": totals["foreign_messages"],
                "missing": self._seen.n_missing,
            },
            "updated_s": self._updated_s,
            "busy_s": self._busy_s,
            "false_alarm": self.settings.false_alarm,
            "channels": {name: channel.snapshot() for name, channel in self.channels.items()},
            "features": feature_views(self.reference, window, self.channels["feature"]),
            "quality": {name: e.to_dict() for name, e in self._live.estimates().items()},
            "loss": None
            if loss is None
            else {"reference": loss.mean, "n": loss.n, "bound": self.harm_bound},
            "labels": totals["labels"],
            "labels_since_change": self.labels_since_change,
            "feedback": [
                {"source": source, "status": status, "count": count}
                for (source, status), count in sorted(self._feedback.items())
            ],
        }

    def state(self) -> dict[str, Any]:
        """The checkpoint as JSON values: under 200 kB at 100 features."""
        return {
            "state_version": STATE_VERSION,
            "reference": self.reference.digest,
            "version": self.settings.version,
            "cutter": self._cutter.state(),
            "features": self._features.state(),
            "predictions": self._predictions.state(),
            "quality": self._quality.state(),
            "harm": self._harm.state(),
            "live": self._live.state(),
            "pending": self._pending,
            "pending_s": self._pending_s,
            "seen": self._seen.state(),
            "window": [pack(block.astype(np.int32)) for block in self._window],
            "totals": dict(self._totals),
            "errors": dict(self._errors),
            "feedback": [[*key, count] for key, count in self._feedback.items()],
            "busy_s": self._busy_s,
            "updated_s": self._updated_s,
            "channels": {name: channel.state() for name, channel in self.channels.items()},
        }

    @classmethod
    def from_state(
        cls, reference: Reference, settings: MonitorSettings, state: dict[str, Any]
    ) -> Monitor:
        """A monitor that goes on where another stopped.

        Raises:
            DataError: the state belongs to another reference, version or state format; start a
                new monitor and say so in the journal.
        """
        wanted = (STATE_VERSION, reference.digest, settings.version)
        found = tuple(state.get(key) for key in ("state_version", "reference", "version"))
        if found != wanted:
            raise DataError(
                f"a checkpoint must be of {wanted}, this one is of {found}; "
                "start the monitor without it"
            )
        monitor = cls(reference, settings)
        monitor._restore(state)
        return monitor

    def _restore(self, state: dict[str, Any]) -> None:
        self._cutter.restore(state["cutter"])
        self._features.restore(state["features"])
        self._predictions.restore(state["predictions"])
        self._quality.restore(state["quality"])
        self._harm.restore(state["harm"])
        self._live.restore(state["live"])
        self._pending = [float(loss) for loss in state["pending"]]
        self._pending_s = float(state["pending_s"])
        self._seen.restore(state["seen"])
        self._window = [unpack(block).astype(np.int64) for block in state["window"]]
        self._totals = Counter(state["totals"])
        self._errors = Counter(state["errors"])
        self._feedback = Counter({(s, status): n for s, status, n in state["feedback"]})
        self._busy_s = float(state["busy_s"])
        self._updated_s = float(state["updated_s"])
        for name, channel in self.channels.items():
            channel.restore(state["channels"][name])
