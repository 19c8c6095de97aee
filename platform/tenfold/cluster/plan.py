"""How a cluster will be used, and why: a pure function of inventory, table and project.

Two laws hold for every plan. Everything asked of Ray fits the cluster: a group that holds all CPUs
would starve the Ray Data tasks that feed it, and both would wait for ever. And a retrain fits
beside the running replicas, also on two cores.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from tenfold.cluster.inventory import Inventory
from tenfold.cluster.trials import plan_trials
from tenfold.cluster.work import Work, in_words
from tenfold.cluster.workers import count_workers, size_workers
from tenfold.project import Project
from tenfold.settings import stays_local

__all__ = ["Plan", "make_plan"]

REPLICA_CPUS = ((4, 0.25), (16, 0.5), (None, 1.0))
"""Logical CPUs of a replica by the cluster's cores: a replica scores with one thread and mostly
waits, and on few cores a whole one would leave no room to retrain."""
SERVING_OVERHEAD_CPUS = 0.25
"""For the aggregator and what else Serve starts."""
MIN_TRIAL_CPUS = 0.25
"""What must stay free of serving for training to go on at all."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What would run where.

    Attributes:
        mode: where tables are prepared: ``"in-process"`` or ``"ray-data"``.
        n_workers: workers of a training group; 1 means no group.
        worker_cpus: logical CPUs of each worker.
        threads_per_trial: threads of one trial of the search.
        trial_cpus: logical CPUs of one trial; below ``threads_per_trial`` only on one core.
        trials_at_once: trials side by side while nothing is served.
        retrain_trials_at_once: trials side by side beside the running replicas.
        reasons: why, one sentence each.
    """

    mode: Literal["in-process", "ray-data"]
    n_workers: int
    worker_cpus: float
    threads_per_trial: int
    trial_cpus: float
    trials_at_once: int
    retrain_trials_at_once: int
    reasons: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON values."""
        return {**asdict(self), "reasons": list(self.reasons)}


def make_plan(
    project: Project,
    inventory: Inventory,
    *,
    n_rows: int,
    n_columns: int,
    size_bytes: int,
    local_bytes: int,
) -> Plan:
    """Decide how a project uses a cluster. Pure: equal arguments give equal plans.

    Args:
        project: its device, workers and replicas are obeyed.
        inventory: what there is.
        n_rows: rows of the table, from 0; an estimate will do.
        n_columns: columns of the table, from 0.
        size_bytes: bytes of the source files.
        local_bytes: sources below this are prepared in one process.

    Returns:
        The plan with its reasons.

    Raises:
        ProjectError: the project asks for more workers than the cluster can give.
    """
    work = Work(n_rows=n_rows, n_columns=n_columns, size_bytes=size_bytes)
    mode, why_mode = _mode(work, local_bytes)
    serving_cpus, why_serving = _left_to_serving(project, inventory)
    trials = plan_trials(project, inventory, work, free_cpus=inventory.cpus - serving_cpus)
    n_workers, why_workers = count_workers(project, inventory, work, mode=mode)
    return Plan(
        mode=mode,
        n_workers=n_workers,
        worker_cpus=size_workers(inventory, n_workers, serving_cpus=serving_cpus),
        threads_per_trial=trials.threads,
        trial_cpus=trials.cpus,
        trials_at_once=trials.at_once,
        retrain_trials_at_once=trials.at_once_beside_serving,
        reasons=(why_mode, *trials.reasons, why_workers, why_serving),
    )


def _mode(work: Work, local_bytes: int) -> tuple[Literal["in-process", "ray-data"], str]:
    size, limit = in_words(work.size_bytes), in_words(local_bytes)
    if not stays_local(work.size_bytes, local_bytes=local_bytes):
        return "ray-data", f"Ray Data streams the table: {size} is not below the limit of {limit}"
    why = f"one process prepares the table: {size} is below the limit of {limit}"
    return "in-process", f"{why}, and starting Ray Data would cost seconds"


def _left_to_serving(project: Project, inventory: Inventory) -> tuple[float, str]:
    """Logical CPUs that training leaves alone. Replicas reserve none in Ray, so that one never
    waits for a training to end; what is not given away here is theirs."""
    cpus, replicas = inventory.cpus, project.serve.replicas
    size = next(size for limit, size in REPLICA_CPUS if limit is None or cpus <= limit)
    most = max(1, int((cpus - SERVING_OVERHEAD_CPUS - MIN_TRIAL_CPUS) / size))
    left = min(replicas, most) * size + SERVING_OVERHEAD_CPUS
    many = "s answer" if replicas > 1 else " answers"
    why = f"{replicas} replica{many}, as serve.replicas says; a search beside leaves {left:g} of "
    why += f"{cpus} CPUs alone"
    return left, why if replicas <= most else f"{why}, too few for so many"
