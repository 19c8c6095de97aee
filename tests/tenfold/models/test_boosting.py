"""Boosting's search space grows trees both ways; small steps are given time to get better."""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna
import pytest
import xgboost

from tenfold.models import FAMILIES, Fit
from tenfold.models.boosting import (
    DEPTH_WISE,
    LEAF_WISE,
    PATIENCE,
    booster_params,
    patience,
)

BOOSTING = FAMILIES["boosting"]


def rows(n_rows: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_rows, 4)).astype(np.float32)
    return x, (x[:, 0] * x[:, 1] + rng.normal(size=n_rows)).astype(np.float64)


def drawn(task: str, n: int = 40) -> list[dict[str, Any]]:
    assert BOOSTING.space is not None
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [dict(BOOSTING.space(study.ask(), task)) for _ in range(n)]


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_trees_grow_by_depth_or_by_leaves_never_without_a_bound(task: str) -> None:
    every = drawn(task)
    by_leaves = [p for p in every if p["grow_policy"] == LEAF_WISE]
    by_depth = [p for p in every if p["grow_policy"] == DEPTH_WISE]
    assert len(by_leaves) + len(by_depth) == len(every)
    assert by_leaves
    assert by_depth
    assert all(p["max_depth"] == 0 and p["max_leaves"] >= 8 for p in by_leaves)
    assert all(p["max_depth"] >= 2 and "max_leaves" not in p for p in by_depth)


def test_whatever_is_drawn_is_fitted_converted_and_bounded() -> None:
    x, y = rows(500)
    for params in drawn("regression", 12):
        quick = params | {"rounds": 3}
        model = BOOSTING.fit(Fit(x, y - y.min(), "regression", 0, quick, 0, 1))
        assert np.isfinite(model.predict(x)).all()
        assert model.to_onnx() is not None
        raw = bytearray(model.files()["model.ubj"])
        trees = xgboost.Booster(model_file=raw).trees_to_dataframe()
        n_leaves = trees[trees["Feature"] == "Leaf"].groupby("Tree").size().max()
        assert n_leaves <= params.get("max_leaves", 2 ** params["max_depth"])


def test_waiting_grows_with_the_rounds() -> None:
    waits = [patience(rounds) for rounds in range(0, 2000, 50)]
    assert waits[0] == PATIENCE
    assert waits == sorted(waits)
    assert waits[-1] > 3 * PATIENCE


def test_a_fit_keeps_the_round_with_the_least_loss_on_the_rows_that_stop_it() -> None:
    """Against XGBoost's own early stopping, whose wait does not grow: equal while it is short."""
    (x, y), (vx, vy) = rows(400), rows(200, seed=1)
    params = {"eta": 0.3, "max_depth": 3}
    heard: list[tuple[int, float]] = []
    fit = Fit(
        x, y, "regression", 0, params, 0, 1, valid=(vx, vy),
        heard=lambda n, loss: heard.append((n, loss)),
    )  # fmt: skip
    model = BOOSTING.fit(fit)
    losses = [loss for _n, loss in heard]
    assert model.rounds == int(np.argmin(losses)) + 1
    assert len(losses) == model.rounds + PATIENCE
    train = xgboost.QuantileDMatrix(x, y, nthread=1)
    own = xgboost.train(
        booster_params("regression", 0, params, seed=0, threads=1),
        train, 500, evals=[(xgboost.QuantileDMatrix(vx, vy, ref=train, nthread=1), "valid")],
        early_stopping_rounds=PATIENCE, verbose_eval=False,
    )  # fmt: skip
    assert model.rounds == own.best_iteration + 1


def test_the_last_round_counts_where_the_loss_falls_to_the_end() -> None:
    x, y = rows(400)
    params = {"eta": 0.05, "max_depth": 3, "rounds": 40}
    fit = Fit(x, y, "regression", 0, params, 0, 1, valid=(x, y))
    assert BOOSTING.fit(fit).rounds == 40
