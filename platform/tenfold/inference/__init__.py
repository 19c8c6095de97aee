"""One data plane, many doors: HTTP, batch scoring and tests call the same predictor."""

from __future__ import annotations

from tenfold.inference.codecs import prediction_items
from tenfold.inference.engines import ENGINES, Engine, load_engine
from tenfold.inference.golden import build_golden, check_golden
from tenfold.inference.openapi import example_row, openapi_components, request_columns
from tenfold.inference.pack import pack_artifact
from tenfold.inference.predictor import Prediction, Predictor

__all__ = [
    "ENGINES",
    "Engine",
    "Prediction",
    "Predictor",
    "build_golden",
    "check_golden",
    "example_row",
    "load_engine",
    "openapi_components",
    "pack_artifact",
    "prediction_items",
    "request_columns",
]
