"""Work where the plan wants it: in this process, or in a Ray task with its share of a GPU or on a
node of the wanted kind. The driver of a training holds no GPU itself, and stands where it stands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from tenfold.cluster.placement import Placement
from tenfold.errors import ClusterError
from tenfold.models import Model, load_model
from tenfold.project.labels import in_selector_words
from tenfold.training.evaluate import Config, Outcome, evaluate
from tenfold.training.fitter import Plan, fit_in_process
from tenfold.training.rows import TrainingRows
from tenfold.training.search import Material

__all__ = ["call_placed", "evaluate_placed", "fit_placed", "plan_placed"]

T = TypeVar("T")


def plan_placed(plan: Plan, placement: Placement) -> Plan:
    """A fit's plan with the device and the precision that a placement names for its family."""
    family = plan.family
    return replace(plan, device=placement.device(family), precision=placement.precision_of(family))


def fit_placed(plan: Plan, rows: TrainingRows, placement: Placement) -> Model:
    """Fit on rows at hand.

    Args:
        plan: of the fit; where the placement names no GPU for its family, and no node, it is fitted
            in this process.
        rows: training rows; they travel to the task through the object store.
        placement: what the task asks Ray for.

    Returns:
        The model; one that comes back from a task was read from its own files, as a replica would.

    Raises:
        ClusterError: the task's process died each time that Ray tried.
    """
    plan, placement = plan_placed(plan, placement), placement.of_family(plan.family)
    if not placement.is_asked_for:
        return fit_in_process(plan, rows)
    what = f"a last fit of {plan.family}"
    files = call_placed(_files, plan, rows, placement=placement, what=what)
    return load_model(plan.family, files)


def evaluate_placed(material: Material, config: Config) -> Outcome:
    """Judge a configuration over all folds where the material's placement wants its family.

    Args:
        material: rows and question; they travel to the task.
        config: what to judge.

    Raises:
        ClusterError: the task's process died each time that Ray tried.
    """
    placement = material.placement.of_family(config.family)
    return call_placed(
        _outcome, material, config, placement, placement=placement, what=f"a fit of {config.family}"
    )


def call_placed(work: Callable[..., T], *args: Any, placement: Placement, what: str) -> T:
    """Call a function in a Ray task and wait for it; in this process where that is not asked for.

    Args:
        work: and its arguments; they and the result travel through the object store.
        placement: what the task asks Ray for.
        what: how an error calls it.

    Returns:
        What the function returned; what it raised is raised here, with its own type.

    Raises:
        ClusterError: the task's process died each time that Ray tried.
    """
    if not placement.is_asked_for:
        return work(*args)
    import ray
    from ray.exceptions import RayError, RayTaskError

    asked = placement.resources()
    task = ray.remote(work).options(
        num_cpus=asked.pop("CPU"),
        num_gpus=asked.pop("GPU", 0.0),
        resources=asked,
        label_selector=dict(placement.nodes),
        max_retries=1,
    )
    try:
        result: T = ray.get(task.remote(*args))
    except RayTaskError:  # the function's own error
        raise
    except RayError as error:
        raise ClusterError(
            f"{what} must end on {_where(placement)}: {error}; look at that node's memory, or "
            "write 'device: cpu' and no train.nodes"
        ) from error
    return result


def _where(placement: Placement) -> str:
    """What a task asked for, in words."""
    gpu = f" with a GPU ({placement.gpus:g} of one)" if placement.gpus else ""
    kind = f" ({in_selector_words(placement.nodes)})" if placement.nodes else ""
    return f"a node{gpu}{kind}"


def _outcome(material: Material, config: Config, placement: Placement) -> Outcome:
    return evaluate(material.workspace(placement=placement), config)


def _files(plan: Plan, rows: TrainingRows) -> dict[str, bytes]:
    return fit_in_process(plan, rows).files()
