"""From one page to the next: by number, by cursor, by link; and when that goes in a circle."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from tenfold.data.http.document import at_path, kind_word
from tenfold.errors import DataError
from tenfold.project.sources import Pages

__all__ = ["Ask", "Page", "Pager", "next_link"]

_LINK = re.compile(r"<([^<>]*)>([^<]*)")
_REL = re.compile(r";\s*rel\s*=\s*(?:\"([^\"]*)\"|([^\s\",;]+))", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Ask:
    """What to ask for.

    Attributes:
        params: of the query, in addition to the source's own.
        link: address of the page, where a link led to it; else the source's own.
    """

    params: tuple[tuple[str, str], ...] = ()
    link: httpx.URL | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Page:
    """What came: the whole answer, its records, and where it came from."""

    document: Any
    records: list[Any]
    url: httpx.URL = field(repr=False)
    link: str = field(default="", repr=False)
    n_bytes: int = 0


class Pager:
    """Says what to ask for next; holds one pull's memory of where it was. For one thread.

    Args:
        name: of the source.
        pages: how the API pages; None for a single answer.
        fixed: parameters of every page, such as the watermark's.
        most_pages: more are refused.
    """

    def __init__(
        self,
        name: str,
        pages: Pages | None,
        *,
        fixed: tuple[tuple[str, str], ...] = (),
        most_pages: int,
    ) -> None:
        self._name = name
        self._pages = pages
        self._fixed = fixed
        if pages is not None and pages.size is not None and pages.size_parameter is not None:
            self._fixed += ((pages.size_parameter, str(pages.size)),)
        self._most = most_pages
        self._n_pages = 0
        self._been: set[bytes] = set()
        self._last = b""

    def first(self) -> Ask:
        """What to ask for at the start."""
        if self._pages is None or self._pages.by != "number":
            return Ask(self._fixed)
        return self._numbered(self._pages)

    def after(self, page: Page) -> Ask | None:
        """What to ask for after a page, or None at the end.

        Raises:
            DataError: the page repeats the one before, the way leads back, or it is too long.
        """
        self._n_pages += 1
        self._check_repeat(page)
        if self._pages is None:
            return None
        following = _STYLES[self._pages.by](self, self._pages, page)
        if following is not None and self._n_pages >= self._most:
            raise DataError(
                f"source {self._name!r}: a pull may have at most {self._most:,} pages, and this "
                "API has more; ask for more records on a page (pages.size), or for fewer (params)"
            )
        return following

    def _by_number(self, pages: Pages, page: Page) -> Ask | None:
        return self._numbered(pages) if page.records else None

    def _by_cursor(self, pages: Pages, page: Page) -> Ask | None:
        found, cursor = at_path(page.document, pages.cursor or "")
        if not found or cursor is None or cursor is False or cursor == "":
            return None
        if not isinstance(cursor, str):
            raise DataError(
                f"source {self._name!r}, page {self._n_pages}: the cursor {pages.cursor!r} must be "
                f"a text or a number, and is {kind_word(cursor)}; correct pages.cursor"
            )
        self._remember("cursor", str(cursor))
        return Ask((*self._fixed, (pages.parameter or "cursor", str(cursor))))

    def _by_link(self, pages: Pages, page: Page) -> Ask | None:
        target = next_link(page.link)
        if target is None:
            return None
        try:
            link = page.url.join(target).copy_with(fragment=None, userinfo=b"")
        except (httpx.InvalidURL, ValueError):
            raise DataError(
                f"source {self._name!r}, page {self._n_pages}: the Link header must name an "
                "address, and this one cannot be read; tell who runs the API"
            ) from None
        if (page.url.scheme, link.scheme, link.port) == ("https", "http", None):
            link = link.copy_with(scheme="https")  # servers behind a proxy know no better
        self._remember("link", str(link))
        return Ask(self._fixed, link)

    def _numbered(self, pages: Pages) -> Ask:
        number = str(pages.start + self._n_pages)
        return Ask((*self._fixed, (pages.parameter or "page", number)))

    def _remember(self, what: str, where_to: str) -> None:
        mark = hashlib.blake2b(where_to.encode("utf-8", "replace"), digest_size=16).digest()
        if mark in self._been:
            raise DataError(
                f"source {self._name!r}, page {self._n_pages}: every {what} must lead on, and this "
                "one leads back to a page that was read; correct pages, or tell who runs the API"
            )
        self._been.add(mark)

    def _check_repeat(self, page: Page) -> None:
        if not page.records:
            self._last = b""
            return
        digest = hashlib.blake2b(json.dumps(page.records).encode()).digest()
        if digest == self._last:
            raise DataError(
                f"source {self._name!r}, page {self._n_pages}: a page must bring new records, and "
                f"this one repeats the {len(page.records)} of the page before; does the API know "
                "the parameter that pages names? correct pages"
            )
        self._last = digest


_STYLES: dict[str, Callable[[Pager, Pages, Page], Ask | None]] = {
    "number": Pager._by_number,
    "cursor": Pager._by_cursor,
    "link": Pager._by_link,
}


def next_link(header: str) -> str | None:
    """The target with ``rel="next"`` of a ``Link`` header (RFC 8288), perhaps relative.

    >>> next_link('</items?page=1>; rel="first", </items?page=3>; rel="next last"')
    '/items?page=3'
    >>> next_link("") is None
    True
    """
    for target, rest in _LINK.findall(header):
        words = ["".join(found) for found in _REL.findall(rest)]
        if words and "next" in words[0].lower().split():  # only the first one counts
            return str(target).strip()
    return None
