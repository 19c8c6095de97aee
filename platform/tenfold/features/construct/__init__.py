"""New columns from old ones: rated and fitted on training rows, applied to codes."""

from __future__ import annotations

from tenfold.features.construct.candidates import MAX_CONSTRUCTED, Candidates, choose_candidates
from tenfold.features.construct.construction import MAKERS, Construction, served_schema
from tenfold.features.construct.fitting import fit_construction

__all__ = [
    "MAKERS",
    "MAX_CONSTRUCTED",
    "Candidates",
    "Construction",
    "choose_candidates",
    "fit_construction",
    "served_schema",
]
