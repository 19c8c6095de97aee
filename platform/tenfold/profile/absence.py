"""Which columns are missing together: exact by pairs, and as patterns among the sampled rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tenfold.profile.finding import Finding, Law, Level
from tenfold.profile.survey import Survey, surveyed_columns

__all__ = ["Together", "absence_facts", "absence_findings", "together"]

TOGETHER = 0.95
"""Share of the rows missing in either column that miss both, from which they are one story."""
MIN_TOGETHER = 10
"""Fewer rows may meet by chance."""
TOP_PATTERNS, TOP_PAIRS = 10, 20


@dataclass(frozen=True, slots=True)
class Together:
    """Two columns that are missing in the same rows.

    Attributes:
        left: one column.
        right: the other.
        rows: rows in which both are missing.
        share: of the rows in which either is; 1 is always together.
        expected: rows that would miss both if it were by chance.
    """

    left: str
    right: str
    rows: int
    share: float
    expected: float


def together(survey: Survey) -> list[Together]:
    """All pairs with a row that misses both, those most together first."""
    names = [column.name for column in surveyed_columns(survey.schema)]
    absent = survey.absent
    found = []
    for i, j in np.argwhere(np.triu(absent, k=1) > 0):
        rows, one, two = int(absent[i, j]), int(absent[i, i]), int(absent[j, j])
        expected = one * two / survey.n_rows
        found.append(Together(names[i], names[j], rows, rows / (one + two - rows), expected))
    return sorted(found, key=lambda pair: (-pair.share, -pair.rows))


def absence_facts(survey: Survey) -> dict[str, Any]:
    """The missingness pattern as JSON numbers: ``columns``, ``together``, ``patterns``."""
    names = [column.name for column in surveyed_columns(survey.schema)]
    counts = np.diag(survey.absent)
    order = [int(i) for i in np.argsort(-counts, kind="stable") if counts[i]]
    return {
        "rows": survey.n_rows,
        "columns": [{"name": names[i], "rows": int(counts[i])} for i in order],
        "together": [
            {
                "left": pair.left,
                "right": pair.right,
                "rows": pair.rows,
                "share": pair.share,
                "expected": pair.expected,
            }
            for pair in together(survey)[:TOP_PAIRS]
        ],
        "patterns": _patterns(survey, [names[i] for i in order]),
        "pattern_rows": survey.sample.n_rows,
    }


def _patterns(survey: Survey, names: list[str]) -> list[dict[str, Any]]:
    """The most frequent sets of missing columns among the sampled rows; none missing is one too."""
    table = survey.sample.table
    masks = [np.asarray(table.column(name).is_null().to_numpy(), dtype=np.uint8) for name in names]
    if not masks or not table.num_rows:
        return []
    packed = np.packbits(np.stack(masks, axis=1), axis=1)
    unique, counts = np.unique(packed, axis=0, return_counts=True)
    bits = np.unpackbits(unique, axis=1, count=len(names))
    ranked = np.argsort(-counts, kind="stable")[:TOP_PATTERNS]
    return [
        {
            "columns": [name for name, bit in zip(names, bits[i], strict=True) if bit],
            "rows": int(counts[i]),
        }
        for i in ranked
    ]


def absence_findings(survey: Survey) -> Iterator[Finding]:
    """Columns that are missing in the same rows: one cause, and one indicator for all."""
    for pair in together(survey):
        if pair.share < TOGETHER or pair.rows < MIN_TOGETHER or pair.rows < 2 * pair.expected:
            continue
        yield Finding(
            Level.NOTE,
            pair.right,
            Law.MISSING_TOGETHER,
            f"columns {pair.left!r} and {pair.right!r} are missing together in {pair.rows} rows "
            f"({pair.share:.1%} of those that miss either): they share a cause",
        )
