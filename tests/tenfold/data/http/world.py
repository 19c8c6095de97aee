"""Fakes with behavior for clients of APIs: a clock that never sleeps, and sources of a server."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tenfold.data.http import HttpPlace, World
from tenfold.project.sources import HttpSource
from tests.httpserver import Call, Reply


@dataclass
class FakeClock:
    """Time that passes by sleeping alone."""

    time: float = 0.0
    sleeps: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.sleeps.append(seconds)
        self.time += seconds


def source(url: str, **fields: Any) -> HttpSource:
    """A source on this machine, named ``items``."""
    return HttpSource(
        **{"type": "http", "url": url, "name": "items", "allow_private": True} | fields
    )


def place(url: str, *, clock: FakeClock | None = None, **fields: Any) -> HttpPlace:
    """A place whose waits cost no time."""
    return HttpPlace(source(url, **fields), World(clock=clock or FakeClock(), seed=7))


def rows(made: HttpPlace) -> list[dict[str, Any]]:
    """All rows of a pull, columns that are missing left out."""
    (stream,) = made.streams(made.plan(None))
    return [
        {key: value for key, value in row.items() if value is not None}
        for table in stream.batches()
        for row in table.to_pylist()
    ]


def by_number(records: list[Any], *, size: int) -> Any:
    """Answers of an API that pages by number from 1."""

    def respond(call: Call) -> Reply:
        start = (int(call.query.get("page", "1")) - 1) * size
        return Reply(records[start : start + size])

    return respond


def by_cursor(records: list[Any], *, size: int) -> Any:
    """Answers of an API that names the next cursor."""

    def respond(call: Call) -> Reply:
        start = int(call.query.get("cursor", "0"))
        after = start + size
        more = str(after) if after < len(records) else None
        return Reply({"data": {"items": records[start:after]}, "next": {"cursor": more}})

    return respond


def by_link(records: list[Any], *, size: int) -> Any:
    """Answers of an API that links to the next page, relative to its own address."""

    def respond(call: Call) -> Reply:
        start = int(call.query.get("start", "0"))
        after = start + size
        link = f'<?start={after}>; rel="next", <?start=0>; rel="first"'
        return Reply(records[start:after], headers={"link": link if after < len(records) else ""})

    return respond


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()
