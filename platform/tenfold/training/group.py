"""What a worker of a training group does: it streams its rows, fits with the others, and saves.

Every so often all workers stop at the same round or step and the first one reports a checkpoint.
After a failure the group starts again and goes on from the newest checkpoint that every worker
finds whole. With the same number of workers an interrupted fit then ends with the bits of one that
was not; only a booster that samples rows or columns goes on as with another seed, since XGBoost's
samplers keep a state that it does not save. With fewer workers the rows of the missing ones are
shared among the rest.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np

from tenfold.errors import StoreError
from tenfold.models import n_outputs
from tenfold.models.boosting import (
    MAX_ROUNDS,
    USUAL_BINS,
    bins_of,
    booster_params,
    feature_types,
)
from tenfold.models.net import Pace, build_network, network_arrays, network_loss, products_in
from tenfold.models.net_state import load_state, state_of
from tenfold.models.network import horizon_of
from tenfold.training.checkpoints import Held, read_checkpoint, write_checkpoint
from tenfold.training.evaluate import n_classes_of, objective_of
from tenfold.training.fitter import Plan
from tenfold.training.native import checked_slots

__all__ = ["INGEST_ROWS", "GroupConfig", "fit_booster", "fit_network", "quantized"]

log = logging.getLogger("tenfold.training")

INGEST_ROWS: Final = 65_536
"""Rows that a worker reads at a time where a plan does not say less."""
NETWORK_BATCH_ROWS: Final = 256
"""Rows of one step over all workers, as in one process: four times as many cost .005 of ROC AUC."""
ASK_STEPS: Final = 50
"""Steps of a network between two questions whether a checkpoint is due: asking waits for all."""


@dataclass(frozen=True, slots=True)
class GroupConfig:
    """What every worker is told.

    Args:
        plan: of the last fit; its device is that of the workers.
        threads: of one worker.
        start: prepared rows float32 (n, n_features) that fix a network's first weights.
        n_shares: datasets ``worker-0`` … that hold all rows.
        checkpoint_s: seconds between two checkpoints.
        batch_rows: that a worker reads at a time. The steps of a network are shorter.
        external_memory: whether XGBoost's bins stay in files of the worker's temporary folder.
    """

    plan: Plan
    threads: int
    start: Any
    n_shares: int
    checkpoint_s: float
    batch_rows: int = INGEST_ROWS
    external_memory: bool = False


Smallest = Callable[[int], int]
"""The smallest of the workers' numbers; every worker asks at the same time."""


class _Saver:
    """The checkpoints of one worker."""

    def __init__(self, every_s: float, smallest: Smallest) -> None:
        self._every_s, self._smallest = every_s, smallest
        self._last = time.monotonic()
        self.said: list[str] = []

    def newest(self) -> Held | None:
        """The newest checkpoint that every worker finds whole; None where there is none."""
        from ray import train
        from ray.train import CheckpointConsistencyMode

        mode = CheckpointConsistencyMode.COMMITTED
        for reported in reversed(train.get_all_reported_checkpoints(consistency_mode=mode)):
            held = self._read(reported.checkpoint)
            if self._smallest(-1 if held is None else held.at) >= 0:
                return held
        return None

    def _read(self, checkpoint: Any) -> Held | None:
        try:
            with checkpoint.as_directory() as folder:
                return read_checkpoint(Path(folder))
        except StoreError as error:
            self.said.append(f"a checkpoint was left out: {error}")
            log.warning("%s", self.said[-1])
            return None

    def save_if_due(self, at: int, state: Callable[[], bytes]) -> None:
        """Report a checkpoint if enough time went by on the clock of every worker."""
        from ray import train

        if not self._smallest(int(time.monotonic() - self._last >= self._every_s)):
            return
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = None
            if train.get_context().get_world_rank() == 0:
                write_checkpoint(Path(folder), Held(at, state()))
                checkpoint = train.Checkpoint.from_directory(folder)
            train.report({"at": at}, checkpoint=checkpoint)
        self._last = time.monotonic()

    def end(self, value: Callable[[], Any]) -> dict[str, Any] | None:
        """The result of the group; None from all workers but the first."""
        from ray import train

        train.report({})
        if train.get_context().get_world_rank():
            return None
        return {"value": value(), "said": self.said}


def fit_booster(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """One worker of the XGBoost group; the group's trees are the same on every worker.

    Args:
        config: one `GroupConfig` as "group".
    """
    from xgboost import collective

    group: GroupConfig = config["group"]

    def smallest(number: int) -> int:
        return int(collective.allreduce(np.array([number]), collective.Op.MIN)[0])

    with tempfile.TemporaryDirectory(prefix="tenfold-bins-") as folder:
        return _boost(group, _Saver(group.checkpoint_s, smallest), Path(folder))


def _boost(group: GroupConfig, saver: _Saver, folder: Path) -> dict[str, Any] | None:
    import xgboost

    plan = group.plan
    rows = quantized(
        lambda: _batches(group, group.batch_rows),
        slots=checked_slots(plan.family, plan.prepared.served.slots),
        bins=bins_of(plan.params),
        threads=group.threads,
        folder=folder if group.external_memory else None,
    )
    held = saver.newest()
    begun = 0 if held is None else held.at
    params = booster_params(
        plan.question.task.value,
        n_classes_of(plan.question, plan.params),
        plan.params,
        seed=plan.question.seed + begun,  # else the samples of the first rounds would come again
        threads=group.threads,
        device=plan.device,
        **objective_of(plan.question, plan.family, plan.prepared.served.feature_names),
    )
    state = None if held is None else bytearray(held.state)
    booster = xgboost.Booster(params, [rows], model_file=state)
    for done in range(begun, int(plan.params.get("rounds", MAX_ROUNDS))):
        booster.update(rows, done)
        saver.save_if_due(done + 1, lambda: _booster_bytes(booster))
    return saver.end(lambda: _booster_bytes(booster))


def quantized(
    batches: Callable[[], Iterator[Mapping[str, Any]]],
    *,
    threads: int,
    folder: Path | None,
    slots: tuple[int, ...] = (),
    bins: int = USUAL_BINS,
) -> Any:
    """Batches as XGBoost's quantized bins; read more than once, never held.

    The bins in files give the same trees, bit for bit, as those in memory (3 million rows x 25: the
    process takes 400 MB where it took 550, and a round three times as long).

    Args:
        batches: a reading of all rows: ``x`` (n, n_features), ``y`` and ``w`` (n,).
        threads: of this process.
        folder: where the bins are kept, two bytes a value; None for memory.
        slots: of categories, see `tenfold.models.Fit.slots`.
        bins: of a number.

    Returns:
        A ``DMatrix``; the folder must stay as long as it is used.
    """
    import xgboost

    class Stream(xgboost.DataIter):  # type: ignore[misc, unused-ignore]
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self._left: Iterator[Mapping[str, Any]] = iter(())

        def reset(self) -> None:
            self._left = batches()

        def next(self, input_data: Any) -> bool:
            batch = next(self._left, None)
            if batch is None:
                return False
            types = feature_types(slots)
            input_data(data=batch["x"], label=batch["y"], weight=batch["w"], feature_types=types)
            return True

    how = {"nthread": threads, "max_bin": bins, "enable_categorical": bool(slots)}
    if folder is None:
        return xgboost.QuantileDMatrix(Stream(), **how)
    return xgboost.ExtMemQuantileDMatrix(Stream(cache_prefix=str(folder / "bins")), **how)


def _booster_bytes(booster: Any) -> bytes:
    return bytes(booster.save_raw(raw_format="ubj"))


def fit_network(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """One worker of the PyTorch group: gradients are averaged over the workers (DDP).

    Args:
        config: one `GroupConfig` as "group".
    """
    import torch
    from ray import train
    from ray.train.torch import get_device, prepare_model

    group: GroupConfig = config["group"]
    plan = group.plan
    torch.manual_seed(plan.question.seed)
    torch.set_num_threads(group.threads)
    # Workers of one node see all its GPUs: only Train knows which one is whose.
    device = torch.device("cpu") if plan.device == "cpu" else get_device()
    smallest = partial(_smallest_by_torch, device=device)
    task = plan.question.task.value
    k = n_outputs(task, n_classes_of(plan.question, plan.params))
    net = build_network(torch.from_numpy(group.start), k, plan.params).to(device)
    model = prepare_model(net, move_to_device=False)
    batch_rows = NETWORK_BATCH_ROWS // train.get_context().get_world_size()
    n_rows = sum(len(batch["y"]) for batch in _batches(group, group.batch_rows))
    # A worker that is one batch short of the others would block them all.
    steps = smallest(max(1, n_rows // batch_rows))
    horizon = horizon_of(plan.params, steps)
    pace = Pace(net, plan.params, steps=steps * horizon)
    per_row = network_loss(task)
    saver = _Saver(group.checkpoint_s, smallest)
    held = saver.newest()
    if held is not None:
        load_state(net, pace, held.state, at=held.at)
    for epoch in range(pace.at // steps, min(horizon, int(plan.params.get("epochs", horizon)))):
        for batch in islice(_batches(group, batch_rows), pace.at - epoch * steps, steps):
            x, y, w = (
                torch.as_tensor(np.array(batch[name])).to(device) for name in ("x", "y", "w")
            )
            pace.before()
            with products_in(plan.precision, str(device)):
                losses = per_row(model(x), y if task == "regression" else y.long())
            pace.step((losses * w).mean())
            if pace.at % ASK_STEPS == 0:
                saver.save_if_due(pace.at, lambda: state_of(net, pace))
    return saver.end(lambda: network_arrays(net))


def _smallest_by_torch(number: int, *, device: Any) -> int:
    import torch

    numbers = torch.tensor([number], device=device)
    torch.distributed.all_reduce(numbers, op=torch.distributed.ReduceOp.MIN)
    return int(numbers)


def _batches(group: GroupConfig, rows: int) -> Iterator[dict[str, Any]]:
    """This worker's rows in their order: its own share, and those of workers that are gone."""
    from ray import train

    context = train.get_context()
    for share in range(context.get_world_rank(), group.n_shares, context.get_world_size()):
        shard = train.get_dataset_shard(f"worker-{share}")
        yield from shard.iter_batches(batch_size=rows, batch_format="numpy", prefetch_batches=1)
