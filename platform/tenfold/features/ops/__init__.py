"""The closed list of preprocessing operations, each a frozen value with fitted numbers."""

from __future__ import annotations

from tenfold.features.ops.base import MAX_FLOAT32, Op
from tenfold.features.ops.categories import Lookup, NativeCodes, OneHot, TargetLookup
from tenfold.features.ops.dates import CALENDAR_FIELDS, Calendar
from tenfold.features.ops.elapsed import Elapsed
from tenfold.features.ops.hashed import Hashed
from tenfold.features.ops.numbers import Missing, Quantile, Scale, Take
from tenfold.features.ops.power import Power
from tenfold.features.ops.table import OPS, op_from_dict
from tenfold.features.ops.text import Tfidf

__all__ = [
    "CALENDAR_FIELDS",
    "MAX_FLOAT32",
    "OPS",
    "Calendar",
    "Elapsed",
    "Hashed",
    "Lookup",
    "Missing",
    "NativeCodes",
    "OneHot",
    "Op",
    "Power",
    "Quantile",
    "Scale",
    "Take",
    "TargetLookup",
    "Tfidf",
    "op_from_dict",
]
