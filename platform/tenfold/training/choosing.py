"""The search of a clustering: every number of segments on offer, judged see `segments`.

There are few configurations, and a fit of one takes milliseconds, so it needs no sampler and no
sessions: it runs in this process, in a fixed order, until the time is up.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tenfold.errors import DataError
from tenfold.models import FAMILIES, FitStopped
from tenfold.training.board import Tried
from tenfold.training.evaluate import Config, evaluate
from tenfold.training.search import Material, OnTried
from tenfold.training.segments import Cut, best_cut, cut_of, refit_with
from tenfold.training.study import bare_fit

__all__ = ["Choice", "choose_segments"]


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen configuration, and what each was worth.

    Attributes:
        best: the one that `best_cut` takes, which need not have the best silhouette.
        tried: every configuration with its outcome, by number.
        cuts: figures of those that could be judged.
        oofs: their out-of-fold scores by number, float32 (n_rows, k).
    """

    best: Tried
    tried: tuple[Tried, ...]
    cuts: tuple[Cut, ...]
    oofs: Mapping[int, NDArray[np.float32]] = field(repr=False)

    def oof_of(self, number: int) -> NDArray[np.float32]:
        """Out-of-fold scores of a configuration that could be judged, (n_rows, k)."""
        return self.oofs[number]


def choose_segments(
    material: Material,
    *,
    trials: int | None,
    seconds: float | None,
    on_tried: OnTried | None = None,
) -> Choice:
    """Judge every number of segments that the families offer.

    Args:
        material: rows and question of a clustering.
        trials: stop after so many configurations, or None.
        seconds: wall time from now, or None; the first configuration runs whatever it says.
        on_tried: is told of each that ended.

    Raises:
        DataError: no number of segments fits the rows.
    """
    began = time.monotonic()
    work, question = material.workspace(), material.question
    tried: list[Tried] = []
    cuts: dict[int, Cut] = {}
    scores: dict[int, NDArray[np.float32]] = {}

    def stop() -> bool:
        return bool(cuts) and seconds is not None and time.monotonic() - began >= seconds

    for config in _configs(material, trials):
        if stop():
            break
        outcome = evaluate(work, config, stop=stop)
        if outcome.oof is not None:
            try:
                fit = bare_fit(question, config.params, threads=material.threads, stop=stop)
                cut = cut_of(work, config, outcome, refit_with(config.family, fit))
            except FitStopped:
                break
            cuts[config.number], scores[config.number] = cut, outcome.oof
        tried.append(Tried(config, replace(outcome, oof=None)))
        if on_tried is not None:
            on_tried(tried[-1])
    if not cuts:
        reasons = sorted({str(one.outcome.error) for one in tried})
        raise DataError(
            f"segments need at least two different rows in each fold, {question.n_folds} folds of "
            f"{material.rows.n_rows} rows do not have them: {'; '.join(reasons)}; "
            "add rows, or use fewer folds"
        )
    best = best_cut(list(cuts.values())).number
    chosen = next(one for one in tried if one.config.number == best)
    return Choice(chosen, tuple(tried), tuple(cuts.values()), scores)


def _configs(material: Material, trials: int | None) -> list[Config]:
    offers = [
        (name, params)
        for name in material.question.families
        for params in FAMILIES[name].defaults(material.question.task.value)
    ]
    return [Config(number, *offer) for number, offer in enumerate(offers[:trials])]
