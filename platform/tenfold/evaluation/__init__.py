"""Model quality: measures, intervals, calibration, thresholds, gates and the card."""

from __future__ import annotations

from tenfold.evaluation.calibration import (
    CalibrationBin,
    calibration_error,
    calibration_table,
)
from tenfold.evaluation.card import CardFacts, card_html, card_markdown
from tenfold.evaluation.conformal import (
    Coverage,
    Intervals,
    Sets,
    cross_coverage,
    read_conformal,
)
from tenfold.evaluation.gates import GateResult, evaluate_gates
from tenfold.evaluation.intervals import Estimate, bootstrap, estimate_all
from tenfold.evaluation.partitions import adjusted_rand, davies_bouldin, mean_agreement
from tenfold.evaluation.scores import Judged, measure, measure_all, silhouette
from tenfold.evaluation.threshold import best_threshold

__all__ = [
    "CalibrationBin",
    "CardFacts",
    "Coverage",
    "Estimate",
    "GateResult",
    "Intervals",
    "Judged",
    "Sets",
    "adjusted_rand",
    "best_threshold",
    "bootstrap",
    "calibration_error",
    "calibration_table",
    "card_html",
    "card_markdown",
    "cross_coverage",
    "davies_bouldin",
    "estimate_all",
    "evaluate_gates",
    "mean_agreement",
    "measure",
    "measure_all",
    "read_conformal",
    "silhouette",
]
