"""Logistic regression for classes, ridge for numbers: fitted by scikit-learn, kept as arrays."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from tenfold.models.arrays import ArrayModel, load_arrays
from tenfold.models.base import (
    MANY_CATEGORIES,
    Choices,
    Family,
    Fit,
    Params,
    Space,
    TargetMap,
    Traits,
    preparing,
)

__all__ = ["LINEAR"]

MAX_ITERATIONS = 200
"""L-BFGS steps. On standardised columns 200 end within 1e-4 of the loss; more only buys time."""
FAR_TOO_MANY = 4 * MANY_CATEGORIES
"""Here one-hot would throw three categories in four together."""


def _fit(fit: Fit) -> ArrayModel:
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    fit.check_stop()
    with threadpool_limits(fit.threads):
        return _ridge(fit) if fit.task == "regression" else _logistic(fit)


def _ridge(fit: Fit) -> ArrayModel:
    from sklearn.linear_model import Ridge

    target = TargetMap.fit(fit.target, str(fit.params.get("target", "none")))
    ridge = Ridge(alpha=float(fit.params["alpha"]))
    x = np.asarray(fit.matrix, dtype=np.float64)
    ridge.fit(x, target.forward(fit.target), sample_weight=fit.weights)
    arrays = {"w0": np.reshape(ridge.coef_, (-1, 1)), "b0": np.reshape(ridge.intercept_, 1)}
    return ArrayModel("linear", arrays, "value", x.shape[1], 1, target)


def _logistic(fit: Fit) -> ArrayModel:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    logistic = LogisticRegression(C=float(fit.params["c"]), max_iter=MAX_ITERATIONS, tol=1e-4)
    x = np.asarray(fit.matrix, dtype=np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        logistic.fit(x, fit.target, sample_weight=fit.weights)
    if fit.task == "binary":
        arrays = {"w0": logistic.coef_.T, "b0": logistic.intercept_}
        return ArrayModel("linear", arrays, "sigmoid", x.shape[1], 2)
    arrays = _spread(logistic, x.shape[1], fit.n_classes)
    return ArrayModel("linear", arrays, "softmax", x.shape[1], fit.n_classes)


def _spread(logistic: Any, n_features: int, n_classes: int) -> dict[str, Any]:
    """Coefficients for every class, also for those without a training row (they get no share)."""
    coef, intercept = logistic.coef_, logistic.intercept_
    if len(coef) == 1:  # scikit-learn folds two classes into one row
        coef = np.vstack([-coef / 2, coef / 2])
        intercept = np.hstack([-intercept / 2, intercept / 2])
    w, b = np.zeros((n_features, n_classes)), np.full(n_classes, float(intercept.min()) - 30.0)
    w[:, logistic.classes_], b[logistic.classes_] = coef.T, intercept
    return {"w0": w, "b0": b}


def _recipe(params: Params) -> dict[str, Any]:
    base = {"numbers": "standard", "categories": "onehot", "dates": "elapsed"}
    return base | {"missing_indicator": True} | preparing(params)


def _choices(traits: Traits) -> Choices:
    """Measured: one-hot wins while it keeps most categories apart (70 zip codes of king-county,
    RMSE 160,000 against 181,000) and loses when it cannot (2,000 made-up shops, ROC AUC 0.764
    against 0.777). A power of skewed numbers makes 10 % less error on king-county and 0.007 less
    ROC AUC on adult."""
    out: Choices = {}
    if traits.n_categories >= MANY_CATEGORIES:
        by_target = traits.n_categories >= FAR_TOO_MANY
        out["many"] = ("target", "onehot") if by_target else ("onehot", "target")
    if traits.skewed:
        out["numbers"] = ("standard", "power")
    return out


def _defaults(task: str) -> tuple[Params, ...]:
    if task == "regression":
        return ({"alpha": 1.0, "target": "none"}, {"alpha": 1.0, "target": "log1p"})
    return ({"c": 1.0},)


def _space(trial: Space, task: str) -> Params:
    if task == "regression":
        return {
            "alpha": trial.suggest_float("linear.alpha", 1e-3, 1e3, log=True),
            "target": trial.suggest_categorical("linear.target", ["none", "log1p"]),
        }
    return {"c": trial.suggest_float("linear.c", 1e-3, 1e2, log=True)}


LINEAR = Family(
    name="linear",
    tasks=frozenset({"binary", "multiclass", "regression"}),
    recipe=_recipe,
    defaults=_defaults,
    space=_space,
    fit=_fit,
    load=load_arrays,
    freeze=lambda params, rounds: dict(params),
    choices=_choices,
)
