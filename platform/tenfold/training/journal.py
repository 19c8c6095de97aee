"""The journal of a search: what was asked and told, in order, and the out-of-fold scores.

One folder a search. ``events.jsonl`` has one line for each configuration that was handed out and
one for each outcome; ``oof-0007.npy`` holds the out-of-fold scores of configuration 7, float32
(n_rows, k), data only. Scores are written before their outcome, so whoever reads an outcome finds
them; a line that a crash cut in the middle is dropped, and what it told is done again.

**One writer**: the owner of the board. Anybody may read. Played back line by line, the events bring
a board to where it was, so a killed search goes on and loses at most what was under way.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tenfold.canonical import canonical_json, finite_or_none, store_error, write_atomic
from tenfold.training.evaluate import Bar, Config, Fate, Outcome

__all__ = [
    "FolderJournal",
    "Journal",
    "MemoryJournal",
    "config_of",
    "config_to_dict",
    "outcome_of",
    "outcome_to_dict",
]

EVENTS = "events.jsonl"
KEPT_BYTES = 2 * 1024**3
"""Out-of-fold scores that a search keeps; beyond it those that were worst when they came go."""

Event = Config | Outcome
"""A configuration that was handed out, or an outcome that was told."""


class Journal(Protocol):
    """Where a search writes down what happens."""

    def events(self) -> Iterator[Event]:
        """What an earlier run of the same search left, in order."""
        ...

    def add(self, event: Event) -> None:
        """One event more; it is durable when this returns. Its out-of-fold scores are not in it,
        see `keep`."""
        ...

    def rewrite(self, events: list[Event]) -> None:
        """Put these events in the place of all, whole: what a crash cut off must not stay before
        what is added next."""
        ...

    def keep(self, number: int, oof: NDArray[np.float32]) -> None:
        """The out-of-fold scores float32 (n_rows, k) of a configuration, before its outcome."""
        ...

    def drop(self, number: int) -> None:
        """Forget the out-of-fold scores of a configuration."""
        ...

    def oof_of(self, number: int) -> NDArray[np.float32] | None:
        """The out-of-fold scores of a configuration, or None where none are kept."""
        ...

    def kept(self) -> dict[int, int]:
        """Bytes of the out-of-fold scores that are kept, by number."""
        ...


class MemoryJournal:
    """A journal that ends with its process.

    >>> journal = MemoryJournal()
    >>> journal.keep(3, np.zeros((2, 1), np.float32))
    >>> journal.oof_of(3).shape, journal.oof_of(4)
    ((2, 1), None)
    """

    def __init__(self) -> None:
        self._oofs: dict[int, NDArray[np.float32]] = {}

    def events(self) -> Iterator[Event]:
        """None: nothing was before."""
        return iter(())

    def add(self, event: Event) -> None:
        """Nobody reads it."""

    def rewrite(self, events: list[Event]) -> None:
        """Nobody reads them."""

    def keep(self, number: int, oof: NDArray[np.float32]) -> None:
        """Held as it is."""
        self._oofs[number] = oof

    def drop(self, number: int) -> None:
        """Forget them."""
        self._oofs.pop(number, None)

    def oof_of(self, number: int) -> NDArray[np.float32] | None:
        """As they were kept."""
        return self._oofs.get(number)

    def kept(self) -> dict[int, int]:
        """What is held."""
        return {number: int(oof.nbytes) for number, oof in self._oofs.items()}


class FolderJournal:
    """A journal on disk, for the board's owner to write and for anybody to read.

    Args:
        folder: of this search alone; made when something is written.

    Raises:
        StoreError: whatever is written does not fit the disk, or cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def events(self) -> Iterator[Event]:
        """The lines up to the first that is not whole, or whose scores are not."""
        try:
            text = (self.folder / EVENTS).read_bytes()
        except FileNotFoundError:
            return
        for line in text.split(b"\n")[:-1]:  # what follows the last line feed was cut
            try:
                yield _event_of(json.loads(line))
            except (ValueError, KeyError, TypeError):
                return

    def add(self, event: Event) -> None:
        """Append one line and wait for the disk."""
        path = self.folder / EVENTS
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                os.write(handle, canonical_json(_event_to_dict(event)) + b"\n")
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            raise store_error(path, error) from error

    def rewrite(self, events: list[Event]) -> None:
        """Write the file anew, whole."""
        lines = [canonical_json(_event_to_dict(event)) + b"\n" for event in events]
        write_atomic(self.folder / EVENTS, b"".join(lines))

    def keep(self, number: int, oof: NDArray[np.float32]) -> None:
        """Write a file whole."""
        body = io.BytesIO()
        np.save(body, np.ascontiguousarray(oof, dtype=np.float32), allow_pickle=False)
        write_atomic(self._path(number), body.getvalue())

    def drop(self, number: int) -> None:
        """Remove the file."""
        self._path(number).unlink(missing_ok=True)

    def oof_of(self, number: int) -> NDArray[np.float32] | None:
        """Mapped from the file: read-only, and no memory of this process until it is touched."""
        try:
            found = np.load(self._path(number), mmap_mode="r", allow_pickle=False)
        except (FileNotFoundError, ValueError, EOFError):
            return None
        return found if found.ndim == 2 and found.dtype == np.float32 else None

    def kept(self) -> dict[int, int]:
        """The files that are there."""
        found = self.folder.glob("oof-*.npy")
        return {int(path.stem.removeprefix("oof-")): path.stat().st_size for path in found}

    def _path(self, number: int) -> Path:
        return self.folder / f"oof-{number:04d}.npy"


def config_to_dict(config: Config) -> dict[str, Any]:
    """JSON form."""
    return {
        "number": config.number,
        "family": config.family,
        "params": dict(config.params),
        "must": config.must,
        "bars": [[bar.folds, bar.score] for bar in config.bars],
    }


def config_of(body: Mapping[str, Any]) -> Config:
    """The inverse of `config_to_dict`.

    >>> config_of(config_to_dict(Config(1, "linear", {"c": 0.5}))).params
    {'c': 0.5}
    """
    bars = tuple(Bar(int(folds), float(score)) for folds, score in body["bars"])
    return Config(body["number"], body["family"], body["params"], must=body["must"], bars=bars)


def outcome_to_dict(outcome: Outcome) -> dict[str, Any]:
    """JSON form, without the out-of-fold scores; NaN is null."""
    return {
        "number": outcome.number,
        "score": finite_or_none(outcome.score),
        "fold_scores": [finite_or_none(score) for score in outcome.fold_scores],
        "rounds": outcome.rounds,
        "seconds": outcome.seconds,
        "error": outcome.error,
        "fate": outcome.fate.value,
        "early": [finite_or_none(score) for score in outcome.early],
        "curve": [[n, finite_or_none(loss)] for n, loss in outcome.curve],
    }


def outcome_of(body: Mapping[str, Any]) -> Outcome:
    """The inverse of `outcome_to_dict`.

    >>> outcome_of(outcome_to_dict(Outcome(1, float("nan"), (0.5,), error="no"))).fold_scores
    (0.5,)
    """
    return Outcome(
        number=body["number"],
        score=_number(body["score"]),
        fold_scores=tuple(_number(score) for score in body["fold_scores"]),
        rounds=body["rounds"],
        seconds=body["seconds"],
        error=body["error"],
        fate=Fate(body["fate"]),
        early=tuple(_number(score) for score in body["early"]),
        curve=tuple((int(n), _number(loss)) for n, loss in body["curve"]),
    )


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _event_to_dict(event: Event) -> dict[str, Any]:
    if isinstance(event, Config):
        return {"asked": config_to_dict(event)}
    return {"told": outcome_to_dict(event)}


def _event_of(body: Mapping[str, Any]) -> Event:
    return config_of(body["asked"]) if "asked" in body else outcome_of(body["told"])
