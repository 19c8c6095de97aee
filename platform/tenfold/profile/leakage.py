"""Leakage: columns that know the answer, told from the profile before any model is trained."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tenfold.profile.association import CategoryAssociation
from tenfold.profile.finding import Finding, Law, Level
from tenfold.profile.profile import Association, Profile
from tenfold.profile.strength import missing_tells, predicts_alone
from tenfold.schema import Schema

__all__ = ["leaks", "sums"]

MIN_ROWS = 30
"""Below this many rows associations are noise."""
NAMES_ROWS = 0.9
"""Categories per row from which a column names rows; its statistics repeat the target."""
LEAK_AUC, LEAK_R2 = 0.99, 0.97
"""No single honest column of the tables we know comes near: adult 0.83, diamonds 0.88."""
SUM_R2 = 0.9999
"""A numeric target that is a weighted sum of other columns, but for rounding."""
MISSING_TELLS, MISSING_IS_TARGET = 0.3, 0.9
"""Association of missingness with the target: informative; and nearly one and the same."""


def leaks(schema: Schema, profile: Profile) -> Iterator[Finding]:
    """Features that predict the target alone, by their values or by being missing."""
    if schema.target is None or profile.n_rows < MIN_ROWS:
        return
    target = schema.target.name
    for name, association in profile.associations.items():
        tells = missing_tells(association)
        if tells >= MISSING_TELLS:
            certain = tells >= MISSING_IS_TARGET
            yield Finding(
                Level.ERROR if certain else Level.WARNING,
                name,
                Law.MISSING_IS_TARGET,
                f"whether column {name!r} is missing goes with {target!r} (association "
                f"{tells:.2f} of 1): it may be filled in after the outcome; leave it out unless "
                "it is equally missing at prediction time",
            )
        if _names_rows(association, profile.n_rows) or tells >= MISSING_IS_TARGET:
            continue
        alone = predicts_alone(association)
        value = max(alone.value, _straight(profile, target, name) if alone.measure == "r2" else 0)
        if value >= (LEAK_AUC if alone.measure == "roc_auc" else LEAK_R2):
            yield Finding(
                Level.ERROR,
                name,
                Law.LEAKAGE,
                f"column {name!r} alone predicts {target!r} ({alone.measure} {value:.4f}): it may "
                "be known only after the outcome; leave it out unless it is known at prediction "
                "time",
            )


def _names_rows(association: Association, n_rows: int) -> bool:
    if not isinstance(association, CategoryAssociation):
        return False
    return len(association.categories) >= NAMES_ROWS * n_rows


def _straight(profile: Profile, target: str, name: str) -> float:
    """Squared Pearson correlation with a numeric target; 0 where it is not known."""
    names = profile.comoments.names
    if name not in names or target not in names:
        return 0.0
    r = profile.comoments.pearson()[names.index(target), names.index(name)]
    return 0.0 if np.isnan(r) else float(r * r)


def sums(schema: Schema, profile: Profile) -> Iterator[Finding]:
    """A numeric target that is a weighted sum of features, from the co-moments alone."""
    moments = profile.comoments
    target = schema.target
    if target is None or not moments.names or moments.names[0] != target.name:
        return
    complete = np.flatnonzero(moments.n[0] == moments.n[0, 0])
    if len(complete) < 3 or profile.n_rows < 10 * len(complete):
        return
    correlations = moments.pearson()[np.ix_(complete, complete)]
    varying = ~np.isnan(np.diag(correlations))
    if not varying[0]:
        return
    r = correlations[np.ix_(varying, varying)]
    names = [moments.names[i] for i in complete[varying]]
    weights, *_ = np.linalg.lstsq(r[1:, 1:], r[1:, 0], rcond=1e-10)
    share = float(weights @ r[1:, 0])
    matter = [n for n, w in zip(names[1:], weights, strict=True) if abs(w) > 0.01]
    if share >= SUM_R2 and len(matter) > 1:
        yield Finding(
            Level.ERROR,
            None,
            Law.LEAKAGE,
            f"{target.name!r} is a weighted sum of the columns {matter} (r2 {share:.6f}): the "
            "answer is in the question; leave at least one of them out",
        )
