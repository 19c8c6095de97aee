"""Fewer columns as a choice of the search: the share of the features that go best with the target.

The rank comes from the profile of the folds that are fitted on, so the rows that judge have no say
in it; every fold ranks for itself. Columns are ranked one by one: a search tries the share, the
folds say whether it helps.
"""

from __future__ import annotations

import math

from tenfold.features.second import Stage
from tenfold.profile.strength import predicts_alone

__all__ = ["SHARES_FROM", "narrowed", "shares_to_try"]

SHARES_FROM = 16
"""Features from which a search tries fewer of them. On narrower tables each is cheap, and a trial
spent on dropping one is a trial less on the model."""
MANY = 100
SHARES, SHARES_OF_MANY = (1.0, 0.75, 0.5), (1.0, 0.5, 0.25, 0.1)
DIGITS = 9


def shares_to_try(n_columns: int) -> tuple[float, ...]:
    """Shares of the features worth trying for a table of so many.

    >>> shares_to_try(8), shares_to_try(20)
    ((1.0,), (1.0, 0.75, 0.5))
    """
    if n_columns < SHARES_FROM:
        return (1.0,)
    return SHARES_OF_MANY if n_columns >= MANY else SHARES


def narrowed(stage: Stage, share: float) -> Stage:
    """The same stage with the share of its columns that predict the target best alone.

    Columns that no association is known of (free text) stay.

    Args:
        stage: of the folds that are fitted on.
        share: above 0, up to 1; at least one column stays.
    """
    features = stage.seen.features
    most = max(1, math.ceil(share * len(features)))
    if most >= len(features):
        return stage
    known = stage.profile.associations
    ranked = sorted(
        (-round(predicts_alone(known[column.name]).value, DIGITS), place)
        for place, column in enumerate(features)
        if column.name in known
    )
    unknown = [place for place, column in enumerate(features) if column.name not in known]
    strong = [place for _, place in ranked[: max(0, most - len(unknown))]]
    return stage.keep(sorted({*strong, *unknown})) if strong or unknown else stage
