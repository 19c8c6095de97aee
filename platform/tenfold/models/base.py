"""The contract of a model family and of a fitted model.

A *family* is a way to fit; a *model* is what came out: pure data that predicts. Both are used from
trial sessions (processes of their own), from the driver at the end of a training and, the model
only, from a serving replica. A model never changes after ``fit`` returns it, so threads may share
it; ``fit`` holds no state between calls.

**Same bits whoever asks.** ``fit`` gets the number of threads from its caller and gives the same
model for the same (matrix, target, params, seed, threads). ``predict`` answers a row the same
whether it comes alone or in a batch: array models compute in float64 and round the result to
float32, so that the last bits of a matrix product, which depend on the batch, are rounded away.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "COLUMNS",
    "MANY_CATEGORIES",
    "PREPARING",
    "Choices",
    "Family",
    "Fit",
    "FitStopped",
    "Matrix",
    "Model",
    "Params",
    "Space",
    "Target",
    "TargetMap",
    "Task",
    "Traits",
    "fitting",
    "n_outputs",
    "preparing",
]

Params = Mapping[str, Any]
"""Parameters of one configuration: JSON scalars only, so that they travel in manifests."""
Matrix = NDArray[np.float32]
"""Prepared features, float32 of shape (n_rows, n_features); only boosting takes NaN as missing."""
Target = NDArray[Any]
"""Class numbers int64 (n_rows,) for classes, float64 (n_rows,) for regression."""
Task = Literal["binary", "multiclass", "regression", "clustering"]


class FitStopped(Exception):
    """Refusal, not failure: ``stop()`` said so while a fit was running; there is no model."""


def n_outputs(task: str, n_classes: int) -> int:
    """Columns of a score matrix: one per class (two for binary, k for k-means), else one.

    >>> n_outputs("binary", 2), n_outputs("regression", 0), n_outputs("clustering", 4)
    (2, 1, 4)
    """
    return 1 if task == "regression" else n_classes


@dataclass(frozen=True, slots=True)
class TargetMap:
    """How a regression target is moved before a fit, and moved back after a prediction.

    ``kind`` is "none" or "log1p"; the mapped target is ``(kind(y) - loc) / scale``. Mapped-back
    values of "log1p" are clipped to ``low .. high`` (in log units): an exponential makes a small
    extrapolation a huge one.

    >>> m = TargetMap.fit(np.array([0.0, 10.0, 100.0]), "log1p")
    >>> np.allclose(m.backward(m.forward(np.array([5.0]))), 5.0)
    True
    """

    kind: str = "none"
    loc: float = 0.0
    scale: float = 1.0
    low: float = -math.inf
    high: float = math.inf

    MARGIN = 0.1
    """Share of the training range by which a prediction may leave it, in log units."""

    @classmethod
    def fit(cls, target: Target, kind: str, *, standardise: bool = False) -> TargetMap:
        """The map of one training target, float64 (n_rows,); refuses "log1p" below zero."""
        if kind not in ("none", "log1p"):
            raise ValueError(f"a target map is 'none' or 'log1p', not {kind!r}")
        values = np.asarray(target, dtype=np.float64)
        if kind == "log1p" and values.min() < 0.0:
            raise ValueError(f"log1p needs a target >= 0, the smallest is {values.min()}")
        mapped = np.log1p(values) if kind == "log1p" else values
        loc, scale = 0.0, 1.0
        if standardise:
            loc, scale = float(mapped.mean()), float(mapped.std()) or 1.0
        if kind == "none":
            return cls(kind, loc, scale)
        room = cls.MARGIN * float(mapped.max() - mapped.min())
        return cls(kind, loc, scale, float(mapped.min()) - room, float(mapped.max()) + room)

    def forward(self, target: Target) -> NDArray[np.float64]:
        """What the model is fitted to."""
        values = np.asarray(target, dtype=np.float64)
        mapped = np.log1p(values) if self.kind == "log1p" else values
        return np.asarray((mapped - self.loc) / self.scale)

    def backward(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Predictions in the target's own unit."""
        mapped = np.asarray(values, dtype=np.float64) * self.scale + self.loc
        if self.kind == "none":
            return mapped
        return np.asarray(np.expm1(np.clip(mapped, self.low, self.high)))

    def to_dict(self) -> dict[str, Any]:
        """JSON form; infinite bounds are left out."""
        out: dict[str, Any] = {"kind": self.kind, "loc": self.loc, "scale": self.scale}
        if self.kind == "log1p":
            out |= {"low": self.low, "high": self.high}
        return out

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> TargetMap:
        """The inverse of ``to_dict``."""
        return cls(**dict(body))


class Model(Protocol):
    """A fitted model: data that predicts. Immutable; safe to share between threads."""

    @property
    def family(self) -> str:
        """The row of the table of families that reads the files back."""
        ...

    @property
    def rounds(self) -> int:
        """Boosting rounds or epochs that the fit kept (the best if it stopped early), else 0."""
        ...

    def predict(self, matrix: Matrix) -> NDArray[np.float64]:
        """Scores, float64 (n_rows, k), each a float32 value: one column per class (rows sum to 1),
        or one column for regression."""
        ...

    def files(self) -> dict[str, bytes]:
        """The native model as named files, data only; ``load_model`` reads them back."""
        ...

    def to_onnx(self) -> bytes | None:
        """An ONNX graph ``x`` float32 (n_rows, n_features) -> ``scores`` float32 (n_rows, k); None
        where the family or the parameters do not convert."""
        ...


@dataclass(frozen=True, slots=True)
class Fit:
    """Everything a family needs for one fit, in one value.

    ``valid`` is a part of the *training* rows that decides when to stop; it is never the fold that
    the model is judged on. ``stop`` is asked now and then and ends a fit with ``FitStopped``.
    """

    matrix: Matrix
    target: Target
    task: Task
    n_classes: int
    params: Params
    seed: int
    threads: int
    valid: tuple[Matrix, Target] | None = None
    weights: NDArray[np.float64] | None = None
    stop: Callable[[], bool] | None = None
    device: str = "cpu"
    """``cpu``, ``cuda`` or ``cuda:N``; the model that comes out predicts on CPU all the same."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Of the products in a network while it trains; other families have no use for it."""
    objective: Literal["mean", "quantile", "count"] = "mean"
    """Of a regression. Only for families that say that they fit it."""
    quantile: float = 0.5
    """With the objective ``quantile``: the share of rows below the answer, between 0 and 1."""
    monotone: tuple[int, ...] = ()
    """One a feature: 1 where the answer must never fall with it, -1 where it must never rise, 0
    where it may do either; () for none. Only for families that say that they hold it."""
    slots: tuple[int, ...] = ()
    """One a feature: how many slots of categories its whole numbers name, 0 where it is a number;
    () for numbers only. Only for families that say that they split them by sets."""
    cache: dict[Any, Any] | None = None
    """Where a family may keep what depends on matrix, target and valid only, between two fits of
    the same rows; the caller owns it and drops it with the matrix."""
    heard: Callable[[int, float], None] | None = None
    """Is told the loss on ``valid`` after each round or epoch, counted from 1, by families that go
    by rounds: a learning curve for people. It must be quick and must not raise."""

    def check_stop(self) -> None:
        """Raises ``FitStopped`` when the caller's time is up."""
        if self.stop is not None and self.stop():
            raise FitStopped


@dataclass(frozen=True, slots=True)
class Traits:
    """What of a table decides which preparations a search should try.

    Attributes:
        n_categories: categories of the largest domain of a feature.
        skewed: whether a number leans far to one side.
        n_rows: training rows; 0 where nobody counted them.
        n_columns: features.
        category_share: of the features, those that are categories, 0 to 1.
    """

    n_categories: int = 0
    skewed: bool = False
    n_rows: int = 0
    n_columns: int = 0
    category_share: float = 0.0


Choices = dict[str, tuple[Any, ...]]
"""Values worth trying, the best bet first: of fields of ``tenfold.features.Recipe`` (`PREPARING`),
and of parameters of the fit that only some tables allow."""
MANY_CATEGORIES = 65
"""From here on one-hot throws categories together and codes in alphabetical order say little; also
the default of ``Recipe.many_from``."""
PREPARING = ("categories", "many", "numbers")
"""Parameters that name a field of the recipe: they prepare rows, and are none of the fit's own."""


def preparing(params: Params) -> dict[str, Any]:
    """The fields of a recipe among some parameters.

    >>> preparing({"eta": 0.1, "many": "target"})
    {'many': 'target'}
    """
    return {name: params[name] for name in PREPARING if name in params}


COLUMNS = "columns"
"""Parameter of a configuration: the share of the features that it uses, those that go best with the
target alone; absent for all. It narrows the rows before a family sees them, see
`tenfold.training.narrow`."""


def fitting(params: Params) -> dict[str, Any]:
    """The parameters that a family's fit gets: all but those that choose columns.

    >>> fitting({"eta": 0.1, "columns": 0.5})
    {'eta': 0.1}
    """
    return {name: value for name, value in params.items() if name != COLUMNS}


def nothing_to_choose(traits: Traits) -> Choices:
    """For families that prepare every table alike."""
    return {}


class Space(Protocol):
    """The part of an Optuna trial that a search space uses."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """A number between two bounds."""
        ...

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        """A whole number between two bounds."""
        ...

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """One of the choices."""
        ...


@dataclass(frozen=True, slots=True)
class Family:
    """One row of the table of families: how to prepare, where to search, how to fit and load."""

    name: str
    tasks: frozenset[str]
    recipe: Callable[[Params], dict[str, Any]]
    """Keyword arguments of ``tenfold.features.Recipe`` for these parameters."""
    defaults: Callable[[str], tuple[Params, ...]]
    """Configurations worth trying before any search, the best bet first."""
    space: Callable[[Space, str], Params] | None
    """Draws parameters; None for a family with nothing to search."""
    fit: Callable[[Fit], Model]
    load: Callable[[Mapping[str, bytes]], Model]
    freeze: Callable[[Params, int], Params]
    """Parameters of a last fit on all rows, given the mean ``rounds`` of the folds."""
    stops_early: bool = False
    choices: Callable[[Traits], Choices] = nothing_to_choose
    """What to try for a table of some traits, beside the parameters of ``space``."""
    distributed: bool = False
    """Whether Ray Train fits it on many workers."""
    random: bool = False
    """Whether another seed gives another model, so that a mean over seeds is worth its fits."""
    devices: frozenset[str] = frozenset({"cpu"})
    """Kinds of device that it fits on: ``cpu``, ``cuda``."""
    objectives: frozenset[str] = frozenset({"mean"})
    """Of a regression: what it fits of ``mean``, ``quantile``, ``count``."""
    monotone: bool = False
    """Whether its models hold `Fit.monotone`: in exact numbers, for every row."""
    native: bool = False
    """Whether it takes `Fit.slots`: categories that are split by sets, not by order."""
    growth: float = 0.0
    """Exponent by which the best rounds grow with the rows of a fit: 1 where twice the rows carry
    twice the rounds."""
