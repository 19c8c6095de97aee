"""What a request carries, with its secrets put in; and how to keep them out of what people read."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, quote_plus, unquote

import httpx

from tenfold.errors import DataError
from tenfold.project.secrets import (
    find_references,
    is_guarded_name,
    resolve_secrets,
    shown_url,
    split_user,
)
from tenfold.project.sources import HttpSource

__all__ = ["Resolved", "is_secret_header", "resolved", "shown_url"]

_SHORTEST_SECRET = 4
"""Shorter values are not hidden in messages: they would blot out half of every sentence."""
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_HEADER_VALUE = re.compile(r"[\x21-\x7e]([\t\x20-\x7e]*[\x21-\x7e])?")


@dataclass(frozen=True, slots=True)
class Resolved:
    """A source's request with values in the place of references; lives as long as the request.

    Attributes:
        url: without a user.
        params: of the query.
        headers: all of them.
        secret_headers: names, in lower case, of those that no other host may see.
        secrets: each value with the reference it came from.
    """

    url: httpx.URL = field(repr=False)
    params: dict[str, str] = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    secret_headers: frozenset[str]
    secrets: tuple[tuple[str, str], ...] = field(repr=False)

    def hide(self, text: str) -> str:
        """A text for people: references in the place of values, however they were written.

        >>> one = Resolved(httpx.URL("https://a"), {}, {}, frozenset(), (("s3 cret", "${env:K}"),))
        >>> one.hide("no such key: s3 cret (key=s3%20cret)")
        'no such key: ${env:K} (key=${env:K})'
        """
        for value, reference in self.secrets:
            for form in _spellings(value):
                text = text.replace(form, reference)
        return text

    def hide_cut(self, text: str) -> str:
        """As `hide`, for a text that ends anywhere, perhaps within a secret.

        >>> one = Resolved(httpx.URL("https://a"), {}, {}, frozenset(), (("s3cret", "${env:K}"),))
        >>> one.hide_cut("the key s3cret is not the key s3cr")
        'the key ${env:K} is not the ke'
        """
        longest = max((len(f) for value, _ in self.secrets for f in _spellings(value)), default=0)
        hidden = self.hide(text)  # whole ones first: a cut before would make parts of them
        return hidden[: max(0, len(hidden) - longest)]


def resolved(spec: HttpSource, environ: Mapping[str, str] | None = None) -> Resolved:
    """The request of a source, its references looked up now.

    Raises:
        ProjectError: a reference leads nowhere.
        DataError: the address cannot be read, or a header holds what a header cannot.
    """
    bare, *pair = split_user(spec.url)
    try:
        url = httpx.URL(resolve_secrets(bare, environ))
    except (httpx.InvalidURL, TypeError, ValueError):
        raise DataError(
            f"source {spec.name!r}: {shown_url(spec.url)} must be an address such as "
            "https://example.org/items; correct url"
        ) from None
    name, password = (resolve_secrets(unquote(part), environ) for part in pair)
    if url.userinfo:  # a whole address behind one reference
        name, password = name or url.username, password or url.password
        url = url.copy_with(userinfo=b"")
    headers = {"accept": "application/json", "accept-encoding": "gzip", "user-agent": "tenfold"}
    if name or password:
        headers["authorization"] = _basic(name, password)
    for key, value in spec.headers.items():
        headers[key.lower()] = resolve_secrets(value, environ)
    for key, value in headers.items():
        _check_header(spec, key, value)
    secret = {key.lower() for key, value in spec.headers.items() if is_secret_header(key, value)}
    return Resolved(
        url=url,
        params={key: resolve_secrets(value, environ) for key, value in spec.params.items()},
        headers=headers,
        secret_headers=frozenset(secret | {"authorization"}),
        secrets=_hidden(spec, headers, secret, environ),
    )


def _hidden(
    spec: HttpSource,
    headers: Mapping[str, str],
    secret_headers: set[str],
    environ: Mapping[str, str] | None,
) -> tuple[tuple[str, str], ...]:
    """What messages must not show, and what they show instead; what may hold another one first."""
    hidden = {headers[key]: f"(header {key})" for key in secret_headers}
    if "authorization" in headers:
        hidden[headers["authorization"].rpartition(" ")[2]] = "(header authorization)"
    for text in (spec.url, *spec.params.values(), *spec.headers.values()):
        hidden |= {resolve_secrets(found, environ): found for found in find_references(text)}
    longest_first = sorted(hidden.items(), key=lambda pair: -len(pair[0]))
    return tuple(pair for pair in longest_first if len(pair[0]) >= _SHORTEST_SECRET)


def _spellings(value: str) -> list[str]:
    """How an address, a form or JSON may write a value; the longest first."""
    in_json = json.dumps(value)[1:-1]
    forms = {value, quote(value, safe=""), quote(value), value.replace(" ", "+"), quote_plus(value)}
    forms |= {in_json, in_json.replace("/", "\\/"), json.dumps(value, ensure_ascii=False)[1:-1]}
    return sorted(forms, key=lambda form: (-len(form), form))


def _basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def is_secret_header(name: str, value: str) -> bool:
    """Whether a header is for the source's own host alone.

    >>> is_secret_header("x-tenant", "42"), is_secret_header("x-tenant", "${env:T}")
    (False, True)
    """
    return bool(find_references(value)) or is_guarded_name(name)


def _check_header(spec: HttpSource, name: str, value: str) -> None:
    if _HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value):
        return
    raise DataError(
        f"source {spec.name!r}: the header {name!r} must be one line of plain signs without blanks "
        "at its ends; correct it, or what its reference leads to"
    )
