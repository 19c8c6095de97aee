"""Fits on a GPU beside the same fits on CPU: ``make test-gpu``, where there is one.

Neither XGBoost nor PyTorch promises the bits of another device, so models are compared by what
they are worth on rows that neither saw, and by how far their answers lie apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tenfold.models import FAMILIES, Fit, load_model
from tenfold.models.base import Task

pytestmark = pytest.mark.gpu

N_ROWS, N_FEATURES = 20_000, 12
TASKS: tuple[Task, ...] = ("binary", "multiclass", "regression")
ON_GPU = sorted(name for name, family in FAMILIES.items() if "cuda" in family.devices)


def make(task: Task) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Rows with a signal that is neither linear nor additive."""
    random = np.random.default_rng(4)
    x = random.normal(size=(N_ROWS, N_FEATURES)).astype(np.float32)
    signal = x[:, 0] * x[:, 1] + np.sin(2 * x[:, 2]) + 0.5 * x[:, 3]
    noisy = signal + random.normal(size=N_ROWS) * 0.5
    if task == "regression":
        return x, noisy.astype(np.float64)
    cuts = [0.0] if task == "binary" else [-0.7, 0.7]
    return x, np.searchsorted(cuts, noisy).astype(np.int64)


def fitted(
    family: str, task: Task, device: str, *, seed: int = 1, positive: bool = False, **more: Any
) -> NDArray[np.float64]:
    """Scores of the last quarter by a model fitted on the rest, after a round trip as files."""
    x, y = make(task)
    y = np.abs(y) if positive else y
    train, stop, test = slice(0, 12_000), slice(12_000, 15_000), slice(15_000, None)
    model = FAMILIES[family].fit(
        Fit(
            matrix=x[train],
            target=y[train],
            task=task,
            n_classes={"binary": 2, "multiclass": 3, "regression": 0}[task],
            params=FAMILIES[family].defaults(task)[0] | {"target": "none"}
            if task == "regression"
            else FAMILIES[family].defaults(task)[0],
            seed=seed,
            threads=2,
            valid=(x[stop], y[stop]),
            device=device,
            **more,
        )
    )
    return load_model(family, model.files()).predict(x[test])


def loss(task: Task, scores: NDArray[np.float64]) -> float:
    y = make(task)[1][15_000:]
    if task == "regression":
        return float(np.mean((scores[:, 0] - y) ** 2))
    return float(-np.mean(np.log(np.maximum(scores[np.arange(len(y)), y], 1e-12))))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", ON_GPU)
def test_a_gpu_s_model_is_worth_a_cpu_s(family: str, task: Task) -> None:
    on_gpu, on_cpu = (fitted(family, task, device) for device in ("cuda", "cpu"))
    assert loss(task, on_gpu) == pytest.approx(loss(task, on_cpu), rel=0.05)
    spread = float(np.std(on_cpu))
    assert float(np.sqrt(np.mean((on_gpu - on_cpu) ** 2))) < 0.35 * spread


@pytest.mark.parametrize("family", ON_GPU)
def test_the_same_seed_gives_the_same_quality(family: str) -> None:
    """Sums on a GPU may come in another order: equal up to float noise, not to the bit."""
    one, other = (fitted(family, "binary", "cuda") for _ in range(2))
    np.testing.assert_allclose(one, other, atol=0.05)


@pytest.mark.parametrize("task", TASKS)
def test_a_network_in_bf16_is_worth_one_in_fp32(task: Task) -> None:
    full, half = (fitted("network", task, "cuda", precision=p) for p in ("fp32", "bf16"))
    assert loss(task, half) == pytest.approx(loss(task, full), rel=0.05)


@pytest.mark.parametrize("objective", ["quantile", "count"])
def test_quantiles_and_counts_are_fitted_on_a_gpu(objective: str) -> None:
    more = {"objective": objective, "quantile": 0.9}
    one, other = (
        fitted("boosting", "regression", device, positive=True, **more)
        for device in ("cuda", "cpu")
    )
    assert float(np.mean(one)) == pytest.approx(float(np.mean(other)), rel=0.05)


def test_categories_are_split_by_sets_on_a_gpu() -> None:
    random = np.random.default_rng(4)
    town = random.integers(0, 40, N_ROWS)
    x = np.column_stack([random.normal(size=N_ROWS), town]).astype(np.float32)
    y = x[:, 0] + random.normal(size=40)[town]
    errors = []
    for device in ("cuda", "cpu"):
        params = {"rounds": 60, "max_depth": 5, "eta": 0.2}
        fit = Fit(x, y, "regression", 0, params, 0, 2, device=device, slots=(0, 40))
        model = FAMILIES["boosting"].fit(fit)
        again = load_model("boosting", model.files())
        errors.append(float(np.mean((again.predict(x)[:, 0] - y) ** 2)))
    assert errors[0] == pytest.approx(errors[1], rel=0.2)


def test_a_second_gpu_is_named_by_its_number() -> None:
    assert loss("binary", fitted("boosting", "binary", "cuda:0")) < 0.6
