"""The search of a training: its folder, its limits, what it tells while it runs."""

from __future__ import annotations

import fcntl
import math
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tenfold
from tenfold.canonical import canonical_json, sha256_hex, store_error
from tenfold.cluster import Plan
from tenfold.data import Snapshot
from tenfold.progress import Progress
from tenfold.project import Project
from tenfold.settings import Settings
from tenfold.training.blend import MAX_JUDGED_ROWS
from tenfold.training.board import LastFits, Tried, best_of
from tenfold.training.evaluate import Fate
from tenfold.training.question import Question
from tenfold.training.search import Limits, Material, OnTried, SearchResult, search
from tenfold.training.second_look import FEW_ROWS

__all__ = ["Narrator", "limits_of", "run_search", "search_folder", "search_key", "too_small"]

ARTIFACT_S = 6.0
"""Kept of a wall-clock budget for what does not depend on the model: engine, test rows, artifact,
probe, registry, MLflow. Measured: 4 s on two idle cores, MLflow's database existing."""
CHOICE_S, CHOICE_S_PER_ROW = 1.5, 1.5e-4
"""Kept for the choice of who answers: graphs and timings, and what goes by judged rows. Measured on
an idle core: 2 s for 800 rows, 7 s beside the last fits for 26,000."""
MAX_CHOICE_SHARE = 0.15
"""Of what is left of the budget, at most, for the choice."""
MIN_SEARCH_S = 1.0
N_LAST_FITS = 4.0
"""Last fits whose time is kept: seeds of the winner, or members of a blend."""
MAX_LAST_SHARE = 0.35
"""Of the budget, at most, for the last fits."""
MIN_LAST_SHARE = 0.1
"""Of the budget, at least. On 750 rows the best configuration is fitted in 0.1 s, a network beside
it in 3 s: without this 680 configurations were tried, and no blend of them could be fitted."""
LOOK_SHARE = 0.1
"""Of the budget, for a second look at the best of many on few rows."""
OLD_S = 7 * 24 * 3600.0
"""A journal that nobody asked for in a week is removed, whatever project it is of."""
LOCK = ".lock"


def limits_of(
    project: Project,
    plan: Plan,
    material: Material,
    *,
    seconds: float | None,
    beside_serving: bool,
) -> Limits:
    """How long and how wide the search of a project runs.

    Args:
        project: its number of trials.
        plan: its width.
        material: what the search works on.
        seconds: that are left of the budget now, or None where only trials count.
        beside_serving: an endpoint runs on the same cluster.
    """
    least_share = MIN_LAST_SHARE + (LOOK_SHARE if material.rows.n_rows < FEW_ROWS else 0.0)
    more_rows = max(1.0, material.known_rows / plan.n_workers)
    return Limits(
        trials=project.train.trials,
        seconds=None if seconds is None else _search_s(seconds, material.rows.n_rows),
        sessions=plan.retrain_trials_at_once if beside_serving else plan.trials_at_once,
        cpus=plan.trial_cpus,
        last_fits=LastFits(
            material.last_fit_share(*material.question.families) * more_rows,
            N_LAST_FITS,
            most_s=math.inf if seconds is None else MAX_LAST_SHARE * seconds,
            least_s=0.0 if seconds is None else least_share * seconds,
        ),
    )


def _search_s(seconds: float, n_rows: int) -> float:
    """Of the seconds left, those of the search and the last fits."""
    judged = min(n_rows, MAX_JUDGED_ROWS)
    choice = min(CHOICE_S + CHOICE_S_PER_ROW * judged, MAX_CHOICE_SHARE * seconds)
    return max(MIN_SEARCH_S, seconds - ARTIFACT_S - choice)


def search_key(project: Project, snapshot: Snapshot, material: Material, *, timed: bool) -> str:
    """What makes two searches the same one: rows, folds, question, columns and code. A search may
    go on with more time or more trials.

    Args:
        project: its choices about columns.
        snapshot: the rows.
        material: the question, and how many rows are searched on.
        timed: whether a clock ends it.
    """
    body = {
        "snapshot": snapshot.digest,
        "folds": snapshot.folds_digest,
        "question": _question(material.question),
        "construct": project.train.construct_columns,
        "select": project.train.select_columns,
        "rows": material.rows.n_rows,
        "threads": material.threads,
        "devices": dict(material.placement.devices) if material.placement.gpus else {},
        "timed": timed,
        "code": tenfold.__version__,
    }
    return sha256_hex(canonical_json(body))


def _question(question: Question) -> Mapping[str, Any]:
    """As JSON values."""
    from dataclasses import asdict

    body = asdict(question)
    return body | {"task": question.task.value}


@contextmanager
def search_folder(settings: Settings, project: str, key: str) -> Iterator[Path]:
    """The folder of a search, its journal in it, until the training that reads it has published.

    It stays behind when the training does not end well, so that the same search goes on; whoever
    searches for the same project next removes those of other questions. Two trainings that ask the
    same at once do not share: the second has a folder of its own.

    Args:
        settings: where the store is.
        project: its name.
        key: see `search_key`.

    Raises:
        StoreError: the folder cannot be made.
    """
    place = settings.artifacts.parent / "work" / "searches" / project
    folder = place / key[:16]
    lock = _locked(folder)
    if lock is None:
        folder = place / f"{key[:16]}-{uuid.uuid4().hex[:8]}"
        lock = _locked(folder)
    try:
        _remove_stale(place, keep=folder)
        yield folder
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        if lock is not None:
            os.close(lock)


def _locked(folder: Path) -> int | None:
    """A handle that holds the folder as long as this process lives, or None: somebody has it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise store_error(folder, error) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def _remove_stale(place: Path, *, keep: Path) -> None:
    """Searches of the same project that nobody works on, and old ones of any project."""
    for folder in place.parent.glob("*/*"):
        mine = folder.parent == place and folder != keep
        try:
            old = time.time() - folder.stat().st_mtime > OLD_S
        except OSError:  # somebody else removed it
            continue
        if not mine and not (old and folder != keep):
            continue
        handle = _locked(folder)
        if handle is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(handle)


@dataclass
class Narrator:
    """Tells of a search while it runs: the best score, how many, what failed.

    Args:
        progress: is told.
        question: which score is better.
    """

    progress: Progress
    question: Question

    def __post_init__(self) -> None:
        self._tried: list[Tried] = []
        self._best: Tried | None = None

    def __call__(self, tried: Tried) -> None:
        """One configuration ended."""
        self._tried.append(tried)
        before = self._best
        self._best = best_of(self.question, [*([before] if before else []), tried])
        self.progress.show(self._text(tried), worth_a_line=self._worth(tried, before))

    def _worth(self, tried: Tried, before: Tried | None) -> bool:
        failed = tried.outcome.fate not in (Fate.SCORED, Fate.PRUNED, Fate.STOPPED)
        return failed or self._best is not before

    def _text(self, tried: Tried) -> str:
        what = f"{len(self._tried)} tried"
        if self._best is not None:
            best = self._best
            score = f"{self.question.metric} {best.outcome.score:.4f}"
            what += f", best {score} ({best.config.family}, number {best.config.number})"
        if tried.outcome.fate in (Fate.SCORED, Fate.PRUNED, Fate.STOPPED):
            return what
        return f"{what}; {_failure(tried)}"


def _failure(tried: Tried) -> str:
    config, outcome = tried.config, tried.outcome
    return f"number {config.number} ({config.family}) {outcome.fate}: {outcome.error}"


def run_search(
    material: Material,
    limits: Limits,
    *,
    storage: Path,
    progress: Progress,
    on_tried: OnTried | None = None,
) -> SearchResult:
    """Search, and tell of it.

    Args:
        material: rows and question.
        limits: how long, how wide.
        storage: of this search, see `search_folder`.
        progress: is told of the step, of each new best score and each failure.
        on_tried: is told of everything that ended; must be quick.

    Raises:
        OurError: every configuration failed.
        StoreError: the journal cannot be written.
    """
    narrate = Narrator(progress, material.question)
    timed = limits.seconds is not None
    total = limits.trials + 1 if limits.trials is not None and not timed else None
    heard: set[int] = set()
    with progress.step("search", total=total, seconds=limits.seconds) as advance:

        def hear(tried: Tried) -> None:
            heard.add(tried.config.number)
            narrate(tried)
            advance(1)
            if on_tried is not None:
                on_tried(tried)

        found = search(material, limits, storage=storage, on_tried=hear)
    for tried in found.tried:  # who dies or hangs does not report; an earlier run has told its own
        if tried.outcome.fate in (Fate.DIED, Fate.HUNG) and tried.config.number not in heard:
            progress.say(_failure(tried))
    if found.n_resumed:
        progress.say(f"the search went on after {found.n_resumed} that an earlier run had tried")
    return found


def too_small(found: SearchResult) -> str:
    """What to say when no model beat the baseline: whether any had the time to."""
    fates = [tried.outcome.fate for tried in found.tried if tried.config.family != "dummy"]
    scored = fates.count(Fate.SCORED)
    if scored:
        return f"No model beat the baseline ({scored} were scored): the features may say nothing."
    stopped = fates.count(Fate.STOPPED)
    if stopped == len(fates):
        return "The budget was too small for one model: this is the baseline. Give it more time."
    reasons = sorted({str(t.outcome.error) for t in found.tried if t.outcome.error})
    return f"No model could be fitted: this is the baseline. {'; '.join(reasons[:3])}"
