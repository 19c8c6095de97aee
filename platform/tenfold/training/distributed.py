"""The last fit of a large table: Ray Train workers that stream their blocks through Ray Data.

Every worker gets a dataset of its own, made of parts of the snapshot's blocks in a fixed order, so
that no row is dropped to make shards equal and the same number of workers gives the same model. A
worker holds its rows only in the form that its library needs: quantized bins for XGBoost, one batch
for PyTorch. `tenfold.training.group` is what a worker does.

A worker or node that dies costs what was fitted since the last checkpoint. If the cluster cannot
hold the whole group any more, as many workers as it holds go on and share the rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tenfold.cluster.placement import Placement
from tenfold.errors import ClusterError
from tenfold.models import Model, TargetMap, n_outputs
from tenfold.models.arrays import ArrayModel
from tenfold.models.boosting import BoostedModel, map_of
from tenfold.models.forest import Forest
from tenfold.models.net import START_ROWS
from tenfold.models.network import network_params
from tenfold.project.labels import selects
from tenfold.training.fitter import Plan
from tenfold.training.group import INGEST_ROWS, GroupConfig, fit_booster, fit_network
from tenfold.training.rows import TrainingRows, encode_rows

if TYPE_CHECKING:
    import pyarrow as pa

    from tenfold.data import Snapshot

__all__ = ["PartReader", "fit_distributed", "part_of", "parts_of", "scaling_of"]

PARTS_PER_WORKER = 4
"""Parts of blocks a worker gets at least, so that shards are even."""
DATA_TASK_CPUS = 0.5
"""Of a task that prepares one part: two fit beside a group on the smallest cluster."""
CHECKPOINT_S = 60.0
"""Between two checkpoints: what a failure may cost. Each waits for the controller's next poll."""
KEPT = 2
"""Checkpoints: the newest, and the one before it if that is damaged."""
FAILURES = 3
"""Of workers, that one size of the group survives."""


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
    placement: Placement,
    storage: Path,
    tell: Callable[[str], object] = lambda _: None,
    checkpoint_s: float = CHECKPOINT_S,
    batch_rows: int = INGEST_ROWS,
    external_memory: bool = False,
) -> Model:
    """Fit on all training rows of a snapshot with a group of workers.

    Args:
        plan: family "boosting" or "network", with fixed rounds.
        snapshot: reachable from every node.
        sample: training rows at hand; they fix the scale of a regression target.
        n_workers: workers of the group.
        placement: what each asks Ray for; the plan names the device.
        storage: folder for the checkpoints, reachable from every node. A fit that was killed goes
            on from those it finds there, so it belongs to this plan and snapshot alone.
        tell: hears what people should know, such as a smaller group or a damaged checkpoint.
        checkpoint_s: seconds between two checkpoints.
        batch_rows: that each reads at a time.
        external_memory: whether XGBoost's bins stay in files of each worker's temporary folder.

    Raises:
        ClusterError: the group did not finish.
    """
    if plan.family == "network":
        plan = replace(plan, params=network_params(plan.params, plan.question.task.value))
    target = TargetMap()
    if plan.question.task.value == "regression":
        kind = map_of(plan.params, plan.question.objective)
        target = TargetMap.fit(sample.truth, kind, standardise=plan.family == "network")
    group = GroupConfig(
        plan,
        threads=max(1, int(placement.cpus)),
        start=plan.prepared.served.transform_codes(sample.codes[:START_ROWS]),
        n_shares=n_workers,
        checkpoint_s=checkpoint_s,
        batch_rows=batch_rows,
        external_memory=external_memory,
    )
    paths = [str(snapshot.path / b["name"]) for b in snapshot.manifest["blocks"] if b["n_rows"]]
    run = _Run(group, paths, PartReader(plan, target), placement=placement, storage=storage)
    result = run.to_its_end(tell)
    for said in result["said"]:
        tell(said)
    value = result["value"]
    if plan.family == "boosting":
        import xgboost

        forest = Forest(
            plan.question.task.value,
            len(plan.question.classes),
            plan.prepared.served.n_features,
            target,
            plan.question.objective.value,
            plan.prepared.served.slots,
        )
        return BoostedModel(xgboost.Booster(model_file=bytearray(value)), forest)
    k = n_outputs(plan.question.task.value, len(plan.question.classes))
    output = "value" if plan.question.task.value == "regression" else "softmax"
    epochs = int(plan.params.get("epochs", plan.params["horizon"]))
    return ArrayModel("network", value, output, plan.prepared.served.n_features, k, target, epochs)


def scaling_of(n_workers: int, placement: Placement) -> Any:
    """What Ray Train is asked for: workers, each with its share of a node.

    >>> scaling_of(2, Placement(cpus=4.0, gpus=1.0, gpu_type="A100")).total_resources["GPU"]
    2.0
    """
    from ray import train

    each = placement.resources()
    return train.ScalingConfig(
        label_selector=dict(placement.nodes) or None,
        num_workers=n_workers,
        use_gpu="GPU" in each,
        resources_per_worker={name: each[name] for name in ("CPU", "GPU") if name in each},
        accelerator_type=placement.gpu_type if "GPU" in each else None,
    )


class _Run:
    """One fit by Ray Train, begun again with fewer workers where the cluster lost some."""

    def __init__(
        self,
        group: GroupConfig,
        paths: list[str],
        reader: PartReader,
        *,
        placement: Placement,
        storage: Path,
    ) -> None:
        self._group, self._paths, self._reader = group, paths, reader
        self._placement, self._storage = placement, storage

    def to_its_end(self, tell: Callable[[str], object]) -> dict[str, Any]:
        """What the first worker returned.

        Raises:
            ClusterError: the group failed too often, and no node is missing.
        """
        from ray.exceptions import RayError
        from ray.train import TrainingFailedError

        n_workers = self._group.n_shares
        while True:
            try:
                return dict(self._fit(n_workers))
            except (TrainingFailedError, RayError) as error:
                left = self._workers_left()
                if not 0 < left < n_workers:
                    raise ClusterError(
                        f"{n_workers} workers must finish the fit together: {error}; look at the "
                        "workers' logs, or raise TENFOLD_LOCAL_BYTES to fit in one process"
                    ) from error
                tell(f"the cluster holds {left} of {n_workers} training workers: {left} go on")
                n_workers = left

    def _workers_left(self) -> int:
        """How many workers the living nodes could hold."""
        import ray

        asked = self._placement.resources()
        meant = self._placement.nodes
        living = [
            node["Resources"]
            for node in ray.nodes()
            if node["Alive"] and selects(meant, node.get("Labels") or {})
        ]
        return sum(
            min(int(has.get(name, 0.0) / amount) for name, amount in asked.items())
            for has in living
        )

    def _fit(self, n_workers: int) -> Any:
        from ray import train
        from ray.data import ExecutionOptions

        from tenfold.data.drivers import quiet_ray_data

        quiet_ray_data()
        trainer, work = _trainer_of(self._group.plan.family)
        fitted = trainer(
            work,
            train_loop_config={"group": self._group},
            scaling_config=scaling_of(n_workers, self._placement),
            run_config=train.RunConfig(
                name="fit",  # the same name in the same folder goes on from what lies there
                storage_path=str(self._storage),
                failure_config=train.FailureConfig(
                    max_failures=FAILURES, controller_failure_limit=0
                ),
                checkpoint_config=train.CheckpointConfig(num_to_keep=KEPT),
            ),
            datasets=self._datasets(),
            dataset_config=train.DataConfig(
                datasets_to_split=[], execution_options=ExecutionOptions(preserve_order=True)
            ),
        ).fit()
        return fitted.return_value

    def _datasets(self) -> dict[str, Any]:
        import ray.data

        return {
            f"worker-{share}": ray.data.from_items(
                parts, override_num_blocks=len(parts)
            ).map_batches(self._reader, batch_size=1, batch_format="numpy", num_cpus=DATA_TASK_CPUS)
            for share, parts in enumerate(parts_of(self._paths, self._group.n_shares))
        }


def _trainer_of(family: str) -> tuple[Any, Callable[[dict[str, Any]], Any]]:
    """Ray's trainer and what its workers do. Torch takes seconds to import: only where it fits."""
    if family == "boosting":
        from ray.train.xgboost import XGBoostTrainer

        return XGBoostTrainer, fit_booster
    from ray.train.torch import TorchTrainer

    return TorchTrainer, fit_network
