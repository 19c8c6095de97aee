"""What is worth constructing, told from the profile of the training rows alone.

Pairs of numbers. For a linear form ``L = u a - v b`` the share of its variance that the target
explains follows from what a profile holds: between-class (or target) covariances ``B`` and
co-moments ``V``::

    eta2(L) = (u2 Baa + v2 Bbb - 2 u v Bab) / (u2 Vaa + v2 Vbb - 2 u v Vab)

A difference is that form with u = v = 1; a ratio is, to first order (the delta method), the form
with u = 1/mean(a), v = 1/mean(b). A pair is wanted where the form says clearly more than the
better of its two sides. What only an interaction shows is not seen here: reading rows for all pairs
would cost more than it finds.

Groups and crosses. The profile knows no pair of a category with another column, so these are the
pairs of columns that go with the target most; whether they help is judged on rows
(`tenfold.training.making`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tenfold.profile import NumberAssociation
from tenfold.profile.strength import strength
from tenfold.profile.target import ClassStats
from tenfold.schema import Column, Kind, Schema

if TYPE_CHECKING:
    from tenfold.profile import Profile

__all__ = ["MAX_CONSTRUCTED", "Candidates", "choose_candidates"]

MAX_DIFFERENCES = 4
MAX_RATIOS = 4
MAX_GROUPED = 3
"""Pairs of a category and a number; each makes a mean, a spread and a deviation."""
MAX_SHARES = 3
"""Categories whose share of rows is a column: at most those of the grouped pairs."""
MAX_CROSSES = 4
MAX_CONSTRUCTED = MAX_DIFFERENCES + MAX_RATIOS + 3 * MAX_GROUPED + MAX_SHARES + MAX_CROSSES
"""24: about a microsecond of row time each. TabPrep makes thousands and filters them with all rows
in memory; here a candidate must be named before the rows are read."""

MIN_GAIN = 0.003
"""Share of variance that a pair must explain beyond its better side."""
NOISE_GAIN = 10.0
"""Times what chance explains, (classes - 1) / rows, or 1 / rows for a number."""
SAME = 1e-6
"""Below this share of its sides' variance a form is rounding: the two columns are one."""
MIN_LEVELS, MAX_LEVELS = 3, 1000
"""Groups to aggregate over: two are told by the category itself, and thousands are names."""
GROUP_ROWS = 10
"""Rows a group has on average, or its statistics are those of its own rows."""
CROSS_CELLS = 20_000
"""Cells of a cross: most would be empty in a larger one."""
DIGITS = 6
"""Scores are compared to so many digits: co-moments depend on the order of blocks from the ninth
on, and the choice must not."""

Places = tuple[tuple[int, int], ...]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Candidates:
    """What to construct; pairs of places among the schema's features, the best first.

    Attributes:
        differences: (a, b) for ``a - b``.
        ratios: (a, b) for ``a / b``.
        groups: (category, number).
        crosses: (category, category).
    """

    differences: Places = ()
    ratios: Places = ()
    groups: Places = ()
    crosses: Places = ()

    def __bool__(self) -> bool:
        return any((self.differences, self.ratios, self.groups, self.crosses))


def choose_candidates(schema: Schema, profile: Profile) -> Candidates:
    """What is worth constructing.

    Args:
        schema: of the table.
        profile: of the training rows only.

    Returns:
        None of any kind without a target: nothing says then what a column is good for.
    """
    if schema.target is None or not profile.n_rows:
        return Candidates()
    strengths = {name: round(strength(a)[1], DIGITS) for name, a in profile.associations.items()}
    differences, ratios = _pairs(schema, profile)
    return Candidates(
        differences=differences,
        ratios=ratios,
        groups=_groups(schema, profile, strengths),
        crosses=_crosses(schema, profile, strengths),
    )


def _pairs(schema: Schema, profile: Profile) -> tuple[Places, Places]:
    names = [
        c.name
        for c in schema.features
        if c.kind in (Kind.NUMBER, Kind.INTEGER, Kind.DATETIME)
        and c.name in profile.comoments.names
        and profile.numbers[c.name].n_distinct > 2
    ]
    if len(names) < 2:
        return (), ()
    place = {column.name: k for k, column in enumerate(schema.features)}
    between, spread, cross = _moments(schema, profile, names)
    times = np.array([schema.column(name).kind is Kind.DATETIME for name in names])
    numbers = [profile.numbers[name] for name in names]
    gains = _gains(between, spread, cross, np.ones(len(names)))
    gains[times[:, None] != times[None, :]] = 0.0  # seconds of an epoch minus a price mean nothing
    means = np.array([n.mean if n.minimum > 0 or n.maximum < 0 else np.nan for n in numbers])
    means[times] = np.nan
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        relative = _gains(between, spread, cross, 1.0 / means)
        noise = np.sqrt([n.variance for n in numbers]) / np.abs(means)
    n_classes = len(schema.target.domain or ()) if schema.target is not None else 0
    least = max(MIN_GAIN, NOISE_GAIN * max(1, n_classes - 1) / profile.n_rows)
    best = _ranked(gains, least, MAX_DIFFERENCES)
    differences = tuple((place[names[i]], place[names[j]]) for i, j in best)
    ratios = []
    for i, j in _ranked(relative, least, MAX_RATIOS):
        # The steadier of the two divides: 1/b of a b near 0 is all noise.
        a, b = (i, j) if noise[j] <= noise[i] else (j, i)
        ratios.append((place[names[a]], place[names[b]]))
    return differences, tuple(ratios)


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


def _ranked(gains: Floats, least: float, most: int) -> list[tuple[int, int]]:
    """The pairs i < j with the largest gains; of equals the first."""
    scores = np.round(np.triu(gains, k=1), DIGITS)
    order = np.argsort(-scores, axis=None, kind="stable")[:most]
    pairs = [(int(k) // len(scores), int(k) % len(scores)) for k in order]
    return [(i, j) for i, j in pairs if scores[i, j] >= least]


def _groups(schema: Schema, profile: Profile, strengths: dict[str, float]) -> Places:
    categories = [(k, c) for k, c in _categories(schema, profile) if _can_group(c, profile)]
    numbers = [
        (k, c)
        for k, c in enumerate(schema.features)
        if c.kind in (Kind.NUMBER, Kind.INTEGER) and profile.numbers[c.name].n_distinct > 2
    ]
    scored = [
        (-round(strengths[c.name] * strengths[x.name], DIGITS), k, j)
        for k, c in categories
        for j, x in numbers
    ]
    return tuple((k, j) for _, k, j in sorted(scored)[:MAX_GROUPED])


def _categories(schema: Schema, profile: Profile) -> list[tuple[int, Column]]:
    return [
        (k, c)
        for k, c in enumerate(schema.features)
        if c.kind is Kind.CATEGORY and c.domain and profile.categories[c.name].n_distinct > 1
    ]


def _can_group(column: Column, profile: Profile) -> bool:
    n_levels = profile.categories[column.name].n_distinct
    return MIN_LEVELS <= n_levels <= min(MAX_LEVELS, profile.n_rows // GROUP_ROWS)


def _crosses(schema: Schema, profile: Profile, strengths: dict[str, float]) -> Places:
    categories = _categories(schema, profile)
    scored = [
        (-round(strengths[a.name] * strengths[b.name], DIGITS), i, j)
        for n, (i, a) in enumerate(categories)
        for j, b in categories[n + 1 :]
        if len(a.domain or ()) * len(b.domain or ()) <= CROSS_CELLS
    ]
    return tuple((i, j) for _, i, j in sorted(scored)[:MAX_CROSSES])
