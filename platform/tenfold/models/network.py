"""A small multi-layer perceptron: trained by PyTorch, kept and served as plain arrays.

Numbers arrive centered by the median, scaled by the interquartile range and smoothly bounded,
categories one-hot. `tenfold.models.net` says what the network is and what of it is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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
    Target,
    TargetMap,
    Traits,
    n_outputs,
    preparing,
)
from tenfold.models.net import (
    START_ROWS,
    Pace,
    build_network,
    network_arrays,
    network_loss,
    products_in,
)

__all__ = ["NETWORK", "horizon_of", "network_params"]

PATIENCE, PATIENT_SHARE = 5, 0.4
"""Epochs without a better validation loss before a fit stops: five, or a share of the schedule."""
LEAST_STEPS = 400
"""A schedule has at least so many steps: small tables are passed more often."""
GROWTH = 0.3
"""An epoch of more rows has more steps already: a tenth more epochs on all rows."""
MAX_EPOCHS = 100
BATCH_ROWS = 256
"""Rows of one step on small tables; the best size for tables of 10k-100k rows."""
SMALL_BATCH_ROWS = 64
SMALL_TABLE_ROWS = 4_000


@contextmanager
def _torch_settings(seed: int, threads: int, device: str) -> Iterator[None]:
    """A fixed seed and thread count for one fit; the process keeps its own afterwards."""
    import torch

    before = torch.get_num_threads()
    on_gpu = [torch.device(device)] if device != "cpu" else []
    with torch.random.fork_rng(devices=on_gpu):
        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def _fit(fit: Fit) -> ArrayModel:
    fit.check_stop()
    with _torch_settings(fit.seed, fit.threads, fit.device):
        return _train(fit)


def _train(fit: Fit) -> ArrayModel:
    import torch

    target = TargetMap()
    if fit.task == "regression":
        kind = str(fit.params.get("target", "none"))
        target = TargetMap.fit(fit.target, kind, standardise=True)
    k, params = n_outputs(fit.task, fit.n_classes), network_params(fit.params, fit.task)
    # The first weights and the order of the rows come from the CPU's generator on every device.
    start = torch.from_numpy(np.ascontiguousarray(fit.matrix[:START_ROWS], dtype=np.float32))
    net = build_network(start, k, params).to(fit.device)
    data = _tensors(fit, fit.matrix, fit.target, target)
    valid = None if fit.valid is None else _tensors(fit, *fit.valid, target)
    weights = None
    if fit.weights is not None:
        weights = torch.from_numpy(fit.weights.astype(np.float32)).to(fit.device)
    loop = _Loop(fit, net, params, n_rows=len(fit.matrix))
    best, best_loss, best_epoch = network_arrays(net), np.inf, 0
    for epoch in range(min(loop.horizon, int(params.get("epochs", MAX_EPOCHS)))):
        loop.epoch(data, weights)
        if valid is None:
            best_epoch = epoch
            continue
        loss = loop.loss(valid)
        if fit.heard is not None:
            fit.heard(epoch + 1, float(loss))
        if loss < best_loss:
            best, best_loss, best_epoch = network_arrays(net), loss, epoch
        elif epoch - best_epoch >= max(PATIENCE, PATIENT_SHARE * loop.horizon):
            break
    if valid is None:
        best = network_arrays(net)
    output = "value" if fit.task == "regression" else "softmax"
    return ArrayModel("network", best, output, fit.matrix.shape[1], k, target, best_epoch + 1)


def _tensors(fit: Fit, matrix: Any, values: Target, target: TargetMap) -> tuple[Any, Any]:
    import torch

    x = torch.from_numpy(np.ascontiguousarray(matrix, dtype=np.float32)).to(fit.device)
    if fit.task == "regression":
        return x, torch.from_numpy(target.forward(values).astype(np.float32)).to(fit.device)
    return x, torch.from_numpy(np.asarray(values, dtype=np.int64)).to(fit.device)


def network_params(params: Params, task: str) -> dict[str, Any]:
    """The parameters of a fit. Versions of before there were ``periods`` keep layers and width; the
    paces of their network would be far too slow for this one."""
    if "periods" in params:
        return dict(params)
    kept = {name: params[name] for name in ("layers", "width", "target") if name in params}
    return {**_defaults(task)[0], **kept}


def horizon_of(params: Params, steps_per_epoch: int) -> int:
    """Epochs of the whole schedule.

    >>> horizon_of({"horizon": 10}, 100), horizon_of({"horizon": 10}, 5)
    (10, 80)
    """
    least = -(-LEAST_STEPS // max(1, steps_per_epoch))
    return min(MAX_EPOCHS, max(int(params["horizon"]), least))


class _Loop:
    """Batches, paces and loss of one fit."""

    def __init__(self, fit: Fit, net: Any, params: Params, *, n_rows: int) -> None:
        self.fit, self.net = fit, net
        self.batch = BATCH_ROWS if n_rows > SMALL_TABLE_ROWS else SMALL_BATCH_ROWS
        steps = -(-n_rows // self.batch)
        self.horizon = horizon_of(params, steps)
        self.pace = Pace(net, params, steps=steps * self.horizon)
        self.per_row = network_loss(fit.task)

    def epoch(self, data: tuple[Any, Any], weights: Any) -> None:
        """One pass over the rows in a seeded order."""
        import torch

        x, y = data
        self.net.train()
        order = torch.randperm(len(x)).to(self.fit.device)
        for start in range(0, len(x), self.batch):
            self.fit.check_stop()
            self.pace.before()
            take = order[start : start + self.batch]
            with products_in(self.fit.precision, self.fit.device):
                loss = self.per_row(self.net(x[take]), y[take])
            loss = loss.mean() if weights is None else (loss * weights[take]).mean()
            self.pace.step(loss)

    def loss(self, data: tuple[Any, Any]) -> float:
        """The mean loss of rows that no step has seen."""
        import torch

        self.net.eval()
        with torch.no_grad():
            return float(self.per_row(self.net(data[0]), data[1]).mean())


def _recipe(params: Params) -> dict[str, Any]:
    base = {"numbers": "robust", "categories": "onehot", "dates": "elapsed", "clip": 3.0}
    return base | {"missing_indicator": True} | preparing(params)


def _choices(traits: Traits) -> Choices:
    """Measured on five tables: a power of skewed numbers is better on telco-churn and bike (3 % of
    the error) and much worse on adult (.899 against .910), so it is the second bet."""
    out: Choices = {}
    if traits.n_categories >= MANY_CATEGORIES:
        out["many"] = ("onehot", "target")
    if traits.skewed:
        out["numbers"] = ("robust", "power")
    return out


def _defaults(task: str) -> tuple[Params, ...]:
    """Measured on five tables, see ``docs/families.md``: numbers want a higher rate, twice the
    epochs and no dropout."""
    both: dict[str, Any] = {"layers": 2, "width": 64, "periods": 16, "weight_decay": 0.02}
    if task == "regression":
        return (both | {"lr": 0.06, "dropout": 0.0, "horizon": 20, "target": "log1p"},)
    return (both | {"lr": 0.01, "dropout": 0.2, "horizon": 10},)


def _space(trial: Space, task: str) -> Params:
    numbers = task == "regression"
    lr = (0.02, 0.2) if numbers else (3e-3, 0.05)
    out: dict[str, Any] = {
        "layers": trial.suggest_int("network.layers", 1, 3),
        "width": trial.suggest_categorical("network.width", [32, 64, 128]),
        "periods": trial.suggest_categorical("network.periods", [0, 8, 16]),
        "dropout": trial.suggest_float("network.dropout", 0.0, 0.4),
        "lr": trial.suggest_float("network.lr", *lr, log=True),
        "weight_decay": trial.suggest_float("network.weight_decay", 1e-3, 0.1, log=True),
        "horizon": trial.suggest_int("network.horizon", 8, 40, log=True),
    }
    if numbers:
        out["target"] = trial.suggest_categorical("network.target", ["none", "log1p"])
    return out


NETWORK = Family(
    name="network",
    tasks=frozenset({"binary", "multiclass", "regression"}),
    recipe=_recipe,
    defaults=_defaults,
    space=_space,
    fit=_fit,
    load=load_arrays,
    freeze=lambda params, rounds: dict(params) | {"epochs": max(1, rounds)},
    stops_early=True,
    growth=GROWTH,
    choices=_choices,
    distributed=True,
    random=True,
    devices=frozenset({"cpu", "cuda"}),
)
