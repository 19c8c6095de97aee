"""Texts: hits per place, weighted by how rare the place is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from tenfold.features.codes import Codes
from tenfold.features.ops.base import Features, Op

__all__ = ["Tfidf"]


@dataclass(frozen=True, eq=False)
class Tfidf(Op):
    """Counts of a text divided by their length as a vector, times a fitted weight per place.

    The sum of squares is one of whole numbers and so exact in any order: a row gets the same bits
    alone and in a batch.

    Attributes:
        columns: per text, the place of its first count among the codes; the others follow.
        weights: per text, one per count.

    >>> out = np.empty((2, 3), np.float32)
    >>> op = Tfidf((0,), ((1.0, 1.0, 2.0),))
    >>> op.apply(np.array([[3.0, 0.0, 4.0], [0.0, 0.0, 0.0]]), out)
    >>> out.round(3).tolist() == np.array([[0.6, 0, 1.6], [0, 0, 0]], np.float32).tolist()
    True
    """

    kind: ClassVar[str] = "tfidf"

    weights: tuple[tuple[float, ...], ...]

    @property
    def n_outputs(self) -> int:
        """One per count."""
        return sum(len(weights) for weights in self.weights)

    def apply(self, codes: Codes, out: Features) -> None:
        """See `Op.apply`."""
        places, weights = self._arrays
        counts = codes.take(places, axis=1).reshape(len(codes), *weights.shape)
        squares = np.multiply(counts, counts).sum(axis=2, keepdims=True)
        np.divide(counts, np.sqrt(np.maximum(squares, 1.0)), out=counts)
        np.multiply(counts, weights, out=counts)
        out[...] = counts.reshape(len(codes), self.n_outputs)

    def inputs(self, output: int) -> tuple[int, ...]:
        """See `Op.inputs`; here the place of the text's count."""
        width = len(self.weights[0])
        return (self.columns[output // width] + output % width,)

    def check(self, sizes: tuple[int, ...]) -> str | None:
        """See `Op.check`."""
        widths = {len(weights) for weights in self.weights}
        if len(self.weights) != len(self.columns) or len(widths) != 1 or not min(widths):
            return "has as many weights per column, and a column"
        if max(self.columns) + min(widths) > len(sizes):
            return f"reads counts below {len(sizes)}"
        if not all(0.0 <= weight < np.inf for weights in self.weights for weight in weights):
            return "has weights from 0"
        return None

    @cached_property
    def _arrays(self) -> tuple[Any, ...]:
        weights = np.array(self.weights)
        places = np.array(self.columns, dtype=np.intp)[:, None] + np.arange(weights.shape[1])
        return places.ravel(), weights
