"""What MLflow is told of each configuration of a search."""

from __future__ import annotations

from pathlib import Path

from tenfold.tracking import TrialFacts
from tenfold.training.board import Tried
from tenfold.training.evaluate import Fate

__all__ = ["MAX_OOF_BYTES", "trial_facts"]

MAX_OOF_BYTES = 1024**2
"""Out-of-fold scores above this are not copied to MLflow for every trial; the journal has them."""
STATUS = {Fate.SCORED: "FINISHED", Fate.PRUNED: "KILLED", Fate.STOPPED: "KILLED"}


def trial_facts(tried: Tried, *, metric: str, journal: Path) -> TrialFacts:
    """Parameters, score, fold scores, learning curve, fate and out-of-fold scores of one trial.

    Args:
        tried: the configuration and its outcome.
        metric: what the search optimizes.
        journal: the folder with the out-of-fold scores.
    """
    config, outcome = tried.config, tried.outcome
    folds = outcome.fold_scores or outcome.early
    file = journal / f"oof-{config.number:04d}.npy"
    small = file.is_file() and file.stat().st_size <= MAX_OOF_BYTES
    return TrialFacts(
        number=config.number,
        name=f"{config.number:04d} {config.family}",
        params={"family": config.family, **config.params},
        metrics={
            metric: outcome.score,
            "seconds": outcome.seconds,
            "rounds": float(outcome.rounds),
        },
        tags={"tenfold.fate": outcome.fate.value, "tenfold.error": outcome.error or ""},
        curves={f"{metric}_by_fold": list(enumerate(folds)), "stopping_loss": outcome.curve},
        status=STATUS.get(outcome.fate, "FAILED"),
        files=(file,) if small else (),
    )
