"""The answer without features: class shares, the mean or the quantile. Every model must beat it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.models.arrays import ArrayModel, load_arrays
from tenfold.models.base import Family, Fit, Params, n_outputs

__all__ = ["DUMMY"]

SMALLEST_SHARE = 1e-6
"""A class without training rows still gets a share: the log of zero has no loss."""


def _fit(fit: Fit) -> ArrayModel:
    n_features = fit.matrix.shape[1]
    weights = np.ones(len(fit.target)) if fit.weights is None else fit.weights
    k = n_outputs(fit.task, fit.n_classes)
    if fit.task == "regression":
        target = np.asarray(fit.target, dtype=np.float64)
        if fit.objective == "quantile":
            bias = np.array([_quantile(target, weights, fit.quantile)])
        else:
            bias = np.array([np.average(target, weights=weights)])
        output = "value"
    else:
        counts = np.bincount(fit.target, weights=weights, minlength=k)
        bias = np.log(np.maximum(counts / counts.sum(), SMALLEST_SHARE))
        output = "softmax"
    arrays = {"w0": np.zeros((n_features, k)), "b0": bias}
    return ArrayModel("dummy", arrays, output, n_features, k)


def _quantile(
    target: NDArray[np.float64], weights: NDArray[np.float64], share: float
) -> np.float64:
    """The smallest value that this share of the weight does not exceed."""
    order = np.argsort(target, kind="stable")
    mass = np.cumsum(weights[order])
    place = min(int(np.searchsorted(mass, share * mass[-1])), len(order) - 1)
    return np.float64(target[order][place])


def _recipe(params: Params) -> dict[str, Any]:
    return {"numbers": "standard", "categories": "ordinal"}


DUMMY = Family(
    name="dummy",
    tasks=frozenset({"binary", "multiclass", "regression"}),
    recipe=_recipe,
    defaults=lambda task: ({},),
    space=None,
    fit=_fit,
    load=load_arrays,
    freeze=lambda params, rounds: dict(params),
    objectives=frozenset({"mean", "quantile", "count"}),
    monotone=True,
)
