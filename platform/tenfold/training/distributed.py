"""The last fit of a large table: Ray Train workers that stream their blocks through Ray Data.

Every worker gets a dataset of its own, made of parts of the snapshot's blocks in a fixed order, so
that no row is dropped to make shards equal and the same number of workers gives the same model. A
worker holds its rows only in the form that its library needs: quantized bins for XGBoost, one batch
for PyTorch. Workers report once, at the end: each report waits for the controller's next poll.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tenfold.errors import ClusterError
from tenfold.models import Model, TargetMap, n_outputs
from tenfold.models.arrays import ArrayModel
from tenfold.models.boosting import MAX_ROUNDS, BoostedModel, booster_params
from tenfold.models.net import START_ROWS, Pace, build_network, network_arrays, network_loss
from tenfold.models.network import horizon_of, network_params
from tenfold.training.evaluate import n_classes_of
from tenfold.training.fitter import Plan
from tenfold.training.rows import TrainingRows, encode_rows

if TYPE_CHECKING:
    import pyarrow as pa

    from tenfold.data import Snapshot

__all__ = ["PartReader", "fit_distributed", "part_of", "parts_of"]

PARTS_PER_WORKER = 4
"""Parts of blocks a worker gets at least, so that shards are even."""
INGEST_ROWS = 65_536
DATA_TASK_CPUS = 0.5
"""Of a task that prepares one part: two fit beside a group on the smallest cluster."""
NETWORK_BATCH_ROWS = 256
"""Rows of one step over all workers, as in one process: four times as many cost .005 of ROC AUC."""


@dataclass(frozen=True, slots=True)
class PartReader:
    """Turns one part of a block into prepared rows; travels to Ray Data tasks.

    Args:
        plan: of the last fit.
        target: fixed scale of a regression target.
    """

    plan: Plan
    target: TargetMap

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """The training rows of one part: features ``x``, targets ``y``, weights ``w``.

        Args:
            batch: one entry of `parts_of`, as arrays of one.
        """
        from tenfold.data.arrow_file import read_arrow

        (path,), (part,), (n_parts,) = batch["path"], batch["part"], batch["n_parts"]
        table = part_of(read_arrow(Path(str(path))), int(part), int(n_parts))
        prepared = self.plan.prepared
        rows = encode_rows(self.plan.question, prepared.served.schema, table).training
        truth = rows.truth
        if self.plan.question.task.value == "regression":
            truth = self.target.forward(truth)
        weights = np.ones(rows.n_rows) if rows.weights is None else rows.weights
        return {
            "x": prepared.transform_training(rows.codes, rows.fold),
            "y": truth.astype(np.float32),
            "w": weights.astype(np.float32),
        }


def part_of(table: pa.Table, part: int, n_parts: int) -> pa.Table:
    """One of ``n_parts`` slices of a table, in order and without overlap."""
    start, end = (table.num_rows * k // n_parts for k in (part, part + 1))
    return table.slice(start, end - start)


def parts_of(paths: list[str], n_workers: int) -> list[list[dict[str, Any]]]:
    """Which parts of which blocks each worker reads: fixed, even, every row once.

    >>> [len(parts) for parts in parts_of(["a.arrow", "b.arrow", "c.arrow"], 2)]
    [5, 4]
    """
    n_parts = max(1, math.ceil(PARTS_PER_WORKER * n_workers / max(1, len(paths))))
    parts = [
        {"path": path, "part": part, "n_parts": n_parts}
        for path in paths
        for part in range(n_parts)
    ]
    return [parts[worker::n_workers] for worker in range(n_workers)]


def fit_distributed(
    plan: Plan,
    snapshot: Snapshot,
    sample: TrainingRows,
    *,
    n_workers: int,
    cpus: float,
    storage: Path,
) -> Model:
    """Fit on all training rows of a snapshot with a group of workers.

    Args:
        plan: family "boosting" or "network", with fixed rounds.
        snapshot: reachable from every node.
        sample: training rows at hand; they fix the scale of a regression target.
        n_workers: workers of the group.
        cpus: logical CPUs of each.
        storage: folder for Train's own files, reachable from every node.

    Raises:
        ClusterError: the group did not finish.
    """
    if plan.family == "network":
        plan = replace(plan, params=network_params(plan.params, plan.question.task.value))
    target = TargetMap()
    if plan.question.task.value == "regression":
        kind = str(plan.params.get("target", "none"))
        target = TargetMap.fit(sample.truth, kind, standardise=plan.family == "network")
    loop = {"boosting": _fit_booster, "network": _fit_network}[plan.family]
    start = plan.prepared.served.transform_codes(sample.codes[:START_ROWS])
    value = _run(
        plan, snapshot, target, loop, start, n_workers=n_workers, cpus=cpus, storage=storage
    )
    if plan.family == "boosting":
        import xgboost

        return BoostedModel(
            xgboost.Booster(model_file=bytearray(value)),
            plan.question.task.value,
            n_classes=len(plan.question.classes),
            n_features=plan.prepared.served.n_features,
            target=target,
        )
    k = n_outputs(plan.question.task.value, len(plan.question.classes))
    output = "value" if plan.question.task.value == "regression" else "softmax"
    epochs = int(plan.params.get("epochs", plan.params["horizon"]))
    return ArrayModel("network", value, output, plan.prepared.served.n_features, k, target, epochs)


def _run(
    plan: Plan,
    snapshot: Snapshot,
    target: TargetMap,
    loop: Any,
    start: Any,
    *,
    n_workers: int,
    cpus: float,
    storage: Path,
) -> Any:
    import ray.data
    from ray import train
    from ray.train.torch import TorchTrainer
    from ray.train.xgboost import XGBoostTrainer

    paths = [str(snapshot.path / b["name"]) for b in snapshot.manifest["blocks"] if b["n_rows"]]
    datasets = {
        f"worker-{rank}": ray.data.from_items(parts, override_num_blocks=len(parts)).map_batches(
            PartReader(plan, target), batch_size=1, batch_format="numpy", num_cpus=DATA_TASK_CPUS
        )
        for rank, parts in enumerate(parts_of(paths, n_workers))
    }
    options = ray.data.ExecutionOptions(preserve_order=True)
    trainer = XGBoostTrainer if plan.family == "boosting" else TorchTrainer
    try:
        result = trainer(
            loop,
            train_loop_config={"plan": plan, "threads": max(1, int(cpus)), "start": start},
            scaling_config=train.ScalingConfig(
                num_workers=n_workers, resources_per_worker={"CPU": cpus}
            ),
            run_config=train.RunConfig(
                name="fit",
                storage_path=str(storage),
                failure_config=train.FailureConfig(max_failures=1),
            ),
            datasets=datasets,
            dataset_config=train.DataConfig(datasets_to_split=[], execution_options=options),
        ).fit()
    except Exception as error:  # Train's own errors share no public base with a user's
        raise ClusterError(
            f"{n_workers} workers must finish the fit together: {error}; look at the workers' "
            "logs, or raise TENFOLD_LOCAL_BYTES to fit in one process"
        ) from error
    return result.return_value


def _batches(rows: int) -> Iterator[dict[str, Any]]:
    """This worker's rows in their order."""
    from ray import train

    shard = train.get_dataset_shard(f"worker-{train.get_context().get_world_rank()}")
    yield from shard.iter_batches(batch_size=rows, batch_format="numpy", prefetch_batches=1)


def _fit_booster(config: Mapping[str, Any]) -> bytes | None:
    """One worker of the XGBoost group; the group's trees are the same on every worker."""
    import xgboost
    from ray import train

    plan: Plan = config["plan"]

    class Stream(xgboost.DataIter):  # type: ignore[misc, unused-ignore]
        """Batches into quantized bins; read more than once, never held."""

        def __init__(self) -> None:
            super().__init__()
            self._left: Iterator[dict[str, Any]] = iter(())

        def reset(self) -> None:
            self._left = _batches(INGEST_ROWS)

        def next(self, input_data: Any) -> bool:
            batch = next(self._left, None)
            if batch is None:
                return False
            input_data(data=batch["x"], label=batch["y"], weight=batch["w"])
            return True

    task = plan.question.task.value
    booster = xgboost.train(
        booster_params(
            task,
            n_classes_of(plan.question, plan.params),
            plan.params,
            seed=plan.question.seed,
            threads=config["threads"],
        ),
        xgboost.QuantileDMatrix(Stream(), nthread=config["threads"]),
        num_boost_round=int(plan.params.get("rounds", MAX_ROUNDS)),
    )
    train.report({})
    first = train.get_context().get_world_rank() == 0
    return bytes(booster.save_raw(raw_format="ubj")) if first else None


def _fit_network(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """One worker of the PyTorch group: gradients are averaged over the workers (DDP)."""
    import torch
    from ray import train
    from ray.train.torch import prepare_model

    plan: Plan = config["plan"]
    context = train.get_context()
    torch.manual_seed(plan.question.seed)
    torch.set_num_threads(config["threads"])
    task = plan.question.task.value
    k = n_outputs(task, n_classes_of(plan.question, plan.params))
    net = build_network(torch.from_numpy(config["start"]), k, plan.params)
    model = prepare_model(net)
    batch_rows = NETWORK_BATCH_ROWS // context.get_world_size()
    steps = _common_steps(batch_rows)
    horizon = horizon_of(plan.params, steps)
    pace = Pace(net, plan.params, steps=steps * horizon)
    per_row = network_loss(task)
    for _ in range(min(horizon, int(plan.params.get("epochs", horizon)))):
        for _step, batch in zip(range(steps), _batches(batch_rows), strict=False):
            x, y, w = (torch.as_tensor(np.array(batch[name])) for name in ("x", "y", "w"))
            pace.before()
            loss = (per_row(model(x), y if task == "regression" else y.long()) * w).mean()
            pace.step(loss)
    train.report({})
    return network_arrays(net) if context.get_world_rank() == 0 else None


def _common_steps(batch_rows: int) -> int:
    """Steps of an epoch that every worker has rows for: a worker short of one would block all."""
    import torch

    n_rows = sum(len(batch["y"]) for batch in _batches(INGEST_ROWS))
    steps = torch.tensor([max(1, n_rows // batch_rows)])
    torch.distributed.all_reduce(steps, op=torch.distributed.ReduceOp.MIN)
    return int(steps)
