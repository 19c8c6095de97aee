"""Why records went to quarantine, counted under a closed list of words, for ``/metrics``.

A reason names values ("is above the maximum 90"), so reasons are without number; the causes are
few, and a dashboard can show them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

__all__ = ["CAUSES", "Tally", "cause_of"]

_BEGINNINGS: dict[str, tuple[str, ...]] = {
    "unreadable_file": ("cannot be read:",),
    "out_of_range": ("is below the minimum", "is above the maximum"),
    "missing": ("the target is missing", "the time is missing"),
    "unknown_class": ("is not one of the classes",),
    "ambiguous": ("may be ", "may have "),
    "malformed_record": (
        "has ",
        "nests ",
        "gives the column",
        "is not JSON",
        "is not a JSON object",
    ),
    "unreadable_value": ("is not ",),
}
"""Cause → how its reasons begin; the first that fits counts, so the general ones stand last."""

CAUSES: tuple[str, ...] = (*_BEGINNINGS, "other")
"""Every cause there is; ``other`` is what a plug-in says."""


def cause_of(reason: str) -> str:
    """The cause that a reason of the quarantine table belongs to.

    >>> cause_of("is above the maximum 90"), cause_of("has 3 cells, the header names 2")
    ('out_of_range', 'malformed_record')
    """
    return next((c for c, begins in _BEGINNINGS.items() if reason.startswith(begins)), "other")


@dataclass
class Tally:
    """Records by cause and files that could not be read; memory holds counts and paths of files.

    For one thread; `add` is called with every part of a quarantine table once, in its order, and
    all cells of a record stand in one part.

    >>> from tenfold.data.clean import PROBLEMS
    >>> cell = {"source": "a", "position": 1, "column": "x", "reason": "is not a date"}
    >>> tally = Tally()
    >>> tally.add(pa.Table.from_pylist([cell, {**cell, "column": "z"}], schema=PROBLEMS))
    >>> tally.causes["unreadable_value"], tally.n_files
    (1, 0)
    """

    causes: Counter[str] = field(default_factory=Counter)
    files: set[str] = field(default_factory=set)

    def add(self, problems: pa.Table) -> None:
        """Count a part: a record with several faults of one cause counts under it once."""
        if not problems.num_rows:
            return
        reasons = problems["reason"].combine_chunks().dictionary_encode()
        words = [cause_of(reason) for reason in reasons.dictionary.to_pylist()]
        causes = pa.DictionaryArray.from_arrays(reasons.indices, pa.array(words)).cast(pa.string())
        keyed = problems.select(["source", "position"]).append_column("cause", causes)
        for cause in keyed.group_by(["source", "position", "cause"]).aggregate([])["cause"]:
            self.causes[cause.as_py()] += 1
        lost = [cause == "unreadable_file" for cause in causes.to_pylist()]
        self.files.update(problems["value"].filter(pa.array(lost)).to_pylist())

    @property
    def n_files(self) -> int:
        """Files of which at least a piece could not be read."""
        return len(self.files)

    def to_dict(self) -> dict[str, Any]:
        """For the manifest of a snapshot."""
        return {"n_quarantined_files": self.n_files, "quarantine_causes": dict(self.causes)}
