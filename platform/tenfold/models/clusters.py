"""k-means: segments as centers; the score of a segment falls with the squared distance to it."""

from __future__ import annotations

from typing import Any

import numpy as np

from tenfold.models.arrays import ArrayModel, load_arrays
from tenfold.models.base import Family, Fit, Params, Space

__all__ = ["KMEANS"]

N_INIT = 8
"""Starts of k-means++; the best inertia wins. Eight find the best basin on the usual tables."""
ENOUGH_ROWS = 1_000
"""Rows among which different ones are counted first: most tables show enough there."""


def _fit(fit: Fit) -> ArrayModel:
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    fit.check_stop()
    k = int(fit.params["k"])
    x = np.asarray(fit.matrix, dtype=np.float64)
    if len(x) < k or len(np.unique(x[:ENOUGH_ROWS], axis=0)) < k > len(np.unique(x, axis=0)):
        raise ValueError(f"{k} segments need as many different rows; ask for fewer segments")
    with threadpool_limits(fit.threads):
        means = KMeans(n_clusters=k, n_init=N_INIT, random_state=fit.seed)
        means.fit(x, sample_weight=fit.weights)
    # Segments by size, the largest first: their numbers should not depend on the random start.
    order = np.lexsort((means.cluster_centers_[:, 0], -np.bincount(means.labels_, minlength=k)))
    spread = max(float(means.inertia_) / len(x), 1e-12)
    arrays = {"w0": means.cluster_centers_[order], "b0": np.array([spread])}
    return ArrayModel("kmeans", arrays, "nearest", x.shape[1], k)


def _recipe(params: Params) -> dict[str, Any]:
    return {"numbers": "robust", "categories": "onehot", "clip": 3.0}


def _defaults(task: str) -> tuple[Params, ...]:
    return tuple({"k": k} for k in (5, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12))


def _space(trial: Space, task: str) -> Params:
    return {"k": trial.suggest_int("kmeans.k", 2, 12)}


KMEANS = Family(
    name="kmeans",
    tasks=frozenset({"clustering"}),
    recipe=_recipe,
    defaults=_defaults,
    space=_space,
    fit=_fit,
    load=load_arrays,
    freeze=lambda params, rounds: dict(params),
)
