"""Segments: how many there are, and whether there are any.

**How many.** Every number of segments on offer is judged by three figures together: the silhouette
(how much nearer rows are to their own segment) and the Davies-Bouldin index (how far segments
overlap) of rows that the fold's segments were not made from, and the *stability*, which is the mean
adjusted Rand index between segments of bootstrap samples. Of those that are stable enough the one
with the largest product of the three is taken, of equals the fewer segments.

**Whether.** k-means cuts any cloud into as many parts as it is told, so the silhouette is compared
with what the same fit reaches on rows without structure: numbers from one cloud with the same
covariance and skew, and numbers spread evenly over the same box along the principal axes, as the
gap statistic does it (Tibshirani, Walther and Hastie 2001); each category drawn apart from all
other columns. Segments exist when the rows beat both, and are the same on other samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.canonical import finite_or_none
from tenfold.evaluation import davies_bouldin, mean_agreement, silhouette
from tenfold.features import Recipe
from tenfold.features.preprocessor import Prepares
from tenfold.models import FAMILIES, Fit, FitStopped
from tenfold.schema import Kind, Schema
from tenfold.training.evaluate import Config, Outcome, Workspace

__all__ = [
    "STABLE",
    "Cut",
    "Structure",
    "best_cut",
    "bootstrap_stability",
    "cut_of",
    "figures_of",
    "find_structure",
    "refit_with",
]

STUDY_ROWS = 2_000
"""Rows of resampled fits: segments that need more rows to show are no segments of a table."""
N_RESAMPLES = 10
"""Bootstrap refits, so 45 pairs."""
N_REFERENCES = 12
"""Tables without structure of each kind."""
STABLE = 0.8
"""From here on segments of two samples are the same for any use."""
BEYOND_CHANCE_SD = 4.0
"""The number of segments is the best of several and the deviation rests on a dozen tables, so three
are met by chance now and then; three clear blobs lie tens of deviations away."""
FEW_VALUES = 10
"""A number with so few different values is a category: its steps are no structure."""

Labels = NDArray[np.int64]
Refit = Callable[[NDArray[np.float32], int], Callable[[NDArray[np.float32]], Labels]]
"""Fits rows with a seed; what it gives tells the segments of any rows."""
Draw = Callable[[np.random.Generator], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Cut:
    """One number of segments and what it is worth.

    Attributes:
        number: of the configuration.
        k: segments.
        silhouette: on held-out rows, -1 to 1.
        davies_bouldin: on held-out rows, from 0, smaller is better.
        stability: -0.5 to 1.
    """

    number: int
    k: int
    silhouette: float
    davies_bouldin: float
    stability: float

    @property
    def worth(self) -> float:
        """The three figures as one, 0 to 1: the product of silhouette, stability and
        ``1 / (1 + Davies-Bouldin)``; 0 where one is unknown or below 0."""
        value = max(self.silhouette, 0.0) * max(self.stability, 0.0) / (1 + self.davies_bouldin)
        return value if value == value else 0.0

    def told(self) -> str:
        """The figures in one line."""
        return (
            f"silhouette {self.silhouette:.3f}, Davies-Bouldin {self.davies_bouldin:.3f}, "
            f"stability {self.stability:.2f}"
        )


def best_cut(cuts: Sequence[Cut]) -> Cut:
    """The number of segments to take, see the module.

    >>> two, three = Cut(0, 2, 0.6, 0.9, 1.0), Cut(1, 3, 0.8, 0.3, 1.0)
    >>> best_cut([two, three, Cut(2, 4, 0.9, 0.2, 0.5)]).k
    3
    """
    pool = [cut for cut in cuts if cut.stability >= STABLE] or list(cuts)
    return min(pool, key=lambda cut: (-cut.worth, cut.k))


def refit_with(family: str, fit: Fit) -> Refit:
    """How a configuration is fitted again on other rows; ``fit`` gives all but rows and seed."""

    def again(matrix: NDArray[np.float32], seed: int) -> Callable[[NDArray[np.float32]], Labels]:
        fit.check_stop()
        truth = np.zeros(len(matrix), dtype=np.int64)
        fresh = replace(fit, matrix=matrix, target=truth, seed=seed, weights=None, cache=None)
        model = FAMILIES[family].fit(fresh)
        return lambda rows: np.asarray(model.predict(rows).argmax(axis=1), dtype=np.int64)

    return again


def bootstrap_stability(refit: Refit, matrix: NDArray[np.float32], *, seed: int) -> float:
    """The mean adjusted Rand index between segments of bootstrap samples, all rows assigned.

    Args:
        refit: see `refit_with`.
        matrix: prepared rows in an order without meaning; the first `STUDY_ROWS` are used.
        seed: equal seeds give equal figures.

    Returns:
        -0.5 to 1; NaN when fewer than two samples could be fitted (too few different rows).
    """
    rows = matrix[:STUDY_ROWS]
    rng = np.random.default_rng([seed, len(rows)])
    cuts: list[Labels] = []
    for number in range(N_RESAMPLES):
        sample = rows[rng.integers(0, len(rows), len(rows))]
        try:
            cuts.append(refit(sample, seed + number)(rows))
        except FitStopped:
            raise
        except ValueError:  # a sample may have fewer different rows than segments
            continue
    return mean_agreement(cuts)


def cut_of(work: Workspace, config: Config, outcome: Outcome, refit: Refit) -> Cut:
    """What a configuration is worth, by its out-of-fold scores and by refits on all folds."""
    question, family = work.question, FAMILIES[config.family]
    recipe = Recipe(**family.recipe(config.params))
    overlap = []
    for use in question.folds:
        data = work.fold(use, recipe, stops_early=family.stops_early)
        scores = _known(outcome.oof)[data.judged_rows]
        overlap.append(davies_bouldin(data.judged, scores.argmax(axis=1)))
    folds = tuple(sorted({fold for use in question.folds for fold in (*use.train, use.valid)}))
    rows = work.crossfit(folds, recipe).served.transform_codes(
        work.stage(folds).narrow(work.rows.codes[:STUDY_ROWS])
    )
    return Cut(
        config.number,
        int(config.params["k"]),
        outcome.score,
        float(np.mean(overlap)),
        bootstrap_stability(refit, rows, seed=question.seed),
    )


def _known(oof: NDArray[np.float32] | None) -> NDArray[np.float32]:
    if oof is None:
        raise ValueError("a cut is told from out-of-fold scores, and the configuration has none")
    return oof


@dataclass(frozen=True, slots=True)
class Structure:
    """Whether rows have segments at all.

    Attributes:
        k: segments.
        silhouette: of the rows that were cut.
        by_chance: mean silhouette of the harder kind of rows without structure.
        chance_sd: its standard deviation.
        stability: of the cut.
    """

    k: int
    silhouette: float
    by_chance: float
    chance_sd: float
    stability: float

    @property
    def stands_out(self) -> bool:
        """Whether the rows are cut better than rows without structure."""
        return self.silhouette > self.by_chance + BEYOND_CHANCE_SD * self.chance_sd

    @property
    def found(self) -> bool:
        """Whether there are segments, and the same on other samples."""
        return self.stands_out and self.stability >= STABLE

    def told(self) -> str:
        """The verdict in one sentence."""
        figures = (
            f"silhouette {self.silhouette:.2f} against {self.by_chance:.2f} for rows without "
            f"structure, stability {self.stability:.2f}"
        )
        if self.found:
            return (
                f"{self.k} segments stand out from chance and hold from sample to sample: {figures}"
            )
        if self.stands_out:
            return (
                f"the rows are not one cloud, but these {self.k} segments are not the same on "
                f"other samples ({figures}; {STABLE} is needed): read them as a rough cut"
            )
        return (
            f"no cluster structure: {self.k} segments cut these rows no better than rows without "
            f"any ({figures}): the segments divide one cloud, they are not kinds of rows"
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON form; what is not known is null."""
        return {
            "structure": self.found,
            "verdict": self.told(),
            "silhouette": finite_or_none(self.silhouette),
            "silhouette_by_chance": finite_or_none(self.by_chance),
            "stability": finite_or_none(self.stability),
        }


def find_structure(
    refit: Refit,
    prep: Prepares,
    codes: NDArray[np.float64],
    *,
    k: int,
    seed: int,
) -> Structure:
    """Compare a cut with cuts of rows without structure.

    Args:
        refit: see `refit_with`.
        prep: the fitted preparation.
        codes: of the training rows, in an order without meaning; the first `STUDY_ROWS` are used.
        k: segments.
        seed: equal seeds give equal verdicts.
    """
    some = codes[:STUDY_ROWS]
    rows = prep.transform_codes(some)
    discrete = discrete_columns(prep.schema, some)
    free = [j for j in range(rows.shape[1]) if len(np.unique(rows[:, j])) > FEW_VALUES]
    numbers = rows[:, free].astype(np.float64)
    worst = (float("-inf"), 0.0)
    for number, draw in enumerate((skewed_cloud(numbers), even_box(numbers)) if free else (None,)):
        rng = np.random.default_rng([seed, number, len(rows)])
        found = []
        for trial in range(N_REFERENCES):
            mixed = some.copy()
            for place in discrete:
                mixed[:, place] = rng.permutation(mixed[:, place])
            fake = prep.transform_codes(mixed)
            if draw is not None:
                fake[:, free] = draw(rng)
            found.append(_cut_silhouette(refit, fake, seed + trial))
        known = [value for value in found if not np.isnan(value)]
        if len(known) > 1:
            worst = max(worst, (float(np.mean(known)), float(np.std(known, ddof=1))))
    seen = _cut_silhouette(refit, rows, seed)
    stability = bootstrap_stability(refit, rows, seed=seed)
    return Structure(k, seen, worst[0], worst[1], stability)


def _cut_silhouette(refit: Refit, rows: NDArray[np.float32], seed: int) -> float:
    try:
        return silhouette(rows, refit(rows, seed)(rows))
    except FitStopped:
        raise
    except ValueError:
        return float("nan")


def discrete_columns(schema: Schema, codes: NDArray[np.float64]) -> list[int]:
    """Places of the features whose values are categories, or as few as categories."""
    numbers = (Kind.NUMBER, Kind.INTEGER, Kind.DATETIME)
    return [
        place
        for place, column in enumerate(schema.features)
        if column.kind not in numbers or len(np.unique(codes[:, place])) <= FEW_VALUES
    ]


def skewed_cloud(x: NDArray[np.float64]) -> Draw:
    """Rows like these (n_rows, d), in one cloud: normal with the same covariance after a power of
    each column (Yeo and Johnson 2000) that takes its skew, which the drawn rows get back."""
    from sklearn.preprocessing import PowerTransformer

    power = PowerTransformer()
    straight = power.fit_transform(x)
    scores, axes, center = _principal(straight)
    low, high = straight.min(axis=0), straight.max(axis=0)

    def draw(rng: np.random.Generator) -> NDArray[np.float64]:
        made = rng.normal(size=x.shape) * scores.std(axis=0) @ axes + center
        # Beyond the range of the rows a power may have no inverse.
        return np.asarray(power.inverse_transform(np.clip(made, low, high)))

    return draw


def even_box(x: NDArray[np.float64]) -> Draw:
    """As many rows, spread evenly over the box around these (n_rows, d) along their principal
    axes."""
    scores, axes, center = _principal(x)
    low, high = scores.min(axis=0), scores.max(axis=0)
    return lambda rng: np.asarray(rng.uniform(low, high, size=x.shape) @ axes + center)


def _principal(x: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Coordinates along the principal axes (n_rows, d), the axes (d, d) as rows, the mean."""
    center = x.mean(axis=0)
    _, axes = np.linalg.eigh((x - center).T @ (x - center))
    return (x - center) @ axes, axes.T, center


def figures_of(cuts: Sequence[Cut]) -> list[Mapping[str, Any]]:
    """The choice as JSON values, by number of segments."""
    return [
        {
            "k": cut.k,
            "silhouette": finite_or_none(cut.silhouette),
            "davies_bouldin": finite_or_none(cut.davies_bouldin),
            "stability": finite_or_none(cut.stability),
        }
        for cut in sorted(cuts, key=lambda cut: cut.k)
    ]
