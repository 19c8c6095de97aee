"""One value of a watermark, typed, as it travels in a plan and is bound to a statement."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from tenfold.data.sql.values import Kind
from tenfold.data.watermark import Mark

__all__ = ["Bound"]

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Bound:
    """One end of a window: a value with its kind, as text.

    >>> Bound("time", "2031-01-02 03:04:05").bind().value
    datetime.datetime(2031, 1, 2, 3, 4, 5)
    """

    kind: Kind
    text: str

    def value(self) -> Any:
        """The value.

        Raises:
            ValueError: it is none of its kind, or is not finite.
        """
        if self.kind == "integer":
            return int(self.text)
        if self.kind in ("float", "real", "decimal"):
            number = Decimal(self.text) if self.kind == "decimal" else float(self.text)
            if not math.isfinite(number):
                raise ValueError(self.text)
            return number
        if self.kind == "date":
            return dt.date.fromisoformat(self.text)
        if self.kind == "text":
            return self.text
        stamp = dt.datetime.fromisoformat(self.text)
        return stamp.astimezone(dt.UTC) if self.kind == "instant" else stamp

    def bind(self) -> sa.BindParameter[Any]:
        """The value for a statement."""
        kinds: dict[Kind, sa.types.TypeEngine[Any]] = {
            "integer": sa.BigInteger(),
            "float": sa.Double(),
            "real": sa.Double(),
            "decimal": sa.Numeric(),
            "date": sa.Date(),
            "text": sa.Text(),
            "time": sa.DateTime(),
            "instant": sa.DateTime(timezone=True),
        }
        return sa.bindparam(None, self.value(), type_=kinds[self.kind])

    @classmethod
    def seen(cls, kind: Kind, value: Any) -> Bound | None:
        """A bound of what the database gave; None if that has no order."""
        if kind != "any":
            text = repr(value) if isinstance(value, float) else str(value)
            return cls(kind, text)
        match value:
            case bool():
                return None
            case int():
                return cls("integer", str(value))
            case float():
                return cls("float", repr(value))
            case Decimal():
                return cls("decimal", str(value))
            case str():
                return cls("text", value)
            case dt.datetime():
                return cls("instant" if value.tzinfo else "time", value.isoformat())
            case dt.date():
                return cls("date", value.isoformat())
        return None

    @classmethod
    def below(cls, kind: Kind, since: Mark) -> Bound:
        """The lower end for a mark, not above any row that the mark's own value stands for."""
        value = since.value
        if kind == "integer":
            return cls(kind, str(math.floor(value)))  # type: ignore[arg-type]
        if kind in ("float", "real"):
            return cls(kind, repr(float(value)))
        if kind == "decimal":  # the mark is its float64, which may be rounded up
            return cls(kind, str(Decimal(math.nextafter(float(value), -math.inf))))
        if kind == "text":
            whole, dot, fraction = since.text.partition(".")
            if since.order == "time" and dot and fraction.isdigit():
                return cls(kind, f"{whole}.{fraction.rstrip('0')}".rstrip("."))  # sorts first
            return cls(kind, since.text)
        stamp = _EPOCH + dt.timedelta(microseconds=int(value))
        if kind == "date":
            return cls(kind, stamp.date().isoformat())
        return cls(kind, (stamp if kind == "instant" else stamp.replace(tzinfo=None)).isoformat())
