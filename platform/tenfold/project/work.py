"""``train:`` and ``retrain:`` how much work may go into a model, and when it is done again."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Literal

from pydantic import Field

from tenfold.errors import UserError
from tenfold.project.fields import Duration, Flag, Section, Text, Whole
from tenfold.project.labels import NodeSelector
from tenfold.project.measures import Objective, Task

__all__ = [
    "FAMILIES",
    "PLUGIN_GROUP",
    "Budget",
    "Retrain",
    "Train",
    "default_families",
    "family_devices",
    "family_holds_monotone",
    "family_objectives",
    "family_tasks",
    "load_plugin",
    "plugin_families",
]

_SUPERVISED = frozenset({Task.BINARY, Task.MULTICLASS, Task.REGRESSION})
FAMILIES: dict[str, frozenset[Task]] = {
    "dummy": _SUPERVISED,
    "linear": _SUPERVISED,
    "boosting": _SUPERVISED,
    "network": _SUPERVISED,
    "kmeans": frozenset({Task.CLUSTERING}),
}
"""Our own families, and the tasks each one fits."""
ON_CUDA = ("boosting", "network")
"""Of our own families, those that CUDA fits, too."""
SERVED_ON_CUDA = ("linear", "network", "kmeans")
"""Of our own families, those whose graph holds products, which CUDA computes; trees it does not."""
MONOTONE = ("dummy", "boosting")
"""Of our own families, those that hold monotone columns; an answer without columns does."""
ALL_OBJECTIVES = ("dummy", "boosting")
"""Of our own families, those that fit quantiles and counts, and not the mean alone."""
PLUGIN_GROUP = "tenfold.families"
"""Entry points of installed packages that bring families; our own names are not theirs to take."""

_DEFAULTS = {
    True: ("linear", "boosting", "network"),
    False: ("kmeans",),
}

Budget = Annotated[Duration, Field(ge=1)]
"""Wall time of a search, from 1s: in the project file and on the command line."""

MAX_SEED = 2**32 - 1
"""The widest seed that NumPy, XGBoost and PyTorch all take."""


def default_families(
    task: Task, *, n_monotone: int = 0, objective: Objective = Objective.MEAN
) -> tuple[str, ...]:
    """The families that are tried when a project names none.

    Args:
        task: what is asked.
        n_monotone: columns that are declared monotone; with one, families that cannot hold it are
            left out.
        objective: of a regression; families that do not fit it are left out.

    >>> default_families(Task.CLUSTERING), default_families(Task.BINARY, n_monotone=1)
    (('kmeans',), ('boosting',))
    """
    names = _DEFAULTS[task.supervised]
    if n_monotone and task.supervised:
        names = tuple(name for name in names if name in MONOTONE)
    if objective is not Objective.MEAN and task is Task.REGRESSION:
        names = tuple(name for name in names if name in ALL_OBJECTIVES)
    return names


def plugin_families() -> tuple[str, ...]:
    """Names of the families that installed packages bring, sorted; none is imported."""
    from importlib.metadata import entry_points

    names = {point.name for point in entry_points(group=PLUGIN_GROUP)}
    return tuple(sorted(names - set(FAMILIES)))


def load_plugin(name: str) -> object:
    """What the entry point of a plug-in leads to; its package is imported.

    Args:
        name: one of `plugin_families`.

    Raises:
        UserError: two packages bring it, or its package cannot be imported.
    """
    from importlib.metadata import entry_points

    points = list(entry_points(group=PLUGIN_GROUP, name=name))
    if len({point.value for point in points}) != 1:
        places = ", ".join(sorted(point.value for point in points))
        raise UserError(
            f"one installed package must bring the family {name!r}, and {len(points)} do: "
            f"{places}; uninstall the others"
        )
    try:
        return points[0].load()
    except (ImportError, AttributeError) as error:
        raise UserError(
            f"the package of the family {name!r} ({points[0].value}) must import, and it says: "
            f"{error}; install it again"
        ) from error


def family_tasks(names: Collection[str] = ()) -> dict[str, frozenset[Task]]:
    """The families that a project may name, and the tasks each one fits.

    Args:
        names: asked for; of the plug-ins only those among them are imported.

    Raises:
        UserError: see `load_plugin`, or a plug-in does not name its tasks.

    >>> sorted(family_tasks())
    ['boosting', 'dummy', 'kmeans', 'linear', 'network']
    """
    known = dict(FAMILIES)
    asked = set(names) - set(known)
    if not asked:
        return known
    for name in asked & set(plugin_families()):
        tasks = getattr(load_plugin(name), "tasks", None)
        try:
            known[name] = frozenset(Task(task) for task in tasks or ())
        except (TypeError, ValueError) as error:
            raise UserError(
                f"the plug-in {name!r} must name tasks among "
                f"{', '.join(task.value for task in Task)}: {error}; upgrade its package"
            ) from error
    return known


def family_devices(name: str) -> frozenset[str]:
    """The kinds of device that a family fits on: ``cpu``, ``cuda``; a plug-in is imported.

    Raises:
        UserError: see `load_plugin`.

    >>> sorted(family_devices("boosting")), sorted(family_devices("linear"))
    (['cpu', 'cuda'], ['cpu'])
    """
    if name in FAMILIES:
        return frozenset({"cpu", "cuda"} if name in ON_CUDA else {"cpu"})
    found = getattr(load_plugin(name), "devices", None)
    return frozenset(found or {"cpu"})


def family_holds_monotone(name: str) -> bool:
    """Whether a family's models never fall, or never rise, with a column that must not; a plug-in
    is imported.

    Raises:
        UserError: see `load_plugin`.

    >>> family_holds_monotone("boosting"), family_holds_monotone("network")
    (True, False)
    """
    if name in FAMILIES:
        return name in MONOTONE
    return bool(getattr(load_plugin(name), "monotone", False))


def family_objectives(name: str) -> frozenset[Objective]:
    """The objectives that a family fits where it fits regression; a plug-in is imported.

    Raises:
        UserError: see `load_plugin`.

    >>> [objective.value for objective in family_objectives("linear")]
    ['mean']
    """
    if name in FAMILIES:
        return frozenset(Objective if name in ALL_OBJECTIVES else {Objective.MEAN})
    named = getattr(load_plugin(name), "objectives", None) or {Objective.MEAN}
    return frozenset(objective for objective in Objective if objective in named)


class Train(Section):
    """The search for a model."""

    budget: Budget = 60.0
    """Wall time of the search, from 1s; a minute finds a good model on small tables."""

    trials: Annotated[Whole, Field(ge=1, le=100_000)] | None = None
    """Stop after so many configurations instead; makes the search repeatable on any machine."""

    families: tuple[Text, ...] = ()
    """Model families to try: linear, boosting and network by default, kmeans for clustering; an
    installed package may bring others."""

    folds: Annotated[Whole, Field(ge=2, le=20)] = 5
    """Parts of cross-validation, 2 to 20; five is the usual balance of noise and work."""

    seed: Annotated[Whole, Field(ge=0, le=MAX_SEED)] = 0
    """What all randomness starts from."""

    workers: Annotated[Whole, Field(ge=1, le=1024)] | None = None
    """Workers of a distributed training group; absent, the plan chooses."""

    device: Literal["auto", "cpu", "gpu"] = "auto"
    """Where boosting and networks are fitted. auto: on GPUs that run CUDA where the table is large
    enough to gain, else on CPU; gpu: on GPUs, or the plan refuses and says what is missing."""

    nodes: NodeSelector | None = None
    """Nodes of a cluster that fits run on, by their labels: ``{pool: training}``. A value is a
    label's, ``in(a, b)`` for one of several, or either behind ``!`` (in quotes) for none of them.
    Absent: any node."""

    construct_columns: Literal["auto", "off"] = "off"
    """auto: ratios, differences, group statistics and crosses of columns are tried on training rows
    and kept where they help, at most 24. Off by default: trees rarely need them on tables of a few
    strong columns, and each makes every request slower."""

    select_columns: Literal["auto", "off"] = "auto"
    """auto: of 100 columns or more, those that help no more than shuffled copies are dropped, and
    the endpoint asks for the others only. Narrower tables keep all columns and pay nothing."""

    on_leakage: Literal["warn", "stop"] = "warn"
    """What to do when a column seems to know the answer (it predicts the target alone, or is
    missing exactly with it): warn on the terminal and on the model card, or stop before anything is
    fitted."""

    prefer: Literal["balanced", "accuracy", "latency"] = "balanced"
    """Who answers: the fastest model or blend within one standard error of the best score (up to
    100 microseconds a row, 200 on few rows, all are equally fast, beyond 500 two errors are given),
    the best score whatever its price, or the fastest within two, with one seed. A gate on latency
    binds all three."""

    @property
    def budget_s(self) -> float:
        """The budget in seconds."""
        return self.budget


class Retrain(Section):
    """When the loop may train again by itself."""

    enabled: Flag = True
    """Whether proven harm starts a retrain; off, the harm is only reported."""

    min_labels: Annotated[Whole, Field(ge=1)] = 500
    """Fewest labels since the last change, from 1; fewer could not show that a new model helps."""

    cooldown: Duration = 600.0
    """Shortest time between two retrains; keeps a noisy stream from training without end."""

    search_budget: Duration = 60.0
    """How long a retrain may search when the champion's recipe, fitted on newer rows, misses a
    gate. The search starts from the champion's configurations and runs beside the endpoint."""

    @property
    def search_budget_s(self) -> float:
        """The budget of that search in seconds."""
        return self.search_budget

    @property
    def cooldown_s(self) -> float:
        """The cool-down in seconds."""
        return self.cooldown
