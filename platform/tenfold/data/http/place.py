"""A JSON API as a place to pull from: one stream, since each page says where the next one is."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from tenfold.canonical import sha256_hex
from tenfold.data.guard import check_url
from tenfold.data.http.client import Client
from tenfold.data.http.credentials import is_secret_header, resolved, shown_url
from tenfold.data.http.pages import Ask, Pager
from tenfold.data.http.records import Columns
from tenfold.data.http.world import World
from tenfold.data.pull import PullPlan
from tenfold.data.watermark import Mark
from tenfold.errors import DataError
from tenfold.project.secrets import holds_secret, holds_value, is_secret_name
from tenfold.project.sources import HttpSource

__all__ = ["HttpPlace", "HttpStream"]

_SAMPLE_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class HttpStream:
    """All pages of one pull; holds references to secrets, never secrets.

    Attributes:
        spec: the source.
        since: the watermark that the API is asked for, as it wrote it; None for all.
        world: time, chance, names and bounds.
    """

    spec: HttpSource = field(repr=False)
    since: str | None = None
    world: World = field(default_factory=World, repr=False)

    def batches(self) -> Generator[pa.Table, None, None]:
        """Text columns, a few MiB a table; see `tenfold.data.http.records` for the law.

        Raises:
            DataError: the API refuses, does not answer, or answers what is no table.
            ProjectError: a secret's reference leads nowhere.
        """
        spec, limits = self.spec, self.world.limits
        columns = Columns(most_columns=limits.columns)
        pager = Pager(spec.name, spec.pages, fixed=self._fixed(), most_pages=limits.pages)
        ask: Ask | None = pager.first()
        number = 0
        with Client(spec, self.world) as client:
            while ask is not None:
                number += 1
                page = client.page(ask, number=number)
                ask = pager.after(page)
                where = f"source {spec.name!r}, page {number}"
                yield from columns.tables(where, page.records, n_bytes=page.n_bytes)

    def _fixed(self) -> tuple[tuple[str, str], ...]:
        incremental = self.spec.incremental
        if self.since is None or incremental is None or incremental.parameter is None:
            return ()
        return ((incremental.parameter, self.since),)


@dataclass(frozen=True, slots=True)
class HttpPlace:
    """An API of the project file.

    Attributes:
        spec: the source.
        world: time, chance, names and bounds; other ones in tests.
    """

    spec: HttpSource = field(repr=False)
    world: World = field(default_factory=World, repr=False)

    @classmethod
    def of(cls, spec: HttpSource, *, folder: Path) -> HttpPlace:
        """The place that a source names; an address needs no folder."""
        return cls(spec)

    @property
    def name(self) -> str:
        """See `Pullable`."""
        return self.spec.name

    @property
    def watermark(self) -> str | None:
        """See `Pullable`."""
        return None if self.spec.incremental is None else self.spec.incremental.column

    def identity(self) -> dict[str, Any]:
        """Address, parameters and way of paging.

        Headers take part by their digest, and those with secrets not at all: a new key asks for
        the same rows. Nor does a secret that stands in the address or a parameter by value, which
        no project file may hold.
        """
        spec = self.spec
        plain = sorted(
            (name.lower(), value)
            for name, value in spec.headers.items()
            if not is_secret_header(name, value)
        )
        return {
            "type": spec.type,
            "url": shown_url(spec.url) if holds_secret(spec.url) else spec.url,
            "records": spec.records,
            "params": _shown_params(spec),
            "pages": None if spec.pages is None else spec.pages.model_dump(mode="json"),
            "incremental": None
            if spec.incremental is None
            else spec.incremental.model_dump(mode="json"),
            "headers": sha256_hex(repr(plain).encode()),
        }

    def plan(self, since: Mark | None) -> PullPlan:
        """One stream, over all pages or those from the watermark on.

        Nothing is asked yet: the stream's first request says what is wrong with the API.

        Raises:
            DataError: the address cannot be read.
            ProjectError: a secret's reference leads nowhere.
        """
        self._check()
        spec = self.spec
        asks = spec.incremental is not None and spec.incremental.parameter is not None
        text = since.text if since is not None and asks else None
        lineage = {
            "type": spec.type,
            "url": shown_url(spec.url),
            "params": _shown_params(spec),
            "since": None if since is None else since.text,
            "pulled_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        return PullPlan(({"since": text},), lineage)

    def streams(self, plan: PullPlan) -> Sequence[HttpStream]:
        """The one stream of a plan."""
        return [HttpStream(self.spec, stream["since"], self.world) for stream in plan.streams]

    def sample(self) -> pa.Table:
        """The first records of the first page that has some.

        Raises:
            DataError: as `HttpStream.batches`, or there is no record.
        """
        self._check()
        with closing(HttpStream(self.spec, None, self.world).batches()) as batches:
            for table in batches:
                return table.slice(0, _SAMPLE_ROWS)
        raise DataError(
            f"source {self.name!r}: {shown_url(self.spec.url)} must have at least one record, and "
            "has none; correct records, or params"
        )

    def size_hint(self) -> int:
        """Not known before all pages are read."""
        return 0

    def _check(self) -> None:
        try:
            check_url(resolved(self.spec).url)
        except DataError as error:
            told = str(error)
            begin = f"source {self.name!r}"
            raise DataError(told if told.startswith(begin) else f"{begin}: {told}") from None


def _shown_params(spec: HttpSource) -> dict[str, str]:
    return {
        name: "***" if is_secret_name(name) and holds_value(value) else value
        for name, value in spec.params.items()
    }
