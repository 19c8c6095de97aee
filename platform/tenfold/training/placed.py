"""A last fit where the plan wants it: in this process on CPU, else in a Ray task with its share of
a GPU. The driver of a training holds no GPU itself, and its node may have none."""

from __future__ import annotations

from tenfold.cluster.placement import Placement
from tenfold.errors import ClusterError
from tenfold.models import Model, load_model
from tenfold.training.fitter import Plan, fit_in_process
from tenfold.training.rows import TrainingRows

__all__ = ["fit_placed"]


def fit_placed(plan: Plan, rows: TrainingRows, placement: Placement) -> Model:
    """Fit on rows at hand.

    Args:
        plan: of the fit; its device decides where.
        rows: training rows; they travel to the task through the object store.
        placement: what the task asks Ray for.

    Returns:
        The model; one that comes back from a task was read from its own files, as a replica would.

    Raises:
        ClusterError: the task's process died each time that Ray tried.
    """
    if plan.device == "cpu":
        return fit_in_process(plan, rows)
    import ray
    from ray.exceptions import RayError, RayTaskError

    asked = placement.resources()
    task = ray.remote(
        num_cpus=asked.pop("CPU"), num_gpus=asked.pop("GPU", 0.0), resources=asked, max_retries=1
    )(_files)
    try:
        files: dict[str, bytes] = ray.get(task.remote(plan, rows))
    except RayTaskError:  # the family's own error, with its own type
        raise
    except RayError as error:
        raise ClusterError(
            f"a last fit of {plan.family} must end on a node with a GPU ({placement.gpus:g} of "
            f"one): {error}; look at that node's memory, or write 'device: cpu'"
        ) from error
    return load_model(plan.family, files)


def _files(plan: Plan, rows: TrainingRows) -> dict[str, bytes]:
    return fit_in_process(plan, rows).files()
