"""Which parameters of a family separated its better trials from the others."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from tenfold.training.board import Tried
from tenfold.training.evaluate import Fate
from tenfold.training.proposals import Proposals
from tenfold.training.question import Question

__all__ = ["importances"]

MIN_SCORED = 12
"""Scored trials of a family that lie in its space; fewer tell nothing apart."""
LEAST_SHARE = 0.005
"""Smaller shares are not named."""


def importances(question: Question, tried: Sequence[Tried]) -> dict[str, list[tuple[str, float]]]:
    """Shares of the parameters of each family with enough trials, the largest first.

    Source: S. Watanabe, A. Bansal and F. Hutter, "PED-ANOVA: efficiently quantifying
    hyperparameter importance in arbitrary subspaces" (2023), as Optuna has it.

    Args:
        question: whose search it was.
        tried: what has an outcome.

    Returns:
        Family to (parameter, share); shares of a family sum to at most 1.
    """
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    proposals = Proposals(question)
    for one in tried:
        if one.outcome.fate is Fate.SCORED:
            proposals.learn(one.config, one.outcome)
    found: dict[str, list[tuple[str, float]]] = {}
    for family in proposals.families:
        study = proposals.study(family)
        values = {trial.value for trial in study.trials}
        if len(study.trials) < MIN_SCORED or len(values) < 2:
            continue
        with warnings.catch_warnings():
            # Of a parameter that few trials have, its share may be inaccurate. So are all of them.
            warnings.filterwarnings("ignore", message="Some regimes for parameter")
            shares = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
        named = [
            (name.removeprefix(f"{family}."), float(share))
            for name, share in shares.items()
            if share >= LEAST_SHARE
        ]
        if named:
            found[family] = sorted(named, key=lambda pair: (-pair[1], pair[0]))
    return found
