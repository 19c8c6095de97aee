"""A search's folder outlives a kill and nothing else; its limits keep time for what follows."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tenfold.cluster import Inventory, Node, Placement, Plan, make_plan
from tenfold.settings import Settings
from tenfold.training.board import Tried
from tenfold.training.evaluate import Config, Fate, Outcome
from tenfold.training.journal import MemoryJournal
from tenfold.training.rows import load_rows
from tenfold.training.search import Limits, Material, SearchResult
from tenfold.training.second_look import FEW_ROWS
from tenfold_jobs.searching import (
    ARTIFACT_S,
    CHOICE_S,
    CHOICE_S_PER_ROW,
    Narrator,
    limits_of,
    search_folder,
    search_key,
    too_small,
)
from tenfold_jobs.trials import trial_facts
from tests.tenfold_jobs.support import Case

KEY, OTHER = "a" * 64, "b" * 64


class Told:
    """A progress that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.shown: list[str] = []

    def show(self, text: str, *, worth_a_line: bool) -> None:
        self.shown.append(text)
        if worth_a_line:
            self.lines.append(text)


def plan_of(settings: Settings, case: Case) -> tuple[Plan, Material]:
    inventory = Inventory((Node("one", 4, 8 * 1024**3),))
    plan = make_plan(
        case.project, inventory, n_rows=400, n_columns=2, size_bytes=9_000, local_bytes=10**9
    )
    rows = load_rows(case.snapshot, case.question).training
    material = Material(rows, case.snapshot.profiles(), case.snapshot.schema, case.question, 1)
    return plan, material


def test_what_was_killed_is_found_again_and_what_ended_well_is_gone(settings: Settings) -> None:
    with pytest.raises(KeyboardInterrupt), search_folder(settings, "churn", KEY) as folder:
        (folder / "journal").mkdir()
        raise KeyboardInterrupt
    with search_folder(settings, "churn", KEY) as again:
        assert again == folder
        assert (again / "journal").is_dir()
    assert not folder.exists()


def test_other_questions_of_the_project_are_cleaned_up(settings: Settings) -> None:
    def interrupted(project: str, key: str) -> Path:
        with pytest.raises(KeyboardInterrupt), search_folder(settings, project, key) as folder:
            raise KeyboardInterrupt
        return folder

    mine, other = interrupted("churn", KEY), interrupted("sales", KEY)
    old = interrupted("rent", KEY)
    long_ago = time.time() - 30 * 24 * 3600
    os.utime(old, (long_ago, long_ago))
    with search_folder(settings, "churn", OTHER):
        assert not mine.exists()
        assert not old.exists()
        assert other.exists()


def test_two_trainings_at_once_do_not_share_and_do_not_remove_each_other(
    settings: Settings,
) -> None:
    with ExitStack() as stack:
        folders = [
            stack.enter_context(search_folder(settings, "churn", key)) for key in (KEY, KEY, OTHER)
        ]
        assert len(set(folders)) == 3
        assert all(folder.is_dir() for folder in folders)


def test_a_key_is_that_of_rows_question_and_columns(case: Case, settings: Settings) -> None:
    _, material = plan_of(settings, case)
    key = search_key(case.project, case.snapshot, material, timed=True)
    assert key == search_key(case.project, case.snapshot, material, timed=True)
    train = {**case.project.to_dict()["train"], "budget": "9m"}
    longer = type(case.project).from_dict({**case.project.to_dict(), "train": train})
    assert key == search_key(longer, case.snapshot, material, timed=True)
    others = [
        search_key(case.project, case.snapshot, material, timed=False),
        search_key(
            case.project,
            case.snapshot,
            replace(material, question=replace(material.question, seed=6)),
            timed=True,
        ),
        search_key(
            case.project,
            case.snapshot,
            replace(material, placement=Placement({"boosting": "cuda"}, gpus=0.5)),
            timed=True,
        ),
    ]
    assert len({key, *others}) == 4
    named = replace(material, placement=Placement({"boosting": "cuda"}))
    assert key == search_key(case.project, case.snapshot, named, timed=True), "all on CPU"


def test_time_for_what_follows_is_kept(case: Case, settings: Settings) -> None:
    plan, material = plan_of(settings, case)

    def limits(seconds: float, some: Material = material) -> Limits:
        return limits_of(case.project, plan, some, seconds=seconds, beside_serving=False)

    found = limits(60.0)
    choice = CHOICE_S + CHOICE_S_PER_ROW * material.rows.n_rows
    assert found.seconds == pytest.approx(60.0 - ARTIFACT_S - choice)
    assert limits(10.0).seconds == pytest.approx(10.0 - ARTIFACT_S - 0.15 * 10.0)
    assert limits(2.0).seconds == 1.0
    # Of two folds each is fitted once: a fit on all rows is as long as both.
    fits = found.last_fits
    assert fits.per_second == pytest.approx(1.0)
    assert fits.seconds(0.1) == pytest.approx(0.2 * 60.0), "a second look on few rows"
    assert fits.seconds(4.0) == pytest.approx(4.0 * fits.n_fits)
    assert fits.seconds(10.0) == pytest.approx(0.35 * 60.0)
    assert fits.seconds(50.0) == pytest.approx(50.0)
    many = np.arange(FEW_ROWS) % material.rows.n_rows
    more = limits(60.0, replace(material, rows=material.rows.take(many))).last_fits
    assert more.seconds(0.01) == pytest.approx(0.1 * 60.0)
    sample = replace(material, rows=material.rows.take(np.arange(32)))
    assert limits(60.0, sample).last_fits.per_second == pytest.approx(10.0, rel=0.2)


def tried(number: int, score: float, fate: Fate = Fate.SCORED, error: str | None = None) -> Tried:
    family = "dummy" if number == 0 else "boosting"
    return Tried(
        Config(number, family, {"eta": 0.1}), Outcome(number, score, error=error, fate=fate)
    )


def test_new_bests_and_failures_are_worth_a_line(case: Case) -> None:
    told = Told()
    narrate = Narrator(told, case.question)  # type: ignore[arg-type]
    nan = float("nan")
    for one in (
        tried(0, 0.5),
        tried(1, 0.8),
        tried(2, 0.7),
        tried(3, nan, Fate.PRUNED, "behind"),
        tried(4, nan, Fate.DIED, "its process died"),
    ):
        narrate(one)
    assert len(told.shown) == 5
    assert told.lines == [
        "1 tried, best roc_auc 0.5000 (dummy, number 0)",
        "2 tried, best roc_auc 0.8000 (boosting, number 1)",
        "5 tried, best roc_auc 0.8000 (boosting, number 1); "
        "number 4 (boosting) died: its process died",
    ]


@pytest.mark.parametrize(
    ("fates", "words"),
    [
        ([Fate.STOPPED, Fate.STOPPED], "The budget was too small for one model"),
        ([Fate.SCORED, Fate.STOPPED], "No model beat the baseline (1 were scored)"),
        ([Fate.FAILED], "No model could be fitted: this is the baseline. no"),
        ([], "The budget was too small for one model"),
    ],
)
def test_a_baseline_that_wins_says_why(fates: list[Fate], words: str) -> None:
    nan = float("nan")
    every = [tried(0, 0.5), *(tried(n, nan, fate, "no") for n, fate in enumerate(fates, 1))]
    found = SearchResult(every[0], np.zeros((1, 1), np.float32), tuple(every), MemoryJournal())
    assert too_small(found).startswith(words)


def test_what_mlflow_is_told_of_a_trial(tmp_path: Path) -> None:
    (tmp_path / "oof-0003.npy").write_bytes(b"x")
    outcome = Outcome(
        3, 0.9, (0.8, 1.0), rounds=7, seconds=2.0, early=(0.8, 1.0), curve=((1, 0.6), (2, 0.5))
    )
    facts = trial_facts(
        Tried(Config(3, "boosting", {"eta": 0.1}), outcome), metric="roc_auc", journal=tmp_path
    )
    assert facts.params == {"family": "boosting", "eta": 0.1}
    assert facts.metrics == {"roc_auc": 0.9, "seconds": 2.0, "rounds": 7.0}
    assert facts.curves["roc_auc_by_fold"] == [(0, 0.8), (1, 1.0)]
    assert facts.curves["stopping_loss"] == ((1, 0.6), (2, 0.5))
    assert (facts.status, facts.files) == ("FINISHED", (tmp_path / "oof-0003.npy",))
    died = trial_facts(tried(4, float("nan"), Fate.DIED, "why"), metric="roc_auc", journal=tmp_path)
    assert (died.status, died.files) == ("FAILED", ())
    assert died.tags == {"tenfold.fate": "died", "tenfold.error": "why"}
