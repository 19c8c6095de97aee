"""Who answers together where rows are few: the mean of what is good in different ways.

With some hundred judged rows the best of a hundred configurations is in part the luckiest, and
weights that are chosen on the same rows follow the same luck. What is known beforehand counts more:
families err in different ways. So the best of each family that is not clearly worse and the best
three of all answer with weights alike.

Measured on samples of real tables, judged on up to 3,000 other rows; means of four samples, of
three with 700 rows and of two for numbers. Before, 240 rows had the best configuration with several
seeds, and 700 the greedy blend, where folds that had not chosen it agreed:

====================  ========  ========  =======  ==========
table, training rows  metric    before    greedy   even blend
====================  ========  ========  =======  ==========
adult, 240            log loss  .3939     .3780    .3768
telco-churn, 240      log loss  .4368     .4333    .4310
german-credit, 240    log loss  .5152     .5131    .5115
penguins, 240         log loss  .0388     .0399    .0259
king-county, 240      RMSE      206,300   196,000  198,000
bike, 240             RMSE      93.0      93.3     93.5
adult, 700            log loss  .3451     .3450    .3447
telco-churn, 700      log loss  .4255     .4231    .4217
====================  ========  ========  =======  ==========

The mean of logarithms in place of probabilities is surer of itself and was worse on all of these
samples of classes (40 configurations: penguins .0341 in place of .0261, adult .3773 of .3743).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from tenfold.training.blend import FEW_ROWS, MAX_MEMBERS, Blends, Judge, Mix, Scores, greedy, mixed
from tenfold.training.front import resampled, standard_error

__all__ = ["blends_for", "even_blend"]

CLOSE = 2.0
"""Standard errors behind the best that another family's best may be."""
BEST = 3
"""Of all candidates that are in whatever their family."""


def blends_for(judge: Judge, families: Mapping[int, str], *, seed: int) -> Blends:
    """How answers are put together on the judge's rows: `even_blend` where they are few, else
    `greedy`.

    Args:
        judge: the rows.
        families: of the candidates.
        seed: of the resamples that tell what is close.
    """
    if len(judge.rows) >= FEW_ROWS:
        return greedy
    return partial(even_blend, families=families, seed=seed)


def even_blend(
    judge: Judge, scores: Mapping[int, Scores], *, families: Mapping[int, str], seed: int
) -> list[Mix]:
    """The best candidate, and the even blend, which need not be better on these rows.

    Args:
        judge: the rows and the metric.
        scores: candidate to its scores on the judge's rows, at least one.
        families: of the candidates.
        seed: of the resamples.
    """
    values = {number: judge.score(some) for number, some in scores.items()}
    sign = -1.0 if judge.question.maximize else 1.0
    judged = [number for number, value in values.items() if not np.isnan(value)] or list(values)
    ranked = sorted(judged, key=lambda n: (sign * values[n], n))
    best = Mix(((ranked[0], 1.0),), values[ranked[0]])
    members = _members(judge, scores, values, ranked, families, seed=seed)
    if len(members) == 1:
        return [best]
    weights = tuple((number, 1.0 / len(members)) for number in sorted(members))
    return [best, Mix(weights, judge.score(mixed(weights, scores)))]


def _members(
    judge: Judge,
    scores: Mapping[int, Scores],
    values: Mapping[int, float],
    ranked: list[int],
    families: Mapping[int, str],
    *,
    seed: int,
) -> list[int]:
    firsts: dict[str, int] = {}
    for number in ranked:
        firsts.setdefault(families[number], number)
    best = resampled(judge, scores[ranked[0]], seed=seed)
    members = [ranked[0]]
    for number in firsts.values():
        if number == ranked[0]:
            continue
        other = resampled(judge, scores[number], seed=seed)
        if abs(values[number] - values[ranked[0]]) <= CLOSE * standard_error(other, best):
            members.append(number)
    return list(dict.fromkeys([*members, *ranked[:BEST]]))[:MAX_MEMBERS]
