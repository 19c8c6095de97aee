"""Warnings: what in a row the model has not met, so that its answer deserves less trust.

They are made from the codes, as the drift monitor's counts are, so every door gives the same ones.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tenfold.features.codes import UNSEEN
from tenfold.schema import Column, Kind, Schema

__all__ = ["Caution", "cautions"]

_RANGED = (Kind.NUMBER, Kind.INTEGER, Kind.DATETIME)


class Caution(NamedTuple):
    """One warning: ``reason`` is ``"unseen category"``, ``"below the training range"`` or
    ``"above the training range"``."""

    column: str
    reason: str

    def to_dict(self) -> dict[str, str]:
        """The warning as JSON values."""
        return {"column": self.column, "reason": self.reason}


def cautions(schema: Schema, codes: npt.NDArray[np.float64]) -> list[list[Caution]]:
    """The warnings of each row, in the order of the columns.

    Args:
        schema: of the model.
        codes: float64 ``(n_rows, code_width)``.

    >>> sex = Column("sex", Kind.CATEGORY, domain=("f", "m"))
    >>> schema = Schema((Column("age", Kind.INTEGER, minimum=17.0, maximum=90.0), sex))
    >>> cautions(schema, np.array([[95.0, -1.0], [np.nan, 0.0]]))
    [[Caution(column='age', reason='above the training range'),
      Caution(column='sex', reason='unseen category')], []]
    """
    told: list[list[Caution]] = [[] for _ in codes]
    for place, column in enumerate(schema.features):
        for reason, hit in _hits(column, codes[:, place]):
            caution = Caution(column.name, reason)
            for row in np.flatnonzero(hit).tolist():
                told[row].append(caution)
    return told


def _hits(column: Column, codes: npt.NDArray[np.float64]) -> list[tuple[str, Any]]:
    if column.domain is not None and column.kind not in _RANGED:
        return [("unseen category", codes == UNSEEN)]
    if column.kind not in _RANGED:
        return []
    hits: list[tuple[str, Any]] = []
    if column.minimum is not None:
        hits.append(("below the training range", codes < column.minimum))
    if column.maximum is not None:
        hits.append(("above the training range", codes > column.maximum))
    return hits
