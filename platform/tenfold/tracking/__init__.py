"""MLflow as a mirror for people: trainings, their trials, versions and aliases."""

from __future__ import annotations

from tenfold.tracking.tracker import RunFacts, Tracker
from tenfold.tracking.trials import TrialFacts, TrialLog

__all__ = ["RunFacts", "Tracker", "TrialFacts", "TrialLog"]
