"""The loss that harm is judged by: one number in [0, 1] per labelled row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["LossRule"]

ERROR_QUANTILE = 0.95
"""A usual large error of the reference; see `SCALE_FACTOR`."""

SCALE_FACTOR = 3.0
"""Errors beyond three usual large ones count as 1: one absurd label must not decide alone."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LossRule:
    """How a prediction and its label become a loss in [0, 1].

    Attributes:
        kind: ``"zero_one"`` (classes: wrong is 1), ``"absolute"`` (numbers: clipped |error|) or
            ``"pinball"`` (quantiles: errors weighed by their side, clipped).
        scale: of numbers, the (weighed) error that counts as 1, in units of the target.
        quantile: for ``"pinball"``, the share of rows below the answer.
    """

    kind: str
    scale: float = 1.0
    quantile: float = 0.5

    @classmethod
    def fit(
        cls,
        task: str,
        predicted: npt.ArrayLike,
        target: npt.ArrayLike,
        *,
        quantile: float | None = None,
    ) -> LossRule:
        """The rule for a task, its scale frozen from reference rows.

        Args:
            task: ``"binary"``, ``"multiclass"`` or ``"regression"``.
            predicted: ``(n_rows,)`` values answered for rows that the model was not fitted on.
            target: ``(n_rows,)`` their true values.
            quantile: of a regression that answers one; None for a mean.

        >>> LossRule.fit("regression", [1.0, 2.0], [1.5, 2.0]).scale
        1.5
        """
        if task != "regression":
            return cls("zero_one")
        kind, level = ("absolute", 0.5) if quantile is None else ("pinball", quantile)
        error = cls(kind, 1.0, level)._errors(predicted, target)
        large = float(np.quantile(error, ERROR_QUANTILE, method="higher")) if len(error) else 0.0
        return cls(kind, SCALE_FACTOR * large or 1.0, level)

    def _errors(self, predicted: npt.ArrayLike, target: npt.ArrayLike) -> Floats:
        """Of numbers, in units of the target."""
        off = np.asarray(target, float) - np.asarray(predicted, float)
        if self.kind == "pinball":
            return np.asarray(np.maximum(self.quantile * off, (self.quantile - 1.0) * off))
        return np.asarray(np.abs(off))

    def losses(self, predicted: npt.ArrayLike, target: npt.ArrayLike) -> Floats:
        """Losses of rows.

        Args:
            predicted: ``(n_rows,)`` classes or numbers.
            target: ``(n_rows,)`` of the same kind.

        Returns:
            float64 ``(n_rows,)`` in [0, 1].

        >>> LossRule("zero_one").losses(["a", "b"], ["a", "a"]).tolist()
        [0.0, 1.0]
        """
        if self.kind == "zero_one":
            wrong = np.asarray(predicted, dtype=str) != np.asarray(target, dtype=str)
            return np.atleast_1d(wrong).astype(np.float64)
        return np.asarray(np.clip(self._errors(predicted, target) / self.scale, 0.0, 1.0))

    def to_dict(self) -> dict[str, Any]:
        """The rule as JSON values."""
        body: dict[str, Any] = {"kind": self.kind, "scale": self.scale}
        return body | {"quantile": self.quantile} if self.kind == "pinball" else body

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> LossRule:
        """The inverse of `to_dict`."""
        quantile = float(value.get("quantile", 0.5))
        return cls(str(value["kind"]), float(value["scale"]), quantile)
