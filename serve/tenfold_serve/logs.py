"""Logs of a replica: one JSON object a line, without values of features and without keys.

What a client sends never reaches a line but its request id (validated), the route (ours) and
numbers. Of an exception the line has its type and where it happened, not its message, since
messages quote what could not be read.
"""

from __future__ import annotations

import logging
import time
import traceback
from datetime import UTC, datetime
from typing import Any, Final

import orjson

__all__ = ["JsonFormatter", "RequestLog", "log_as_json"]

_FRAMES: Final = 12
_LINES_PER_S: Final = 10.0
"""Refused requests told in a second; a flood of them must not become a flood of lines."""
_FIELDS: Final = ("request_id", "route", "status", "law", "ms", "untold", "fault")


class JsonFormatter(logging.Formatter):
    """One record as one line of JSON; control characters of any text are escaped."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        for name in _FIELDS:
            value = getattr(record, name, None)
            if value is not None:
                line[name] = value
        if record.exc_info and record.exc_info[0] is not None:
            frames = traceback.extract_tb(record.exc_info[2])[-_FRAMES:]
            line["fault"] = record.exc_info[0].__name__
            line["frames"] = [f"{f.name} ({f.filename}:{f.lineno})" for f in frames]
        return orjson.dumps(line, default=repr).decode()


def log_as_json(name: str = "tenfold.serve") -> None:
    """Let a logger write JSON lines to standard error, once."""
    logger = logging.getLogger(name)
    if any(isinstance(handler.formatter, JsonFormatter) for handler in logger.handlers):
        return
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


class RequestLog:
    """Tells of requests that were refused or failed; answered ones are in the metrics.

    Args:
        logger: where to.
        lines_per_s: refusals told in a second; the others are counted in the next line.
    """

    def __init__(
        self, logger: logging.Logger | None = None, *, lines_per_s: float = _LINES_PER_S
    ) -> None:
        self._logger = logger or logging.getLogger("tenfold.serve")
        self._rate = lines_per_s
        self._credit = lines_per_s
        self._seen = time.monotonic()
        self._untold = 0

    def refused(
        self, route: str, status: int, *, law: str, request_id: bytes, seconds: float
    ) -> None:
        """A request was answered with an error that is its sender's."""
        now = time.monotonic()
        self._credit = min(self._rate, self._credit + (now - self._seen) * self._rate)
        self._seen = now
        if self._credit < 1.0:
            self._untold += 1
            return
        self._credit -= 1.0
        fields = _fields(route, status, law, request_id, seconds) | {"untold": self._untold or None}
        self._untold = 0
        self._logger.info("refused", extra=fields)

    def failed(
        self, route: str, status: int, error: BaseException, *, request_id: bytes, seconds: float
    ) -> None:
        """A request could not be answered, and it is our fault."""
        fields = _fields(route, status, "internal", request_id, seconds)
        self._logger.error("failed", extra=fields, exc_info=error)


def _fields(route: str, status: int, law: str, request_id: bytes, seconds: float) -> dict[str, Any]:
    return {
        "route": route,
        "status": status,
        "law": law,
        "request_id": request_id.decode("latin-1"),
        "ms": round(seconds * 1000, 3),
    }
