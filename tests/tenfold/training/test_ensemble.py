"""From what was tried to the answer: candidates, honesty, seeds, time, and the finished model."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from tenfold.canonical import canonical_json
from tenfold.errors import ArtifactError
from tenfold.features.joined import Joined
from tenfold.models.calibration import Calibration
from tenfold.project.measures import Task
from tenfold.training.answer import Answer, Part, grown
from tenfold.training.blend import Mix
from tenfold.training.board import Tried
from tenfold.training.ensemble import (
    PREFERENCES,
    Chosen,
    Preference,
    _reason,
    choose_answer,
    recalibrated,
)
from tenfold.training.evaluate import Config, Fate, Outcome, evaluate
from tenfold.training.finish import finish
from tenfold.training.fitter import Fitter
from tenfold.training.front import Point
from tenfold.training.search import Material
from tests.tenfold.training.conftest import case_of

CONFIGS = (
    ("linear", {"c": 1.0}),
    ("boosting", {"rounds": 20, "eta": 0.2, "max_depth": 3}),
    ("boosting", {"rounds": 30, "eta": 0.1, "max_depth": 2, "subsample": 0.7}),
)
ACCURATE = PREFERENCES["accuracy"]


class OneClock(Fitter):
    """An answer takes what it took when it was first measured: two choices can be compared."""

    def __init__(self, material: Material) -> None:
        super().__init__(material)
        self._took: dict[str, tuple[float, int]] = {}

    def measure(self, answer: Answer) -> tuple[float, int]:
        key = repr(answer)
        if key not in self._took:
            self._took[key] = super().measure(answer)
        return self._took[key]


class Searched:
    """A search of three configurations over one table."""

    def __init__(self, task: Task = Task.BINARY, n_rows: int = 900) -> None:
        self.material, self.test = case_of(task, n_rows=n_rows)
        work = self.material.workspace()
        configs = [Config(0, "dummy", {})]
        configs += [Config(n, *config) for n, config in enumerate(CONFIGS, start=1)]
        self.tried = [Tried(config, evaluate(work, config)) for config in configs]
        question = self.material.question
        self.best = self.tried[1]
        for one in self.tried[2:]:
            if question.better(one.outcome.score, self.best.outcome.score):
                self.best = one
        self.fitter = OneClock(self.material)

    def oof_of(self, number: int) -> NDArray[np.float32] | None:
        return self.tried[number].outcome.oof

    def choose(self, **more: object) -> Chosen:
        return choose_answer(
            self.material,
            self.best,
            self.tried,
            self.oof_of,
            fitter=self.fitter,
            **more,  # type: ignore[arg-type]
        )


@pytest.fixture(scope="module")
def searched() -> Searched:
    return Searched()


def test_the_front_holds_each_familys_best_and_names_the_pick(searched: Searched) -> None:
    chosen = searched.choose(prefer=Preference(free_micros=0.0, dear_micros=float("inf")))
    told = chosen.front_dicts()
    alone = {entry["members"][0]["family"] for entry in told if len(entry["members"]) == 1}
    assert alone == {"linear", "boosting"}
    assert [entry["picked"] for entry in told].count(True) == 1
    speeds = [entry["us_per_row"] for entry in told]
    assert speeds == sorted(speeds)
    assert all(entry["bytes"] > 0 for entry in told)
    assert json.loads(canonical_json(told)) == told
    assert chosen.pick is not None
    assert chosen.pick.behind <= 1.0
    once = [point for point in chosen.front if point.seeds == 1]  # several seeds take longer
    (picked,) = (point for point in once if point.mix == chosen.pick.mix)
    assert all(point.behind > 1.0 for point in once if point.micros < picked.micros)


def test_on_few_rows_the_even_blend_leads_within_twice_the_free_microseconds(
    searched: Searched,
) -> None:
    chosen = searched.choose(prefer=Preference(free_micros=1e5))
    assert len(chosen.answer.parts) > 1
    assert len({part.weight for part in chosen.answer.parts}) == 1
    assert [entry["picked"] for entry in chosen.front_dicts()].count(True) == 1
    assert "up to 200000 us a row" in chosen.reason


def test_a_dear_answer_gives_way_to_one_within_twice_the_error(searched: Searched) -> None:
    dear = searched.choose(prefer=Preference(within=1.0, free_micros=0.0, dear_micros=0.0))
    wide = searched.choose(prefer=Preference(within=2.0, free_micros=0.0, dear_micros=float("inf")))
    assert dear.pick is not None and wide.pick is not None
    assert dear.pick.mix == wide.pick.mix
    assert PREFERENCES["balanced"].dear_micros == 500.0
    assert all(PREFERENCES[name].dear_micros == float("inf") for name in ("accuracy", "latency"))


def test_the_reason_tells_how_many_errors_were_given() -> None:
    near, best = (
        Point(Mix(((1, 1.0),), 0.90), 1.7, 308.0),
        Point(Mix(((2, 1.0),), 0.91), 0.0, 583.0),
    )
    assert _reason([near, best], near, Preference(), None) == (
        "the fastest within 2 standard errors of the best of 2: 1.7 behind; "
        "what is within 1 takes more than 500 us"
    )
    close = replace(near, behind=0.7)
    assert _reason([close, best], close, Preference(), None) == (
        "the fastest within 1 standard error of the best of 2: 0.7 behind"
    )


def test_parts_keep_the_rounds_of_their_folds_as_their_rows_are_more(searched: Searched) -> None:
    boosted = searched.tried[2]
    chosen = choose_answer(
        searched.material, boosted, [boosted], searched.oof_of, fitter=searched.fitter
    )
    factor = grown("boosting", searched.material.more_rows)
    assert factor > 1.2
    assert boosted.outcome.rounds > 0
    kept = [part.params["rounds"] for part in chosen.answer.parts]
    assert kept == [round(boosted.outcome.rounds * factor)]


def test_the_same_search_gives_the_same_answer(searched: Searched) -> None:
    one, two = searched.choose(prefer=ACCURATE), searched.choose(prefer=ACCURATE)
    assert one.answer == two.answer
    assert one.oof is not None and two.oof is not None
    assert one.oof.tobytes() == two.oof.tobytes()


def test_latency_takes_one_seed_and_a_limit_takes_the_fastest(searched: Searched) -> None:
    assert all(
        part.seeds == 1 for part in searched.choose(prefer=PREFERENCES["latency"]).answer.parts
    )
    limited = searched.choose(prefer=ACCURATE, most_micros=0.001)
    assert limited.pick is not None
    assert limited.pick.micros == min(p.micros for p in limited.front)


def test_without_time_the_best_configuration_answers_alone(searched: Searched) -> None:
    chosen = choose_answer(
        searched.material,
        searched.best,
        searched.tried,
        searched.oof_of,
        fitter=Fitter(searched.material),
        left_s=lambda: 0.0,
        prefer=ACCURATE,
    )
    assert [part.family for part in chosen.answer.parts] == [searched.best.config.family]
    assert chosen.answer.parts[0].seeds == 1
    untimed = [entry for entry in chosen.front_dicts() if entry["us_per_row"] is None]
    assert untimed and not any(entry["picked"] for entry in untimed)
    assert any(len(entry["members"]) > 1 for entry in untimed)
    assert chosen.reason == "there was no time to fit a blend on all rows"


def test_dear_fits_and_the_baseline_are_left_as_they_are(searched: Searched) -> None:
    alone = searched.choose(single=True)
    assert (alone.front, alone.pick) == ((), None)
    dummy = choose_answer(
        searched.material, searched.tried[0], searched.tried, searched.oof_of,
        fitter=searched.fitter,
    )  # fmt: skip
    assert dummy.answer.family == "dummy"


def test_what_failed_and_what_kept_no_scores_is_no_candidate(searched: Searched) -> None:
    failed = Tried(Config(9, "linear", {"c": 2.0}), Outcome.failure(9, "no", Fate.FAILED))
    lost = Tried(Config(8, "linear", {"c": 3.0}), replace(searched.best.outcome, number=8))

    def oof_of(number: int) -> NDArray[np.float32] | None:
        return None if number > 3 else searched.oof_of(number)

    chosen = choose_answer(
        searched.material, searched.best, [*searched.tried, failed, lost], oof_of,
        fitter=searched.fitter,
    )  # fmt: skip
    assert {8, 9}.isdisjoint(chosen.families)


@pytest.mark.parametrize("task", [Task.BINARY, Task.MULTICLASS, Task.REGRESSION])
def test_a_blend_becomes_one_model_on_one_engine(task: Task) -> None:
    material, test = case_of(task, n_rows=400)
    linear = {"alpha": 1.0} if task is Task.REGRESSION else {"c": 1.0}
    parts = (
        Part("boosting", {"rounds": 10, "eta": 0.3}, 0.6, 2),
        Part("linear", linear, 0.4),
    )
    calibration = Calibration() if task is Task.REGRESSION else Calibration(1.3)
    answer, oof = recalibrated(material, Answer(parts, calibration))
    assert oof is not None
    assert answer.calibration.is_none  # too few rows to choose one
    made = finish(material, test, replace(answer, calibration=calibration), oof=oof)
    assert (made.family, made.engine.name) == ("blend", "onnx")
    assert isinstance(made.preprocessor, Joined)
    assert Answer.from_lineage(made.family, json.loads(json.dumps(made.params))) == made.answer
    assert made.answer.words.startswith("boosting x 2 seeds (0.6) + linear (0.4)")
    assert made.answer.facts["1. boosting: seeds"] == 2


def test_a_fitter_fits_once_what_stands_in_many_answers(searched: Searched) -> None:
    count = 0
    plain = Fitter(searched.material)

    def counted(plan: object, rows: object) -> object:
        nonlocal count
        count += 1
        return plain._last_fit(plan, rows)  # type: ignore[arg-type]

    fitter = Fitter(searched.material, last_fit=counted)  # type: ignore[arg-type]
    part = Part("boosting", {"rounds": 5})
    fitter.measure(Answer((part,)))
    fitter.measure(Answer((replace(part, seeds=3),)))
    micros, size_bytes = fitter.measure(Answer((replace(part, seeds=3),), Calibration(1.2)))
    assert count == 3
    assert micros > 0 and size_bytes > 0


@pytest.mark.parametrize(
    "params",
    [{}, {"parts": [], "calibration": None}, {"parts": [{"family": "linear"}]}, {"parts": 3}],
)
def test_a_lineage_that_names_no_recipe_is_refused(params: dict[str, object]) -> None:
    with pytest.raises(ArtifactError):
        Answer.from_lineage("blend", params)


def test_segments_are_no_blend() -> None:
    material: Material = case_of(Task.CLUSTERING, n_rows=200)[0]
    best = Tried(Config(1, "kmeans", {"k": 2}), Outcome(1, 0.5))
    chosen = choose_answer(material, best, [best], lambda _n: None, fitter=Fitter(material))
    assert (chosen.oof, chosen.front) == (None, ())
