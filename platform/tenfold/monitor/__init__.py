"""What live traffic means: frozen bins, evidence with a stated bound, labels, policy.

Pure logic on NumPy: neither Ray nor a model library is imported here.
"""

from __future__ import annotations

from tenfold.monitor.bins import FrozenBins, score_codes
from tenfold.monitor.cells import FeatureBins
from tenfold.monitor.channels import CHANNELS
from tenfold.monitor.effects import kolmogorov_smirnov, population_stability
from tenfold.monitor.evidence import BlockConformal, ChangeMixture, ProportionDetector
from tenfold.monitor.labels import (
    Joined,
    Label,
    LabelJoiner,
    LabelStatus,
    Predicted,
    Predictions,
)
from tenfold.monitor.live import Estimate, LiveQuality
from tenfold.monitor.losses import LossRule
from tenfold.monitor.messages import CountsMessage, Outcome
from tenfold.monitor.monitor import Monitor, MonitorSettings
from tenfold.monitor.policy import Action, Challenger, Decision, Evidence, Rules, decide
from tenfold.monitor.reference import Reference, build_reference

__all__ = [
    "CHANNELS",
    "Action",
    "BlockConformal",
    "Challenger",
    "ChangeMixture",
    "CountsMessage",
    "Decision",
    "Estimate",
    "Evidence",
    "FeatureBins",
    "FrozenBins",
    "Joined",
    "Label",
    "LabelJoiner",
    "LabelStatus",
    "LiveQuality",
    "LossRule",
    "Monitor",
    "MonitorSettings",
    "Outcome",
    "Predicted",
    "Predictions",
    "ProportionDetector",
    "Reference",
    "Rules",
    "build_reference",
    "decide",
    "kolmogorov_smirnov",
    "population_stability",
    "score_codes",
]
