"""Telling MLflow, the mirror for people, what the registry says. A failure is a sentence."""

from __future__ import annotations

from tenfold.progress import SILENT, Progress
from tenfold.registry import Registry
from tenfold.settings import Settings
from tenfold.tracking import RunFacts, Tracker

__all__ = ["tell_mlflow"]


def tell_mlflow(
    project: str,
    settings: Settings,
    *,
    run: RunFacts | None = None,
    tracker: Tracker | None = None,
    progress: Progress = SILENT,
) -> str | None:
    """Mirror a run, if there is one, and where the project's aliases point.

    Called after the registry was written: a running endpoint follows that one at once.

    Args:
        project: its name.
        settings: where the registry and MLflow are.
        run: of the version that was just published.
        tracker: one that was opened earlier, while other work went on; else one is opened here.
        progress: is told of the step, and of a failure.

    Returns:
        None, or why MLflow was not told.
    """
    with progress.step("mirror to MLflow"):
        mirror = tracker or Tracker(settings)
        fault = None if run is None else mirror.log(run)
        fault = fault or mirror.mirror_aliases(project, Registry(settings).aliases(project))
    if fault is not None:
        progress.say(f"MLflow was not told ({fault}); the registry has it")
    return fault
