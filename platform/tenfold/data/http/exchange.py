"""One try of one request: guarded, timed, redirected by our own rules, and read up to a bound."""

from __future__ import annotations

import math
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from tenfold.data.guard import check_url, guarded_transport
from tenfold.data.http.body import check_content_type, read_body
from tenfold.data.http.credentials import Resolved
from tenfold.data.http.rate import TokenBucket
from tenfold.data.http.refusal import refusal
from tenfold.data.http.retry import Again, is_transient, retry_after_s
from tenfold.data.http.world import World
from tenfold.errors import DataError
from tenfold.project.sources import HttpSource

__all__ = ["Exchange", "Raw", "is_same_place"]

_REDIRECTS = (301, 302, 303, 307, 308)
_NO_CONTENT, _NOT_FOUND = 204, 404
_MOST_SAID_BYTES = 4096
"""Of a refusal: more than people are shown, so that a whole secret can be found and hidden."""
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Raw:
    """An answer that is JSON by its own word.

    Attributes:
        body: decoded; empty for 204, "no content", and for a page that may be missing and is.
        url: where it came from at last.
        link: the ``Link`` header, all of them in one.
    """

    body: bytes = field(repr=False)
    url: httpx.URL = field(repr=False)
    link: str = field(repr=False)


class Exchange:
    """Requests of one source over connections that are kept; for one thread.

    httpx's own client is left out: it logs whole addresses, and queries may hold secrets; it also
    decodes without a bound.

    Args:
        spec: the source.
        world: bounds and name servers.
    """

    def __init__(self, spec: HttpSource, world: World) -> None:
        self._spec = spec
        self._limits = world.limits
        self._rate = TokenBucket(spec.rate_per_s, clock=world.clock)
        self._until = math.inf
        self._transport = guarded_transport(
            allow_private=spec.allow_private,
            resolve=world.resolve,
            time_left=lambda: self._until - time.monotonic(),
            network=world.network,
        )

    def close(self) -> None:
        """Close the connections."""
        self._until = math.inf
        self._transport.close()

    def once(self, where: str, url: httpx.URL, request: Resolved, *, may_miss: bool = False) -> Raw:
        """Ask once, and follow redirects.

        Args:
            where: what messages begin with.
            url: the source's own or the next page's.
            request: headers, and what to hide in messages.
            may_miss: 404 is an empty page and no refusal.

        Raises:
            Again: a connection, the time or the status failed in a way that passes by itself.
            DataError: the answer is a refusal, or nothing that we can read.
        """
        try:
            return self._follow(where, url, request, may_miss=may_miss)
        except httpx.TimeoutException:
            raise Again(f"no whole answer within {self._spec.timeout:g} s") from None
        except httpx.TransportError as error:
            if (fault := _certificate(error)) is not None:
                raise DataError(
                    f"{where}: the server's certificate must be valid for its name, and is not "
                    f"({request.hide(fault)}); correct url, or name your own authority's file in "
                    "SSL_CERT_FILE"
                ) from None
            reason = request.hide(str(error)) or type(error).__name__
            raise Again(f"the connection failed ({reason})") from None
        except DataError as error:  # of the guard, which knows no source
            told = request.hide(str(error))
            raise DataError(told if told.startswith(where) else f"{where}: {told}") from None

    def _follow(self, where: str, url: httpx.URL, request: Resolved, *, may_miss: bool) -> Raw:
        keeps = is_same_place(request.url, url)
        seen = set()
        for _ in range(self._limits.redirects + 1):
            headers = {
                key: value
                for key, value in request.headers.items()
                if keeps or key not in request.secret_headers
            }
            response = self._send(url, headers)
            try:
                if may_miss and response.status_code == _NOT_FOUND:
                    return Raw(b"", url, "")
                if response.status_code not in _REDIRECTS or "location" not in response.headers:
                    return self._read(where, response, url, request, keeps_secrets=keeps)
                target = _target(where, url, response.headers["location"])
            finally:
                response.close()
            keeps = keeps and is_same_place(url, target)
            seen.add(url)
            if target in seen:
                break
            url = target
        raise DataError(
            f"{where}: an answer must come after at most {self._limits.redirects} redirects, and "
            "these go on or round in a circle; write the address they should lead to as url"
        )

    def _send(self, url: httpx.URL, headers: Mapping[str, str]) -> httpx.Response:
        self._rate.take()
        timeout = self._spec.timeout
        self._until = time.monotonic() + timeout
        waits = dict.fromkeys(("connect", "read", "write", "pool"), timeout)
        return self._transport.handle_request(
            httpx.Request("GET", url, headers=dict(headers), extensions={"timeout": waits})
        )

    def _read(
        self,
        where: str,
        response: httpx.Response,
        url: httpx.URL,
        request: Resolved,
        *,
        keeps_secrets: bool,
    ) -> Raw:
        status, headers = response.status_code, response.headers
        link = ", ".join(headers.get_list("link"))
        if status == _NO_CONTENT:
            return Raw(b"", url, link)
        if is_transient(status):
            wait_s = retry_after_s(headers.get("retry-after"), headers.get("date"))
            raise Again(f"the status was {status}", wait_s=wait_s)
        if not response.is_success:
            said = _beginning(response, request)
            text = refusal(status, said, self._spec, keeps_secrets=keeps_secrets)
            raise DataError(f"{where}: {text}")
        check_content_type(where, headers.get("content-type"))
        body = read_body(
            where,
            response.iter_raw(),
            encoding=headers.get("content-encoding"),
            most_bytes=self._limits.page_bytes,
        )
        if not body.strip():
            # Only 204 says that there is nothing; a proxy that lost the page says nothing at all.
            raise Again(f"the status was {status} and the answer had no body")
        return Raw(body, url, link)


def is_same_place(one: httpx.URL, other: httpx.URL) -> bool:
    """Whether secrets that were for one address may go to the other.

    The same scheme, host and port; or the same host when plain HTTP turns into HTTPS.

    >>> is_same_place(httpx.URL("http://a/x"), httpx.URL("https://a/y"))
    True
    >>> is_same_place(httpx.URL("https://a"), httpx.URL("https://a:8443"))
    False
    """
    if one.host != other.host:
        return False
    ports = [url.port or _PORTS.get(url.scheme) for url in (one, other)]
    if one.scheme == other.scheme:
        return ports[0] == ports[1]
    return (one.scheme, other.scheme) == ("http", "https") and ports == [80, 443]


def _target(where: str, url: httpx.URL, location: str) -> httpx.URL:
    try:
        target = url.join(location).copy_with(fragment=None, userinfo=b"")
    except (httpx.InvalidURL, ValueError):
        raise DataError(
            f"{where}: a redirect must lead to an address, and this one cannot be read; "
            "write the address it should lead to as url"
        ) from None
    check_url(target)
    if url.scheme == "https" and target.scheme == "http":
        raise DataError(
            f"{where}: a redirect must not lead from https to http, where everybody can read "
            "along; write the address it should lead to as url"
        )
    return target


def _beginning(response: httpx.Response, request: Resolved) -> str:
    """What a refusal says of itself, as far as it is plain; without secrets."""
    data = b""
    if response.headers.get("content-encoding") is None:
        for chunk in response.iter_raw():
            data += chunk
            if len(data) >= _MOST_SAID_BYTES:
                return request.hide_cut(data[:_MOST_SAID_BYTES].decode("utf-8", "replace"))
    return request.hide(data.decode("utf-8", "replace").strip())


def _certificate(error: BaseException | None) -> str | None:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message
        error = error.__cause__ or (error.args[0] if _wraps(error) else None)
    return None


def _wraps(error: BaseException) -> bool:
    return bool(error.args) and isinstance(error.args[0], BaseException)
