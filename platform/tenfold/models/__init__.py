"""Model families: how to fit, save, load and convert; see ``base`` for the contract."""

from __future__ import annotations

from tenfold.models.base import (
    COLUMNS,
    Family,
    Fit,
    FitStopped,
    Model,
    Params,
    TargetMap,
    Traits,
    fitting,
    n_outputs,
)
from tenfold.models.engine import EngineChoice, choose_engine
from tenfold.models.families import FAMILIES, load_model

__all__ = [
    "COLUMNS",
    "FAMILIES",
    "EngineChoice",
    "Family",
    "Fit",
    "FitStopped",
    "Model",
    "Params",
    "TargetMap",
    "Traits",
    "choose_engine",
    "fitting",
    "load_model",
    "n_outputs",
]
