"""Pairs of numbers whose difference or ratio a profile praises, over all rows and without any.

For a linear form ``L = u a - v b`` the share of its variance that the target explains follows from
what a profile holds: between-class (or target) covariances ``B`` and co-moments ``V``::

    eta2(L) = (u2 Baa + v2 Bbb - 2 u v Bab) / (u2 Vaa + v2 Vbb - 2 u v Vab)

A difference is that form with u = v = 1; a ratio is, to first order (the delta method), the form
with u = 1/mean(a), v = 1/mean(b). It sees what no cells of bins can: columns so alike that they
stand in the same bins, with the truth in what is between them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tenfold.profile import NumberAssociation
from tenfold.profile.target import ClassStats
from tenfold.schema import Schema

if TYPE_CHECKING:
    from tenfold.profile import Profile

__all__ = ["DIGITS", "linear_pairs"]

SAME = 1e-6
"""Below this share of its sides' variance a form is rounding: the two columns are one."""
DIGITS = 6
"""Scores are compared to so many digits: co-moments depend on the order of blocks from the ninth
on, and the choice must not."""

Floats = npt.NDArray[np.float64]
Pairs = list[tuple[int, int]]


def linear_pairs(
    schema: Schema, profile: Profile, names: list[str], *, most: int
) -> tuple[Pairs, Pairs]:
    """Pairs for a difference and for a ratio, the best first.

    Args:
        schema: of the table; it has a target.
        profile: of the training rows only.
        names: of numbers and date-times that have co-moments.
        most: pairs of each.

    Returns:
        Places in ``names``, the smaller first.
    """
    if len(names) < 2:
        return [], []
    moments = _moments(schema, profile, names)
    numbers = [profile.numbers[name] for name in names]
    means = np.array([n.mean if n.minimum > 0 or n.maximum < 0 else np.nan for n in numbers])
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        forms = (np.ones(len(names)), 1.0 / means)
    differences, ratios = (_ranked(_gains(*moments, form), most) for form in forms)
    return differences, ratios


def _moments(schema: Schema, profile: Profile, names: list[str]) -> tuple[Floats, Floats, Floats]:
    """``B``, the variances ``V[i, i]`` where j has a value, and the covariances ``V[i, j]``."""
    moments = profile.comoments
    at = np.array([moments.names.index(name) for name in names])
    n = np.maximum(moments.n[np.ix_(at, at)], 1)
    spread, cross = (m[np.ix_(at, at)] / n for m in (moments.m2, moments.c2))
    target = schema.target
    if target is not None and target.name in moments.names:
        y = moments.names.index(target.name)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            variance = moments.m2[y, y] / max(1, int(moments.n[y, y]))
            covariance = moments.c2[at, y] / np.maximum(moments.n[at, y], 1)
            return np.outer(covariance, covariance) / variance, spread, cross
    apart = np.stack([_class_means(profile.associations[name]) for name in names])
    with np.errstate(invalid="ignore", over="ignore"):
        return apart @ apart.T, spread, cross


def _class_means(association: object) -> Floats:
    """Per class, the distance of a number's mean to the overall one times the root of the share."""
    if not isinstance(association, NumberAssociation):
        raise TypeError("class means need a number's association")
    stats = association.stats
    if not isinstance(stats, ClassStats):
        raise TypeError("class means need a target of classes")
    counts = stats.counts[:-1].astype(np.float64)
    rows = counts.sum(axis=0)
    with np.errstate(over="ignore", invalid="ignore"):
        sums = (counts * association.cells[:, None]).sum(axis=0)
        overall = sums.sum() / max(1.0, rows.sum())
        apart = np.where(rows > 0, sums / np.maximum(rows, 1.0) - overall, 0.0)
        return np.asarray(apart * np.sqrt(rows / max(1.0, rows.sum())))


def _gains(between: Floats, spread: Floats, cross: Floats, weights: Floats) -> Floats:
    """For each pair, what the form explains beyond its better side; 0 where it has no meaning."""
    with np.errstate(all="ignore"):
        square, product = weights * weights, np.outer(weights, weights)
        sides = square[:, None] * spread
        total = sides + sides.T - 2.0 * product * cross
        own = square * np.diag(between)
        explained = own[:, None] + own[None, :] - 2.0 * product * between
        alone = np.diag(between) / np.diag(spread)
        form = np.where(total > SAME * (sides + sides.T), explained / total, 0.0)
        gain = form - np.maximum(alone[:, None], alone[None, :])
    return np.where(np.isfinite(gain) & (form <= 1.0 + SAME), gain, 0.0)


def _ranked(gains: Floats, most: int) -> Pairs:
    """The pairs i < j with the largest gains above 0; of equals the first."""
    scores = np.round(np.triu(gains, k=1), DIGITS)
    order = np.argsort(-scores, axis=None, kind="stable")[:most]
    pairs = [(int(k) // len(scores), int(k) % len(scores)) for k in order]
    return [(i, j) for i, j in pairs if scores[i, j] > 0.0]
