"""What is tried before any search: a fixed list of configurations that win somewhere.

Each family names its own defaults. For boosting there are more, collected from tuned defaults and
from what published portfolios picked (pytabkit's "TD"; the XGBoost configurations in AutoGluon's
zero-shot portfolio of 2023, the shapes of its LightGBM); a family that is not in the project adds
none. What a table is like decides the order of the later ones: rows, columns, and the share of
categories.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from types import MappingProxyType
from typing import Any, Final

from tenfold.models import FAMILIES, Traits
from tenfold.models.base import PREPARING
from tenfold.models.boosting import DEPTH_WISE, LEAF_WISE
from tenfold.project.measures import Objective, Task
from tenfold.training.question import Question

__all__ = ["FOLLOWED", "Entry", "following", "portfolio"]

FEW_ROWS = 3_000
WIDE = 50
"""Features from which sampling few of them for each tree pays most."""
CATEGORIES = 0.4
"""Share of features from which a table is one of categories."""

FOLLOWED = (*PREPARING, "target", "max_bin")
"""What an entry that follows takes from the best of its family. Measured on diamonds: sets in place
of codes cut the error by 2 %, and no other booster of the portfolio had them."""

GOOD, FAIR, POOR = 3.0, 2.0, 1.0
"""How much is expected of an entry for a table; only the order counts."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One configuration to try.

    Attributes:
        family: name in the table of families.
        params: of the fit and the preparation.
        worth: what is expected of it beside the others, above 0.
        first: whether it is a family's best bet, which goes before all others.
        follows: whether it takes the preparations, the map of the target and the bins of the best
            of its family so far, see `following`.
    """

    family: str
    params: Mapping[str, Any]
    worth: float = FAIR
    first: bool = False
    follows: bool = False


Worth = Callable[[Traits], float]


def _slow(traits: Traits) -> float:
    """Small steps and deep trees: rows must be many enough to fill them. Leaves do it for less."""
    return POOR if traits.n_rows < FEW_ROWS else FAIR


def _shallow(traits: Traits) -> float:
    return GOOD if traits.n_rows < FEW_ROWS else FAIR


def _leaves(traits: Traits) -> float:
    """Trees that grow where the loss falls most: measured, 3 % less error than level by level on
    13,000 rows of bike and 21,000 of king-county, in the same time."""
    return GOOD if traits.n_rows >= FEW_ROWS else POOR


def _sampled(traits: Traits) -> float:
    return GOOD if traits.n_columns >= WIDE else POOR


def _coarse(traits: Traits) -> float:
    return FAIR if traits.category_share >= CATEGORIES else POOR


def _fair(traits: Traits) -> float:
    return FAIR


TD_CLASSES: Final = {
    "eta": 0.08, "max_depth": 6, "min_child_weight": 5e-6, "lambda": 0.0,
    "subsample": 0.65, "colsample_bylevel": 0.9, "rounds": 1000,
}  # fmt: skip
TD_NUMBERS: Final = {
    "eta": 0.05, "max_depth": 9, "min_child_weight": 2.0, "lambda": 0.0,
    "subsample": 0.7, "colsample_bytree": 1.0, "rounds": 1000,
}  # fmt: skip

_BOOSTING: tuple[tuple[Mapping[str, Any], Worth], ...] = (
    (
        MappingProxyType(
            {"eta": 0.06, "grow_policy": LEAF_WISE, "max_depth": 0, "max_leaves": 64,
             "min_child_weight": 1.0, "subsample": 0.8, "colsample_bytree": 1.0,
             "colsample_bynode": 0.7, "lambda": 1.0}
        ),
        _leaves,
    ),
    (
        MappingProxyType(
            {"eta": 0.03, "grow_policy": LEAF_WISE, "max_depth": 0, "max_leaves": 128,
             "min_child_weight": 1.0, "subsample": 0.8, "colsample_bytree": 1.0,
             "colsample_bynode": 0.7, "lambda": 1.0}
        ),
        _leaves,
    ),
    (
        MappingProxyType(
            {"eta": 0.02, "grow_policy": DEPTH_WISE, "max_depth": 9, "min_child_weight": 0.6,
             "subsample": 0.8, "colsample_bytree": 0.69, "colsample_bynode": 1.0, "lambda": 1.0}
        ),
        _slow,
    ),
    (
        MappingProxyType(
            {"eta": 0.09, "grow_policy": DEPTH_WISE, "max_depth": 5, "min_child_weight": 1.4,
             "subsample": 0.9, "colsample_bytree": 0.66, "colsample_bynode": 1.0, "lambda": 1.0}
        ),
        _shallow,
    ),
    (
        MappingProxyType(
            {"eta": 0.05, "grow_policy": DEPTH_WISE, "max_depth": 4, "min_child_weight": 1.0,
             "subsample": 0.8, "colsample_bytree": 0.3, "colsample_bynode": 1.0, "lambda": 5.0}
        ),
        _sampled,
    ),
    (
        MappingProxyType(
            {"eta": 0.2, "max_depth": 6, "min_child_weight": 1.0, "subsample": 0.7,
             "colsample_bylevel": 0.6, "lambda": 1.0, "num_parallel_tree": 4, "rounds": 150}
        ),
        _coarse,
    ),
)  # fmt: skip


def portfolio(question: Question, *, warm: Sequence[Entry] = ()) -> list[Entry]:
    """The configurations to try, in order: the baseline, then the best bet of each family (cheapest
    family first), then the others, the most promising first; of equals those of cheap families.

    After a family's own defaults comes its first one with its other choices, one at a time;
    then what follows the best of these.

    Args:
        question: families, task and what the table is like.
        warm: what an earlier model used; goes right behind the baseline.
    """
    task = question.task.value
    bets = [_of_family(name, question) for name in question.families]
    firsts = [entries[0] for entries in bets if entries]
    others = [
        entry
        for row in zip_longest(*(entries[1:] for entries in bets))
        for entry in row
        if entry is not None
    ]
    start = [Entry("dummy", {}, first=True)] if task in FAMILIES["dummy"].tasks else []
    return [*start, *warm, *firsts, *sorted(others, key=lambda e: (e.follows, -e.worth))]


def _of_family(name: str, question: Question) -> list[Entry]:
    family, traits, task = FAMILIES[name], question.traits, question.task.value
    choices = family.choices(traits)
    best = {field: values[0] for field, values in choices.items()}
    counts = question.objective is Objective.COUNT  # the link of a count is a logarithm already
    usual = [p for p in family.defaults(task) if not (counts and p.get("target") == "log1p")]
    first, *defaults = [dict(params) | best for params in usual]
    entries = [Entry(name, first, GOOD, first=True)]
    entries += [Entry(name, params, GOOD) for params in defaults]
    entries += [
        Entry(name, first | {field: value}, FAIR)
        for field, values in choices.items()
        for value in values[1:]
    ]
    if name == "boosting":
        entries += [
            Entry(name, dict(params) | best, worth, follows=True)
            for params, worth in _more(question)
        ]
    return entries


def following(entry: Entry, best: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of an entry with the preparations, the map of the target and the bins of the
    best of its family: they hang on the table far more than on how its trees grow.

    Args:
        entry: that follows; of others the parameters are as they are.
        best: parameters of the best of its family so far; empty for none.

    >>> entry = Entry("boosting", {"eta": 0.1, "categories": "ordinal"}, follows=True)
    >>> following(entry, {"eta": 0.3, "categories": "native"})
    {'eta': 0.1, 'categories': 'native'}
    """
    if not entry.follows:
        return dict(entry.params)
    taken = {name: best[name] for name in FOLLOWED if name in entry.params and name in best}
    return {**entry.params, **taken}


def _more(question: Question) -> list[tuple[Mapping[str, Any], float]]:
    """Boosting's; what a logarithm of the target is worth the defaults tell first."""
    regression = question.task is Task.REGRESSION
    tuned = TD_NUMBERS if regression else TD_CLASSES
    target = {"target": "none"} if regression else {}
    every = ((tuned, _fair), *_BOOSTING)
    return [({**params, **target}, worth(question.traits)) for params, worth in every]
