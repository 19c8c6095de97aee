"""Model families: how to fit, save, load and convert; see ``base`` for the contract."""

from __future__ import annotations

from tenfold.models.base import Family, Fit, FitStopped, Model, Params, TargetMap, n_outputs
from tenfold.models.families import FAMILIES, families_for, load_model

__all__ = [
    "FAMILIES",
    "Family",
    "Fit",
    "FitStopped",
    "Model",
    "Params",
    "TargetMap",
    "families_for",
    "load_model",
    "n_outputs",
]
