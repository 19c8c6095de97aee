"""How a cluster will be used, and why: a pure function of inventory, table and project.

Two laws hold for every plan. Everything asked of Ray fits the cluster: a group that holds all CPUs
would starve the Ray Data tasks that feed it, and both would wait for ever. And a retrain fits
beside the running replicas, also on two cores, and on one GPU where these sit on it, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from tenfold.cluster.devices import Precision
from tenfold.cluster.efficiency import search_efficiency
from tenfold.cluster.inventory import Inventory, Node
from tenfold.cluster.nodes import nodes_for_fits
from tenfold.cluster.placement import Placement
from tenfold.cluster.seats import Need, Seat, plan_seat, sessions_beside
from tenfold.cluster.served import Served
from tenfold.cluster.trials import Trials, plan_trials
from tenfold.cluster.work import SEARCH_ROWS, Work, config_seconds, in_words
from tenfold.cluster.workers import Group, plan_group
from tenfold.errors import ProjectError
from tenfold.project import Project
from tenfold.settings import stays_local

__all__ = ["Plan", "make_plan", "plan_serving"]

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
        nodes: labels of the nodes that fits run on, as a selector of Ray's; empty for any node.
        trial_devices: ``"cpu"`` or ``"cuda"`` for each family of the search.
        trials_at_once: trials side by side while nothing is served.
        retrain_trials_at_once: trials side by side beside the running replicas.
        threads_per_trial: threads of one trial of the search.
        trial_cpus: logical CPUs of one trial; below ``threads_per_trial`` only on one core.
        trial_gpus: part of a GPU that one trial asks for, 0 on CPU.
        trial_gpu_type: Ray's name of the type it must be, None where any will do.
        fit: the last fit: ``"single"``, in one process, or ``"distributed"``, by a training group.
        fit_devices: ``"cpu"`` or ``"cuda"`` for each family's last fit.
        n_workers: workers of a training group; 1 means no group unless it streams to one GPU.
        worker_cpus: logical CPUs of each worker.
        worker_gpus: GPUs of each worker of a group: 0 or 1; or the part of one of a single fit.
        worker_gpu_type: Ray's name of the type they must be, None where any will do.
        batch_rows: rows that each worker of a group reads at a time; None for a single fit.
        external_memory: whether boosting keeps its bins on the disks of the workers.
        precision: of the products in networks on a GPU, ``"fp32"`` or ``"bf16"``.
        replica_device: where replicas answer, ``"cpu"`` or ``"cuda"``.
        replica_gpus: part of a GPU that each replica asks for, 0 on CPU.
        replica_gpu_type: Ray's name of the type it must be, None where any will do.
        reasons: why, one sentence each.
    """

    mode: Literal["in-process", "ray-data"]
    nodes: Mapping[str, str]
    trial_devices: Mapping[str, str]
    trials_at_once: int
    retrain_trials_at_once: int
    threads_per_trial: int
    trial_cpus: float
    trial_gpus: float
    trial_gpu_type: str | None
    fit: Literal["single", "distributed"]
    fit_devices: Mapping[str, str]
    n_workers: int
    worker_cpus: float
    worker_gpus: float
    worker_gpu_type: str | None
    batch_rows: int | None
    external_memory: bool
    precision: Precision
    replica_device: Literal["cpu", "cuda"]
    replica_gpus: float
    replica_gpu_type: str | None
    reasons: tuple[str, ...]

    @property
    def placement(self) -> Placement:
        """Where the search runs, and last fits in one process; what a session asks Ray for."""
        return Placement(
            self.trial_devices,
            self.precision,
            self.trial_cpus,
            self.trial_gpus,
            self.trial_gpu_type,
            self.nodes,
        )

    @property
    def last_placement(self) -> Placement:
        """Where the workers of a training group run; what each asks Ray for."""
        return Placement(
            self.fit_devices,
            self.precision,
            self.worker_cpus,
            self.worker_gpus,
            self.worker_gpu_type,
            self.nodes,
        )

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
    served: Served | None = None,
    serves: bool = True,
) -> Plan:
    """Decide how a project uses a cluster. Pure: equal arguments give equal plans.

    Args:
        project: its devices, workers and replicas are obeyed.
        inventory: what there is.
        n_rows: rows of the table, from 0; an estimate will do.
        n_columns: columns of the table, from 0.
        size_bytes: bytes of the source files.
        local_bytes: sources below this are prepared in one process.
        served: the model that answers, where there is one.
        serves: whether replicas must find their place here, too. A training may run on another
            cluster than they do: what they lack is then told and not refused.

    Returns:
        The plan with its reasons.

    Raises:
        ProjectError: the project asks for nodes that are not there, for more workers than the
            cluster can give, or for a GPU that is not there, too small, or of no use.
    """
    work = Work(n_rows=n_rows, n_columns=n_columns, size_bytes=size_bytes)
    mode, why_mode = _mode(work, local_bytes)
    serving_cpus, why_serving = _left_to_serving(project, inventory)
    meant, why_nodes = nodes_for_fits(project, inventory)
    trials, group = _training(project, inventory, meant, work, mode, serving_cpus)
    needs = _needs(meant, trials, group)
    try:
        seat = plan_seat(project, inventory, needs=needs, served=served)
    except ProjectError as error:
        if serves:
            raise
        seat = Seat(reason=f"replicas find no place here: {error}")
    beside = sessions_beside(
        seat,
        needs[0] if trials.gpus else None,
        replicas=project.serve.replicas.max,
        sessions=trials.at_once_beside_serving,
    )
    fed = _why_fed(project, trials, work.at_most(SEARCH_ROWS) if mode == "ray-data" else work)
    return Plan(
        mode=mode,
        nodes=dict(project.train.nodes or {}),
        trial_devices=trials.devices,
        trials_at_once=trials.at_once,
        retrain_trials_at_once=beside,
        threads_per_trial=trials.threads,
        trial_cpus=trials.cpus,
        trial_gpus=trials.gpus,
        trial_gpu_type=trials.gpu_type,
        fit=group.fit,
        fit_devices=group.devices,
        n_workers=group.n_workers,
        worker_cpus=group.worker_cpus,
        worker_gpus=group.worker_gpus,
        worker_gpu_type=group.gpu_type,
        batch_rows=group.batch_rows,
        external_memory=group.external_memory,
        precision=trials.precision if trials.gpus else group.precision,
        replica_device=seat.device,
        replica_gpus=seat.gpus,
        replica_gpu_type=seat.gpu_type,
        reasons=(
            *(why_mode, *why_nodes, *trials.reasons, *fed, *group.reasons),
            *(why_serving, seat.reason),
        ),
    )


def plan_serving(
    project: Project,
    inventory: Inventory,
    *,
    served: Served | None,
    n_rows: int,
    n_columns: int,
    size_bytes: int,
    local_bytes: int,
) -> Seat:
    """Where the replicas of a model sit: what `make_plan` says of them, for who starts them.

    A training that could not run here at all needs nothing, and does not stop an endpoint.

    Args:
        project: see `make_plan`.
        inventory: all nodes.
        served: the model that answers, None before there is one.
        n_rows: of the table that a retrain learns from.
        n_columns: of it.
        size_bytes: of it.
        local_bytes: see `make_plan`.

    Raises:
        ProjectError: a GPU is asked for, and there is none that would do, or no part of the model
            runs on one.
    """
    work = Work(n_rows=n_rows, n_columns=n_columns, size_bytes=size_bytes)
    mode, _ = _mode(work, local_bytes)
    try:
        meant, _ = nodes_for_fits(project, inventory)
        serving_cpus, _ = _left_to_serving(project, inventory)
        needs = _needs(meant, *_training(project, inventory, meant, work, mode, serving_cpus))
    except ProjectError:
        needs = ()
    return plan_seat(project, inventory, needs=needs, served=served)


def _training(
    project: Project,
    inventory: Inventory,
    meant: Inventory,
    work: Work,
    mode: str,
    serving_cpus: float,
) -> tuple[Trials, Group]:
    """How the search and the last fit run on the nodes that are meant."""
    searched = work.at_most(SEARCH_ROWS) if mode == "ray-data" else work
    # Replicas and the tasks that feed a group find room on the other nodes first.
    elsewhere = inventory.cpus - meant.cpus
    free_cpus = meant.cpus - max(0.0, serving_cpus - elsewhere)
    trials = plan_trials(project, meant, searched, free_cpus=free_cpus)
    group = plan_group(
        project,
        meant,
        work,
        mode=mode,
        serving_cpus=serving_cpus,
        cpus_elsewhere=elsewhere,
        trials=trials,
    )
    return trials, group


def _needs(meant: Inventory, trials: Trials, group: Group) -> tuple[Need, ...]:
    """GPUs that training must find beside replicas: one session's, and those of a group."""
    needs = []
    if trials.gpus:
        nodes = _with_gpus(meant, trials.gpu_type)
        needs.append(Need("a retrain", trials.gpus, 1, nodes))
    if group.fit == "distributed" and group.worker_gpus:
        nodes = _with_gpus(meant, group.gpu_type)
        needs.append(Need("a training group", group.worker_gpus, group.n_workers, nodes))
    return tuple(needs)


def _with_gpus(meant: Inventory, kind: str | None) -> tuple[Node, ...]:
    nodes = [node for node in meant.nodes if node.cuda]
    return tuple(node for node in nodes if kind is None or node.cuda[0].kind == kind)


def _mode(work: Work, local_bytes: int) -> tuple[Literal["in-process", "ray-data"], str]:
    size, limit = in_words(work.size_bytes), in_words(local_bytes)
    if not stays_local(work.size_bytes, local_bytes=local_bytes):
        return "ray-data", f"Ray Data streams the table: {size} is not below the limit of {limit}"
    why = f"one process prepares the table: {size} is below the limit of {limit}"
    return "in-process", f"{why}, and starting Ray Data would cost seconds"


def _why_fed(project: Project, trials: Trials, work: Work) -> tuple[str, ...]:
    """What a search against the clock makes of its sessions; nothing is known of the pace of GPUs,
    and where trials are counted seconds are no measure."""
    budget_s = project.train.budget_s
    config_s = config_seconds(work.cells, n_folds=project.train.folds)
    share = search_efficiency(trials.at_once, search_s=budget_s, config_s=config_s)
    if trials.gpus or project.train.trials is not None or not project.problem.task.supervised:
        return ()
    if share <= 0.0:
        return (f"{budget_s:g} s are less than sessions take to start and fit a configuration",)
    return (
        f"of {budget_s:g} s of search, sessions can put about {share:.0%} into fits, if one takes "
        f"{config_s:.1f} s; their start and what the clock stops take the rest",
    )


def _left_to_serving(project: Project, inventory: Inventory) -> tuple[float, str]:
    """Logical CPUs that training leaves alone. Replicas reserve none in Ray, so that one never
    waits for a training to end; what is not given away here is theirs."""
    cpus, asked = inventory.cpus, project.serve.replicas
    size = next(size for limit, size in REPLICA_CPUS if limit is None or cpus <= limit)
    most = max(1, int((cpus - SERVING_OVERHEAD_CPUS - MIN_TRIAL_CPUS) / size))
    left = min(asked.max, most) * size + SERVING_OVERHEAD_CPUS
    many = "s answer" if asked.max > 1 else " answers"
    why = f"{asked} replica{many}, as serve.replicas says; a search beside leaves {left:g} of "
    why += f"{cpus} CPUs alone"
    return left, why if asked.max <= most else f"{why}, too few for so many"
