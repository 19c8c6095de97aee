"""Last fits on all training rows, each made once: for the choice between answers, and for the one
that is chosen."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tenfold.canonical import canonical_json
from tenfold.cluster.devices import CPU, Precision
from tenfold.features import CrossFit, Recipe
from tenfold.features.codes import Codes, code_places
from tenfold.features.joined import Joined, join_preprocessors
from tenfold.features.preprocessor import Preprocessor
from tenfold.features.second import Stage
from tenfold.models import COLUMNS, FAMILIES, Fit, Model, choose_engine, fitting, n_outputs
from tenfold.models.blend import Member, blended
from tenfold.profile import Profile, merge_profiles
from tenfold.schema import Schema
from tenfold.training.answer import Answer, Part
from tenfold.training.evaluate import n_classes_of, objective_of
from tenfold.training.folds import TEST_FOLD
from tenfold.training.narrow import narrowed
from tenfold.training.native import checked_slots
from tenfold.training.question import Question
from tenfold.training.rows import TrainingRows
from tenfold.training.search import Material

__all__ = ["Built", "Fitter", "LastFit", "Plan", "fit_in_process"]

SEED_STEP = 1009
"""Between the seeds of one part: none meets a seed of the search."""
TIMED_ROWS = 64
"""Single rows behind a latency; their median counts."""
WARM_UP_ROWS = 8


@dataclass(frozen=True, slots=True)
class Plan:
    """What a last fit is to do: everything a fit in process or on many workers needs."""

    family: str
    params: Mapping[str, Any]
    prepared: CrossFit
    question: Question
    threads: int
    device: str = CPU
    precision: Precision = "fp32"


LastFit = Callable[[Plan, TrainingRows], Model]
"""Fits the plan; gets the training rows at hand (a sample when the table is large)."""


def fit_in_process(plan: Plan, rows: TrainingRows) -> Model:
    """The last fit on rows at hand."""
    return FAMILIES[plan.family].fit(
        Fit(
            matrix=plan.prepared.transform_training(rows.codes, rows.fold),
            target=rows.truth,
            task=plan.question.task.value,
            n_classes=n_classes_of(plan.question, plan.params),
            params=plan.params,
            seed=plan.question.seed,
            threads=plan.threads,
            weights=rows.weights,
            **objective_of(plan.question, plan.family, plan.prepared.served.feature_names),
            slots=checked_slots(plan.family, plan.prepared.served.slots),
            device=plan.device,
            precision=plan.precision,
        )
    )


@dataclass(frozen=True)
class Built:
    """An answer, fitted.

    Attributes:
        preprocessor: of the model's matrix.
        model: the blend, or its only member.
        schema: the columns that a request must hold.
        places: of that schema's codes among those of the table.
        stage: of the heaviest part: what was constructed and dropped.
    """

    preprocessor: Preprocessor | Joined
    model: Model
    schema: Schema
    places: tuple[int, ...]
    stage: Stage

    def narrow(self, codes: Codes) -> Codes:
        """From codes of the table to those of a request."""
        everything = tuple(range(codes.shape[1]))
        return codes if self.places == everything else codes[:, np.array(self.places, np.intp)]


class Fitter:
    """Fits parts on all training rows and keeps what it fitted. Used from one thread.

    Args:
        material: training rows in hash order, profiles, question.
        last_fit: in this process, in a task with a share of a GPU, or on many workers. The first
            by default, on CPU: only who asks Ray for a GPU may name one.
    """

    def __init__(self, material: Material, *, last_fit: LastFit = fit_in_process) -> None:
        self._material = material
        self._last_fit = last_fit
        self._prepared: dict[bytes, CrossFit] = {}
        self._models: dict[bytes, Model] = {}
        self._graphs: dict[bytes, bytes | None] = {}
        self._seconds: dict[bytes, float] = {}

    @property
    def folds(self) -> list[int]:
        """Of the training rows."""
        return [fold for fold in sorted(self._material.profiles) if fold != TEST_FOLD]

    def profile(self) -> Profile:
        """Of all training rows."""
        return merge_profiles([self._material.profiles[fold] for fold in self.folds])

    def stage(self, part: Part) -> Stage:
        """What stands between the codes of the table and a part's operations."""
        material, folds = self._material, self.folds
        plain = Stage(material.schema, {fold: material.profiles[fold] for fold in folds})
        whole = material.stages.get(tuple(folds), plain)
        return narrowed(whole, float(part.params.get(COLUMNS, 1.0)))

    def prepared(self, part: Part) -> CrossFit:
        """A part's preparation, fitted on all training rows; parts with one recipe share it."""
        recipe = Recipe(**FAMILIES[part.family].recipe(part.params))
        key = canonical_json([recipe.to_dict(), part.params.get(COLUMNS, 1.0)])
        if key not in self._prepared:
            ordered = self._material.question.ordered
            self._prepared[key] = self.stage(part).crossfit(recipe, ordered=ordered)
        return self._prepared[key]

    def model(self, part: Part, seed: int = 0) -> Model:
        """A part's model by the number of its seed, from 0."""
        key = _key(part, seed)
        if key not in self._models:
            material = self._material
            question = material.question
            question = replace(question, seed=question.seed + SEED_STEP * seed)
            rows = replace(material.rows, codes=self.stage(part).narrow(material.rows.codes))
            params = fitting(part.params)
            plan = Plan(part.family, params, self.prepared(part), question, material.threads)
            began = time.monotonic()
            self._models[key] = self._last_fit(plan, rows)
            self._seconds[key] = time.monotonic() - began
        return self._models[key]

    def seconds(self, part: Part) -> float:
        """What the fit of one seed took."""
        self.model(part)
        return self._seconds[_key(part, 0)]

    def measure(self, answer: Answer) -> tuple[float, int]:
        """Microseconds of a single row through preparation and engine on one thread, the median of
        some; and bytes of the native files. Fits what is not fitted yet."""
        built = self.build(answer)
        codes = built.narrow(self._material.rows.codes[:TIMED_ROWS])
        prepare = built.preprocessor.transform_codes
        score = choose_engine(built.model, prepare(codes)).score
        spent = []
        for row in range(-WARM_UP_ROWS, len(codes)):
            one = codes[max(row, 0) : max(row, 0) + 1]
            began = time.perf_counter()
            score(prepare(one))
            if row >= 0:
                spent.append(time.perf_counter() - began)
        size_bytes = sum(map(len, built.model.files().values()))
        return float(np.median(spent)) * 1e6, size_bytes

    def _graph(self, part: Part, seed: int) -> bytes | None:
        """A fitted model as ONNX, converted once however many blends it stands in."""
        key = _key(part, seed)
        if key not in self._graphs:
            self._graphs[key] = self._models[key].to_onnx()
        return self._graphs[key]

    def build(self, answer: Answer) -> Built:
        """Fit what is left of an answer and put it together."""
        shares = [(part, self.prepared(part)) for part in answer.parts]
        prepared = list(dict.fromkeys(own for _part, own in shares))
        ends = np.cumsum([own.served.n_features for own in prepared]).tolist()
        members = []
        for part, own in shares:
            place = prepared.index(own)
            first, last = ends[place] - own.served.n_features, ends[place]
            for seed in range(part.seeds):
                model = self.model(part, seed)
                graph = self._graph(part, seed)
                members.append(Member(model, part.weight / part.seeds, first, last, graph))
        question = self._material.question
        joined = join_preprocessors([own.served for own in prepared])
        model = blended(
            members,
            n_features=ends[-1],
            n_outputs=n_outputs(
                question.task.value, n_classes_of(question, answer.parts[0].params)
            ),
            calibration=answer.calibration,
        )
        table = self._material.schema
        index = {column.name: place for place, column in enumerate(table.features)}
        asked = [index[column.name] for column in joined.schema.features]
        places = code_places(table, asked)
        return Built(joined, model, joined.schema, places, self.stage(answer.parts[0]))


def _key(part: Part, seed: int) -> bytes:
    """Of a fit: parts that differ in weight share it."""
    return canonical_json([part.family, dict(part.params), seed])
