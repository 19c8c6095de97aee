"""What every operation is: named columns in, a block of features out, numbers in JSON.

An op reads some columns of the codes (n_rows, n_columns) and fills its own block of the matrix. It
is a frozen value: any thread may call `apply` at any time, and it never changes its input. The same
`apply` serves one row and a million, through NumPy's elementwise functions only, so a row gets the
same bits alone and in a batch.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from tenfold.errors import ArtifactError
from tenfold.features.codes import Codes

__all__ = ["MAX_FLOAT32", "Features", "Op"]

Features = npt.NDArray[np.float32]

MAX_FLOAT32 = float(np.finfo(np.float32).max)
"""Larger values are brought down to this: XGBoost refuses an infinity."""


@dataclass(frozen=True, eq=False)
class Op(ABC):
    """An operation over columns of codes.

    Subclasses name themselves in ``kind`` and hold tuples of plain numbers only.

    Attributes:
        columns: places of the columns it reads, each in [0, n_columns).
    """

    kind: ClassVar[str]

    columns: tuple[int, ...]

    @property
    @abstractmethod
    def n_outputs(self) -> int:
        """Features it makes."""

    @abstractmethod
    def apply(self, codes: Codes, out: Features) -> None:
        """Fill a block of features.

        Args:
            codes: float64 (n_rows, n_columns); read only.
            out: float32 (n_rows, n_outputs), a view into the matrix; every cell is written.
        """

    @abstractmethod
    def check(self, sizes: tuple[int, ...]) -> str | None:
        """What is wrong with the fitted numbers, or None.

        Args:
            sizes: categories in the domain of each column of the codes; 0 for other kinds.
        """

    def inputs(self, output: int) -> tuple[int, ...]:
        """Places of the columns that one output is made of; here its own, one an output."""
        return (self.columns[output],)

    @property
    def slots_of_outputs(self) -> tuple[int, ...]:
        """Per output, how many slots of categories its whole numbers 0, 1, ... name; 0 where it is
        a number like any other."""
        return (0,) * self.n_outputs

    def to_dict(self) -> dict[str, Any]:
        """JSON values; NaN is null, and a field that may be empty and is so is left out."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        optional = _optional(type(self))
        kept = {name: value for name, value in values.items() if value or name not in optional}
        return {"op": self.kind, **{name: _plain(value) for name, value in kept.items()}}

    @classmethod
    def from_dict(cls, value: dict[str, Any], *, sizes: tuple[int, ...]) -> Self:
        """The inverse of `to_dict`, for JSON that nobody should trust.

        Args:
            value: what `to_dict` gave.
            sizes: categories in the domain of each column of the codes; 0 for other kinds.

        Raises:
            ArtifactError: a field is missing, unknown, of a wrong type or out of range.
        """
        wanted = {f.name: _READERS[str(f.type)] for f in fields(cls)}
        given = {name: read for name, read in wanted.items() if name in value}
        if not value.keys() <= {"op", *wanted} or not wanted.keys() - given <= _optional(cls):
            raise _broken(cls.kind, f"has the fields {sorted(wanted)}, got {sorted(value)}")
        try:
            op = cls(**{name: read(value[name]) for name, read in given.items()})
        except (TypeError, ValueError) as error:
            raise _broken(cls.kind, f"holds numbers: {error}") from error
        if not all(0 <= column < len(sizes) for column in op.columns):
            raise _broken(cls.kind, f"reads columns below {len(sizes)}, got {op.columns}")
        fault = op.check(sizes)
        if fault is not None:
            raise _broken(cls.kind, fault)
        return op

    @property
    def places(self) -> npt.NDArray[np.intp]:
        """``columns`` as an index array."""
        return np.array(self.columns, dtype=np.intp)


def _broken(kind: str, fault: str) -> ArtifactError:
    return ArtifactError(f"preprocess.json: op {kind!r} {fault}; publish the model again")


def _optional(kind: type[Op]) -> set[str]:
    """Fields that came after the first format: empty unless they are used."""
    return {f.name for f in fields(kind) if f.default == ()}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _int(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r} is not a whole number")
    return value


def _float(value: object) -> float:
    if value is None:
        return math.nan
    if not isinstance(value, (int, float)) or isinstance(value, bool) or math.isinf(value):
        raise TypeError(f"{value!r} is not a finite number or null")
    return float(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


def _many(read: Callable[[object], Any]) -> Callable[[object], tuple[Any, ...]]:
    def read_all(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise TypeError(f"{type(value).__name__} is not a list")
        return tuple(read(item) for item in value)

    return read_all


_READERS: dict[str, Callable[[object], Any]] = {
    # by the annotation of the field: the closed list of what an op may hold
    "int": _int,
    "float | None": lambda value: None if value is None else _float(value),
    "tuple[int, ...]": _many(_int),
    "tuple[str, ...]": _many(_text),
    "tuple[float, ...]": _many(_float),
    "tuple[tuple[int, ...], ...]": _many(_many(_int)),
    "tuple[tuple[float, ...], ...]": _many(_many(_float)),
}
