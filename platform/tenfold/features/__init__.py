"""From a table or a JSON row to the float32 matrix that a model reads."""

from __future__ import annotations

from tenfold.features.codes import encode_table
from tenfold.features.crossfit import CrossFit
from tenfold.features.preprocessor import Preprocessor
from tenfold.features.recipe import Recipe
from tenfold.features.rowpath import RowEncoder

__all__ = ["CrossFit", "Preprocessor", "Recipe", "RowEncoder", "encode_table"]
