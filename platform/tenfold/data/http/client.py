"""The API's pages, each asked for patiently."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import httpx
import numpy as np

from tenfold.data.http.credentials import Resolved, resolved, shown_url
from tenfold.data.http.document import parse_json
from tenfold.data.http.exchange import Exchange, Raw, is_same_place
from tenfold.data.http.pages import Ask, Page
from tenfold.data.http.records import records_of
from tenfold.data.http.retry import GaveUp, patiently
from tenfold.data.http.world import World
from tenfold.errors import DataError
from tenfold.project.sources import HttpSource

__all__ = ["Client"]


class Client:
    """Reads pages of one source; a context manager, for one thread.

    Secrets are looked up for each page anew and live as long as its requests.

    Args:
        spec: the source.
        world: time, chance, names and bounds.
    """

    def __init__(self, spec: HttpSource, world: World) -> None:
        self._spec = spec
        self._world = world
        self._chance = np.random.default_rng(world.seed)
        self._exchange = Exchange(spec, world)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._exchange.close()

    def page(self, ask: Ask, *, number: int) -> Page:
        """One page.

        Args:
            ask: which one.
            number: its place in the pull, from 1, for messages.

        Raises:
            DataError: the API refuses, is not reached in the tries that are allowed, or answers
                what is no page; or a link leads to another host.
            ProjectError: a secret's reference leads nowhere.
        """
        spec, limits = self._spec, self._world.limits
        request = resolved(spec)
        url = self._address(ask, request)
        where = f"source {spec.name!r}, page {number}"
        may_miss = number > 1 and spec.pages is not None and spec.pages.end == "missing"

        def one_try() -> Raw:
            return self._exchange.once(where, url, request, may_miss=may_miss)

        try:
            raw = patiently(
                one_try,
                retries=spec.retries,
                clock=self._world.clock,
                chance=self._chance,
                most_wait_s=limits.wait_s,
            )
        except GaveUp as error:
            raise DataError(
                f"{where}: {shown_url(spec.url)} must answer in one of {spec.retries + 1} tries, "
                f"and did not: in the last one {error}; check the address and the API's state, or "
                "raise retries, timeout"
            ) from None
        if not raw.body:
            return Page(None, [], raw.url, raw.link)
        document = parse_json(where, raw.body, most_depth=limits.depth)
        records = records_of(where, document, spec.records)
        return Page(document, records, raw.url, raw.link, len(raw.body))

    def _address(self, ask: Ask, request: Resolved) -> httpx.URL:
        if ask.link is None:
            return request.url.copy_merge_params({**request.params, **dict(ask.params)})
        if not is_same_place(request.url, ask.link):
            return ask.link
        # Servers repeat most parameters in their links, and often leave the key out.
        own = {**request.params, **dict(ask.params)}
        lacking = {key: value for key, value in own.items() if key not in ask.link.params}
        return ask.link.copy_merge_params(lacking)
