"""JSON out: what an answer looks like, whatever carries it. Rows in are `RowEncoder`'s matter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tenfold.inference.predictor import Prediction

__all__ = ["prediction_items"]


def prediction_items(
    prediction: Prediction, *, classes: Sequence[str], ids: Sequence[str]
) -> list[dict[str, Any]]:
    """The ``predictions`` of an answer.

    Args:
        prediction: of n rows.
        classes: names of its score columns; () for regression.
        ids: n prediction ids.

    >>> import numpy as np
    >>> answer = Prediction(np.array([[0.25, 0.75]]), ["yes"])
    >>> prediction_items(answer, classes=("no", "yes"), ids=["a1"])
    [{'id': 'a1', 'value': 'yes', 'probabilities': {'no': 0.25, 'yes': 0.75}}]
    """
    if not classes:
        pairs = zip(ids, prediction.values, strict=True)
        return [{"id": id_, "value": value} for id_, value in pairs]
    triples = zip(ids, prediction.values, prediction.scores.tolist(), strict=True)
    return [
        {"id": id_, "value": value, "probabilities": dict(zip(classes, row, strict=True))}
        for id_, value, row in triples
    ]
