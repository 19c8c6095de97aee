"""XGBoost's histogram trees: raw numbers with missing values, categories as codes or as sets.

A fit that may stop early is cut to its best round before anything is saved: a converter that is
given the whole booster answers with all its trees, silently wrong. The ONNX graph is built by us
from the booster's own JSON (`forest`), objective stated, because converters guess it from the
shape.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.canonical import canonical_json
from tenfold.errors import ArtifactError
from tenfold.models.arrays import ARCH_FILE
from tenfold.models.base import (
    MANY_CATEGORIES,
    PREPARING,
    Choices,
    Family,
    Fit,
    Matrix,
    Params,
    Space,
    Target,
    TargetMap,
    Traits,
    preparing,
)
from tenfold.models.booster_check import check_booster
from tenfold.models.forest import Forest, WrittenForest

__all__ = [
    "BOOSTER_FILE",
    "BOOSTING",
    "DEPTH_WISE",
    "FINE_BINS",
    "LEAF_WISE",
    "USUAL_BINS",
    "BoostedModel",
    "bins_of",
    "booster_params",
    "feature_types",
    "map_of",
    "patience",
    "written_forest",
]

BOOSTER_FILE = "model.ubj"
OBJECTIVES = {
    "binary": "binary:logistic",
    "multiclass": "multi:softprob",
    "regression": "reg:squarederror",
}
EVAL_METRICS = {"binary": "logloss", "multiclass": "mlogloss", "regression": "rmse"}
OF_OBJECTIVES = {
    "mean": ("reg:squarederror", "rmse"),
    "quantile": ("reg:quantileerror", "quantile"),
    "count": ("count:poisson", "poisson-nloglik"),
}
"""Of a regression: objective and loss that stops a fit early, by what is asked for."""
PATIENCE, PATIENT_SHARE = 30, 0.1
"""Rounds without a better validation loss before a fit stops: thirty, or a tenth of those so far,
since small steps get better in small steps (AutoGluon waits for three tenths and ten)."""
TWO = 2
"""Categories that a set splits as their codes do."""
NATIVE_SHARE = 0.3
"""Share of features that are categories from which sets are tried: measured, they help or tie where
texts only name things, and cost 1 to 2 % of error on tables of numbers with some ordered names."""
GROWTH = 1.2
"""Three fits on all rows, with the mean rounds of folds that were fitted on 72 % of them, times a
factor (leaf-wise trees, mean of two or three splits; `more_rows` is 1.39, the factor then 1.48):

================  =====  =====  =====  =====  =====  =====
factor                1    1.1   1.25    1.4    1.6      2
================  =====  =====  =====  =====  =====  =====
elec2 AUC         .9026  .9031  .9036  .9041  .9043  .9046
adult AUC         .9257  .9258  .9259  .9260  .9261  .9258
telco-churn AUC   .8438  .8439  .8440  .8441  .8441  .8439
german AUC        .8018  .8027  .8043  .8069  .8076  .8090
bike RMSE         39.68  39.43  39.11  38.85  38.55  38.13
diamonds RMSE     527.4  527.3  527.4  527.8  528.5  530.3
king-county RMSE  117.2  116.9  116.7  116.4  116.1  115.7
================  =====  =====  =====  =====  =====  =====

More than in proportion: a few rows alone stop a fold's fit too soon, and seeds are averaged."""
USUAL_BINS = 256
"""Where a configuration names no ``max_bin``: XGBoost's own."""
FINE_BINS = 1024
"""The other choice: measured, ROC AUC .0017 more on elec2, 1 and 3 % less error on diamonds and
king-county, nothing on bike and adult, in up to 1.7 times the time of a fit."""
FINE_COLUMNS = 32
"""Columns up to which it is one. Every node of a tree keeps its sums, 16 bytes a bin and column:
270 MB for 256 leaves of 32 columns and 1,024 bins, 4 GB for 500."""
MAX_ROUNDS = 2000
"""With the smallest eta of the space the best round lies below this on tables up to some 100k rows:
measured on bike, 750 rounds of 64 leaves at eta .03."""
DEPTH_WISE, LEAF_WISE = "depthwise", "lossguide"
"""How a tree grows: level by level to a depth, or where the loss falls most up to some leaves."""


class BoostedModel:
    """A booster with its objective and target map. ``predict`` may be called from many threads."""

    family = "boosting"

    def __init__(self, booster: Any, forest: Forest) -> None:
        booster.set_param({"nthread": 1, "device": "cpu"})
        self._booster = booster
        self.forest = forest
        self.rounds: int = booster.num_boosted_rounds()

    def predict(self, matrix: Matrix) -> NDArray[np.float64]:
        """Scores float64 (n_rows, k) holding float32 values; NaN in the matrix is missing."""
        raw = self._booster.inplace_predict(np.asarray(matrix, dtype=np.float32))
        out = np.asarray(raw, dtype=np.float64).reshape(len(matrix), -1)
        if self.forest.task == "binary":
            out = np.hstack([1.0 - out, out])
        elif self.forest.task == "regression":
            out = self.forest.target.backward(out)
        return out.astype(np.float32).astype(np.float64)

    def contributions(self, matrix: Matrix) -> NDArray[np.float64]:
        """What each feature adds to the margins, float64 (n_rows, n_margins, n_features + 1), the
        base last; exact along the trees' own paths."""
        import xgboost

        types = feature_types(self.forest.slots)
        rows = xgboost.DMatrix(np.asarray(matrix, dtype=np.float32), feature_types=types, nthread=1)
        parts = self._booster.predict(rows, pred_contribs=True, strict_shape=True)
        return np.asarray(parts, dtype=np.float64)

    def files(self) -> dict[str, bytes]:
        """``model.ubj`` (XGBoost's universal binary JSON) and ``arch.json``."""
        raw = bytes(self._booster.save_raw(raw_format="ubj"))
        return {ARCH_FILE: canonical_json(self.forest.to_dict()), BOOSTER_FILE: raw}

    def to_onnx(self) -> bytes | None:
        """See `Forest.graph`."""
        return self.forest.graph(json.loads(self._booster.save_raw(raw_format="json"))["learner"])


def booster_params(
    task: str,
    n_classes: int,
    params: Params,
    *,
    seed: int,
    threads: int,
    device: str = "cpu",
    monotone: tuple[int, ...] = (),
    objective: str = "mean",
    quantile: float = 0.5,
) -> dict[str, Any]:
    """XGBoost's own parameter names; the tree method, threads, device and objective are always
    explicit. A column that must not fall binds every split: sums of float32 keep its order."""
    out: dict[str, Any] = {
        "objective": OBJECTIVES[task],
        "eval_metric": EVAL_METRICS[task],
        "tree_method": "hist",
        "device": device,
        "seed": seed,
        "nthread": threads,
        "verbosity": 0,
    }
    if task == "multiclass":
        out["num_class"] = n_classes
    if task == "regression":
        out["objective"], out["eval_metric"] = OF_OBJECTIVES[objective]
    if objective == "quantile":
        out["quantile_alpha"] = quantile
    if any(monotone):
        out["monotone_constraints"] = f"({','.join(map(str, monotone))})"
    skip = {"rounds", "target", *PREPARING}
    return out | {name: value for name, value in params.items() if name not in skip}


def _fit(fit: Fit) -> BoostedModel:
    import xgboost

    fit.check_stop()
    target = TargetMap()
    if fit.task == "regression":
        target = TargetMap.fit(fit.target, map_of(fit.params, fit.objective))
    ingest = _ingest(fit, target)
    stopper = _stopper(fit)
    booster = xgboost.train(
        booster_params(
            fit.task,
            fit.n_classes,
            fit.params,
            seed=fit.seed,
            threads=fit.threads,
            device=fit.device,
            monotone=fit.monotone,
            objective=fit.objective,
            quantile=fit.quantile,
        ),
        ingest[0],
        num_boost_round=int(fit.params.get("rounds", MAX_ROUNDS)),
        verbose_eval=False,
        callbacks=[stopper],
        evals=[] if fit.valid is None else [(ingest[1], "valid")],
    )
    fit.check_stop()
    if fit.valid is not None:
        booster = booster[: stopper.best_round + 1]
    forest = Forest(fit.task, fit.n_classes, fit.matrix.shape[1], target, fit.objective, fit.slots)
    return BoostedModel(booster, forest)


def feature_types(slots: tuple[int, ...]) -> list[str] | None:
    """XGBoost's names of what the columns are.

    >>> feature_types((0, 3)), feature_types(())
    (['q', 'c'], None)
    """
    return ["c" if many else "q" for many in slots] or None


def categorical(slots: tuple[int, ...]) -> dict[str, Any]:
    """What a matrix of XGBoost is told of them; nothing where all are numbers."""
    return {"feature_types": feature_types(slots), "enable_categorical": True} if slots else {}


def map_of(params: Params, objective: str) -> str:
    """How a regression target is moved before a fit: a count's link is a logarithm already.

    >>> map_of({"target": "log1p"}, "quantile"), map_of({"target": "log1p"}, "count")
    ('log1p', 'none')
    """
    return "none" if objective == "count" else str(params.get("target", "none"))


def bins_of(params: Params) -> int:
    """Bins a number is cut into before trees are grown.

    >>> bins_of({"eta": 0.1}), bins_of({"max_bin": 1024})
    (256, 1024)
    """
    return int(params.get("max_bin", USUAL_BINS))


def _ingest(fit: Fit, target: TargetMap) -> tuple[Any, Any]:
    """Quantized training and validation data, built once per matrix when the caller keeps
    ``cache``: the build costs as much as some fifty trees."""
    import xgboost

    bins = bins_of(fit.params)
    key = ("boosting", target.kind, fit.slots, bins)
    if fit.cache is not None and key in fit.cache:
        found: tuple[Any, Any] = fit.cache[key]
        return found

    def label(values: Target) -> Target:
        return target.forward(values) if fit.task == "regression" else values

    train = xgboost.QuantileDMatrix(
        fit.matrix,
        label(fit.target),
        weight=fit.weights,
        nthread=fit.threads,
        max_bin=bins,
        **categorical(fit.slots),
    )
    valid = None
    if fit.valid is not None:
        x, y = fit.valid
        if fit.slots:  # bins would take a slot that only these rows have for the next one
            own = categorical(fit.slots)
            valid = xgboost.DMatrix(x, label(y), nthread=fit.threads, **own)
        else:
            valid = xgboost.QuantileDMatrix(
                x, label(y), ref=train, nthread=fit.threads, max_bin=bins
            )
    if fit.cache is not None:
        fit.cache[key] = (train, valid)
    return train, valid


def _stopper(fit: Fit) -> Any:
    from xgboost.callback import TrainingCallback

    class Stopper(TrainingCallback):  # type: ignore[misc, unused-ignore]
        """Ends the booster's loop when the loss on ``valid`` no longer falls, and when the caller's
        time is up; the fit then refuses."""

        def __init__(self) -> None:
            super().__init__()
            self.best_round, self.best_loss = 0, math.inf

        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            out_of_time = fit.stop is not None and fit.stop()
            if not evals_log:
                return out_of_time
            loss = float(next(iter(evals_log["valid"].values()))[-1])
            if fit.heard is not None:
                fit.heard(epoch + 1, loss)
            if loss < self.best_loss:
                self.best_round, self.best_loss = epoch, loss
            return out_of_time or epoch - self.best_round >= patience(epoch)

    return Stopper()


def patience(rounds: int) -> float:
    """Rounds without a better loss that a fit waits for after so many.

    >>> patience(100), patience(1000)
    (30, 100.0)
    """
    return max(PATIENCE, PATIENT_SHARE * rounds)


def _load(files: Mapping[str, bytes]) -> BoostedModel:
    import xgboost

    try:
        forest = Forest.from_json(files[ARCH_FILE])
        check_booster(files[BOOSTER_FILE], slots=forest.slots)
        return BoostedModel(xgboost.Booster(model_file=bytearray(files[BOOSTER_FILE])), forest)
    except (KeyError, ValueError, TypeError, xgboost.core.XGBoostError) as error:
        raise _no_booster(error) from error


def written_forest(files: Mapping[str, bytes]) -> WrittenForest:
    """What native files describe, without XGBoost.

    Raises:
        ArtifactError: they do not describe one booster.
    """
    try:
        return WrittenForest(Forest.from_json(files[ARCH_FILE]), files[BOOSTER_FILE])
    except (KeyError, ValueError, TypeError) as error:
        raise _no_booster(error) from error


def _no_booster(error: Exception) -> ArtifactError:
    return ArtifactError(
        f"{BOOSTER_FILE} and {ARCH_FILE} must describe one booster: {error!r}; publish it again"
    )


def _recipe(params: Params) -> dict[str, Any]:
    return {"numbers": "raw", "categories": "ordinal", "dates": "elapsed"} | preparing(params)


def _choices(traits: Traits) -> Choices:
    """Measured: by the target, 70 zip codes of king-county 1.2 % less error than by their codes,
    2,000 made-up shops ROC AUC 0.801 against 0.776. Sets: see docs/families.md."""
    out: Choices = {}
    if traits.n_categories >= MANY_CATEGORIES:
        out["many"] = ("target", "ordinal")
    if traits.n_categories > TWO and traits.category_share >= NATIVE_SHARE:
        out["categories"] = ("ordinal", "native")
    if traits.n_columns <= FINE_COLUMNS:
        out["max_bin"] = (USUAL_BINS, FINE_BINS)
    return out


def _defaults(task: str) -> tuple[Params, ...]:
    first: dict[str, Any] = {
        "eta": 0.1,
        "grow_policy": DEPTH_WISE,
        "max_depth": 6,
        "min_child_weight": 1.0,
        "subsample": 0.8,
        "colsample_bytree": 0.8,
        "colsample_bynode": 1.0,
        "lambda": 1.0,
    }
    if task == "regression":
        return (first | {"target": "none"}, first | {"target": "log1p"})
    return (first, first | {"eta": 0.06, "max_depth": 4, "colsample_bytree": 0.5})


def _space(trial: Space, task: str) -> Params:
    """Both ways to grow and both ways to sample columns, since each wins somewhere, see
    ``docs/families.md``. Bounds are those of published spaces (TabArena's and FLAML's), cut to what
    minutes allow."""
    grow = trial.suggest_categorical("boosting.grow_policy", [DEPTH_WISE, LEAF_WISE])
    out: dict[str, Any] = {
        "eta": trial.suggest_float("boosting.eta", 0.02, 0.2, log=True),
        "grow_policy": grow,
        "min_child_weight": trial.suggest_float("boosting.min_child_weight", 0.05, 20.0, log=True),
        "subsample": trial.suggest_float("boosting.subsample", 0.5, 1.0),
        "colsample_bytree": trial.suggest_float("boosting.colsample_bytree", 0.3, 1.0),
        "colsample_bynode": trial.suggest_float("boosting.colsample_bynode", 0.5, 1.0),
        "lambda": trial.suggest_float("boosting.lambda", 1e-2, 30.0, log=True),
    }
    if grow == LEAF_WISE:
        out["max_depth"] = 0
        out["max_leaves"] = trial.suggest_int("boosting.max_leaves", 8, 256, log=True)
    else:
        out["max_depth"] = trial.suggest_int("boosting.max_depth", 2, 10)
    if task == "regression":
        out["target"] = trial.suggest_categorical("boosting.target", ["none", "log1p"])
    return out


BOOSTING = Family(
    name="boosting",
    tasks=frozenset(OBJECTIVES),
    recipe=_recipe,
    defaults=_defaults,
    space=_space,
    fit=_fit,
    load=_load,
    freeze=lambda params, rounds: dict(params) | {"rounds": max(1, rounds)},
    stops_early=True,
    growth=GROWTH,
    choices=_choices,
    distributed=True,
    random=True,
    devices=frozenset({"cpu", "cuda"}),
    objectives=frozenset(OF_OBJECTIVES),
    monotone=True,
    native=True,
)
