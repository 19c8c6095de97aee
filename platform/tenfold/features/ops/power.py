"""The power transform of Yeo and Johnson: bends a skewed number until it looks normal."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from tenfold.features.codes import Codes
from tenfold.features.ops.numbers import Scale

__all__ = ["MAX_LAMBDA", "Power", "yeo_johnson"]

MAX_LAMBDA = 5.0
"""Beyond this the transform is a cliff: all but one end of the column becomes a constant."""

_STRAIGHT = 1e-12
"""In place of an exponent of 0, where the transform is a logarithm: equal to within a float64."""

_MAX_EXPONENT = 700.0
"""exp(700) is still a float64; what grows beyond it stays there."""


def yeo_johnson(values: Codes, lambdas: Codes | float) -> Codes:
    """The transform, written through ``log1p`` and ``expm1`` so that it is smooth at every lambda.

    Source: I.-K. Yeo, R. Johnson, "A new family of power transformations to improve normality or
    symmetry" (2000), equation 2.1.

    Args:
        values: float64 (n_rows, n_columns) or (n_values,), NaN stays.
        lambdas: one per column, or one.

    >>> yeo_johnson(np.array([0.0, np.e - 1.0, 3.0]), 0.0).round(6).tolist()
    [0.0, 1.0, 1.386294]
    >>> yeo_johnson(np.array([-2.0, 5.0]), 1.0).round(6).tolist()
    [-2.0, 5.0]
    """
    return _bent(values, *_exponents(lambdas))


def _exponents(lambdas: Codes | float) -> tuple[Codes, Codes]:
    """Of values from 0 on, and of those below."""
    above = np.array(lambdas, dtype=np.float64)
    return _straightened(above), _straightened(np.subtract(2.0, above))


def _straightened(exponents: Codes) -> Codes:
    return np.where(np.abs(exponents) < _STRAIGHT, _STRAIGHT, exponents)


def _bent(values: Codes, above: Codes, below: Codes) -> Codes:
    exponents = np.where(np.less(values, 0.0), below, above)
    bent = np.log1p(np.abs(values))
    np.multiply(bent, exponents, out=bent)
    np.minimum(bent, _MAX_EXPONENT, out=bent)
    bent = np.expm1(bent)
    np.divide(bent, exponents, out=bent)
    return np.copysign(bent, values)


@dataclass(frozen=True, eq=False)
class Power(Scale):
    """`yeo_johnson`, then `Scale`; imputed and cut before, in the column's unit.

    Attributes:
        lambdas: per column, within `MAX_LAMBDA`; 1 leaves the column as it is.

    >>> out = np.empty((2, 1), np.float32)
    >>> op = Power((0,), (3.0,), (1.0,), (2.0,), lambdas=(0.0,))
    >>> op.apply(np.array([[np.nan], [0.0]]), out)
    >>> [round(value, 4) for value in out.ravel().tolist()]
    [0.1931, -0.5]
    """

    kind: ClassVar[str] = "power"

    lambdas: tuple[float, ...] = ()

    def bend(self, values: Codes) -> Codes:
        """See `Scale.bend`."""
        return _bent(values, *self._exponents)

    def check(self, sizes: tuple[int, ...]) -> str | None:
        """See `Op.check`."""
        if len(self.lambdas) != len(self.columns):
            return "has one lambda per column"
        if not all(abs(value) <= MAX_LAMBDA for value in self.lambdas):
            return f"has lambdas from -{MAX_LAMBDA:g} to {MAX_LAMBDA:g}"
        return super().check(sizes)

    @cached_property
    def _exponents(self) -> tuple[Codes, Codes]:
        return _exponents(np.array(self.lambdas))
