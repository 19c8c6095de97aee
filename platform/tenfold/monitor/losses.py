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
        kind: ``"zero_one"`` (classes: wrong is 1) or ``"absolute"`` (numbers: clipped |error|).
        scale: for ``"absolute"``, the |error| that counts as 1, in units of the target.
    """

    kind: str
    scale: float = 1.0

    @classmethod
    def fit(cls, task: str, predicted: npt.ArrayLike, target: npt.ArrayLike) -> LossRule:
        """The rule for a task, its scale frozen from reference rows.

        Args:
            task: ``"binary"``, ``"multiclass"`` or ``"regression"``.
            predicted: ``(n_rows,)`` values answered for rows that the model was not fitted on.
            target: ``(n_rows,)`` their true values.

        >>> LossRule.fit("regression", [1.0, 2.0], [1.5, 2.0]).scale
        1.5
        """
        if task != "regression":
            return cls("zero_one")
        error = np.abs(np.asarray(predicted, float) - np.asarray(target, float))
        large = float(np.quantile(error, ERROR_QUANTILE, method="higher")) if len(error) else 0.0
        return cls("absolute", SCALE_FACTOR * large or 1.0)

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
        error = np.abs(np.asarray(predicted, float) - np.asarray(target, float))
        return np.asarray(np.clip(error / self.scale, 0.0, 1.0))

    def to_dict(self) -> dict[str, Any]:
        """The rule as JSON values."""
        return {"kind": self.kind, "scale": self.scale}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> LossRule:
        """The inverse of `to_dict`."""
        return cls(str(value["kind"]), float(value["scale"]))
