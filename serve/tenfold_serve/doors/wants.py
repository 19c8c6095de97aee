"""What a caller asks for on top of the answer: one grammar for all doors.

``?with=warnings,interval&level=0.95``, or the headers ``X-Tenfold-With`` and ``X-Tenfold-Level``;
at the doors of the Open Inference Protocol also names of outputs and the parameter ``level``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import parse_qsl

from tenfold.errors import RequestError
from tenfold.features.readers import shown
from tenfold_serve.http import Request

__all__ = [
    "DEFAULT_LEVEL",
    "LEVEL_HEADER",
    "NOTHING",
    "WITH_HEADER",
    "WORDS",
    "Wants",
    "read_level",
    "wants_of",
]

WITH_HEADER: Final = b"x-tenfold-with"
LEVEL_HEADER: Final = b"x-tenfold-level"
WORDS: Final = ("warnings", "interval", "set", "explanation")
DEFAULT_LEVEL: Final = 0.9
_MAX_QUERY_BYTES: Final = 1000


@dataclass(frozen=True, slots=True)
class Wants:
    """What is asked for.

    Attributes:
        warnings: why an answer deserves less trust, see `cautions`.
        interval: where the number lies, at `level`.
        set: which classes it may be, at `level`.
        explanation: what each column adds.
        level: share of the rows whose truth shall be inside, .5 to .995.
    """

    warnings: bool = False
    interval: bool = False
    set: bool = False
    explanation: bool = False
    level: float = DEFAULT_LEVEL

    @property
    def more(self) -> bool:
        """Whether anything but warnings is asked for."""
        return self.interval or self.set or self.explanation

    def and_also(self, words: Iterable[str]) -> Wants:
        """The same with more; words that are none of `WORDS` mean nothing here.

        >>> Wants().and_also(["set", "value"]).set
        True
        """
        names = [word for word in words if word in WORDS]
        return replace(self, **dict.fromkeys(names, True)) if names else self


NOTHING: Final = Wants()


def wants_of(request: Request) -> Wants:
    """What the query and the headers of a request ask for.

    Raises:
        RequestError: something else is asked for, or the level is none.

    >>> wants_of(Request({}, None, b"with=warnings,set&level=0.8")).level
    0.8
    """
    headers = request.headers
    if not request.query and WITH_HEADER not in headers and LEVEL_HEADER not in headers:
        return NOTHING
    words = [headers.get(WITH_HEADER, b"").decode("latin-1")]
    levels = [headers[LEVEL_HEADER].decode("latin-1")] if LEVEL_HEADER in headers else []
    if len(request.query) > _MAX_QUERY_BYTES:
        raise RequestError(f"a query has at most {_MAX_QUERY_BYTES} bytes")
    try:
        asked = parse_qsl(request.query.decode("latin-1"), keep_blank_values=True)
    except ValueError as error:
        raise RequestError("the query must be name=value pairs") from error
    for name, value in asked:
        if name not in ("with", "level"):
            raise RequestError(f"the query takes ?with=…&level=…, and not {name[:40]!r}")
        (words if name == "with" else levels).append(value)
    names = {word.strip() for value in words for word in value.split(",")} - {""}
    strange = sorted(names - set(WORDS))
    if strange:
        raise RequestError(f"with= takes {', '.join(WORDS)}, and not {strange[0][:40]!r}")
    wants = NOTHING.and_also(names)
    return replace(wants, level=read_level(levels[-1])) if levels else wants


def read_level(value: object) -> float:
    """A level as a number.

    Raises:
        RequestError: it is none of .5 to .995.

    >>> read_level("0.95")
    0.95
    """
    try:
        level = float(value) if isinstance(value, (str, float, int)) else float("nan")
    except ValueError:
        level = float("nan")
    if not 0.5 <= level <= 0.995 or isinstance(value, bool):
        raise RequestError(f"level is a number from 0.5 to 0.995, not {shown(value)}")
    return level
