"""From files to a snapshot: sources, inference, cleaning, splits, drivers."""

from __future__ import annotations

from tenfold.data.files import FileSource, read_batches, read_sample
from tenfold.data.infer import Declared, Hints, infer_schema
from tenfold.data.source import Source

__all__ = [
    "Declared",
    "FileSource",
    "Hints",
    "Source",
    "infer_schema",
    "read_batches",
    "read_sample",
]
