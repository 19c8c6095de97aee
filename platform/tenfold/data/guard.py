"""The guard of addresses: what a project file names may not reach what only this machine reaches.

A transport for httpx that resolves a host once, refuses what is not public, and connects to the
very address that it checked: so a name that answers otherwise the second time (DNS rebinding), a
redirect, or a number written as ``2130706433`` gains nothing. TLS is checked against the host's
name, as always. No proxy of the environment is used: it would resolve names out of sight.
"""

from __future__ import annotations

import ipaddress
import logging
import math
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx

from tenfold.errors import DataError

__all__ = ["Resolver", "TimeLeft", "check_url", "guarded_transport", "is_public", "resolve_host"]

Resolver = Callable[[str, int], Sequence[str]]
"""From host and port to IP addresses, best first. Raises OSError."""

TimeLeft = Callable[[], float]
"""Seconds until a request must be over; asked before each wait for the network."""

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_MAPPED = ipaddress.ip_network("::ffff:0:0/96")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_SIX_TO_FOUR = ipaddress.ip_network("2002::/16")
_PUBLIC_V6 = ipaddress.ip_network("2000::/3")
_NEVER = tuple(
    ipaddress.ip_network(text)
    for text in (
        "192.0.0.0/24",  # protocol assignments; one cloud keeps its metadata there
        "192.88.99.0/24",  # relays of 6to4
        "168.63.129.16/32",  # a cloud's own services at an address that looks public
        "3fff::/20",  # documentation
    )
)
"""What Python's tables of this or an older release call global, and is not for us."""


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet.

    An IPv4 address inside of an IPv6 one (mapped, NAT64, 6to4) counts as itself.

    Args:
        address: as the resolver gives it, perhaps with a scope (``fe80::1%eth0``).

    Raises:
        ValueError: it is no IP address.

    >>> [is_public(a) for a in ("93.184.216.34", "127.0.0.1", "::ffff:10.0.0.1", "169.254.169.254")]
    [True, False, False, False]
    """
    found = _unwrapped(ipaddress.ip_address(address))
    if isinstance(found, ipaddress.IPv6Address) and found not in _PUBLIC_V6:
        return False
    if found.is_multicast or found.is_reserved or not found.is_global:
        return False
    return not any(found in network for network in _NEVER if network.version == found.version)


def check_url(url: httpx.URL) -> None:
    """Refuse an address that is not HTTP.

    Raises:
        DataError: another scheme (``file``, ``gopher``, …), no host, or no port there is.

    >>> check_url(httpx.URL("https://example.org/items"))
    """
    if url.scheme not in ("http", "https"):
        raise DataError(
            f"an address must begin with https:// or http://, not {url.scheme + ':'!r}; correct it"
        )
    if not url.host:
        raise DataError("an address must name a host, as in https://example.org/items; correct it")
    if url.port is not None and not 0 < url.port < 65536:
        raise DataError(f"a port must lie between 1 and 65535, not {url.port}; correct the address")


def resolve_host(host: str, port: int) -> list[str]:
    """The system's resolver; also reads numbers such as ``127.1``, ``0x7f000001``, ``2130706433``.

    Raises:
        OSError: the name is not known, or no name server answers.

    >>> resolve_host("2130706433", 80)
    ['127.0.0.1']
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def guarded_transport(
    *,
    allow_private: bool,
    resolve: Resolver = resolve_host,
    time_left: TimeLeft | None = None,
    network: httpcore.NetworkBackend | None = None,
) -> httpx.BaseTransport:
    """A transport for ``httpx.Client(transport=…)``, or to be called itself, by many threads.

    It raises what httpx's own raises, and `DataError` for what it refuses. Each hop of a redirect
    is a request of its own, and guarded as such. ``SSL_CERT_FILE`` names own authorities.

    Args:
        allow_private: let loopback, private, link-local and reserved addresses pass.
        resolve: from names to addresses, another one in tests.
        time_left: bounds a whole request, which timeouts of single reads do not: a server that
            sends a byte now and then never runs into those. Absent, they alone bound. Looking a
            name up takes what the system's resolver takes.
        network: opens connections to the checked addresses; sockets by default.
    """
    logging.getLogger("httpcore.http11").addFilter(_shows_no_headers)
    backend = _GuardedNetwork(
        network or httpcore.SyncBackend(), resolve, allow_private, time_left or _no_end
    )
    pool = httpcore.ConnectionPool(
        ssl_context=httpx.create_ssl_context(), max_connections=100, network_backend=backend
    )
    return _GuardedTransport(pool)


def _unwrapped(address: _Address) -> _Address:
    if isinstance(address, ipaddress.IPv4Address):
        return address
    number = int(address)
    if address in _MAPPED or address in _NAT64:
        return ipaddress.IPv4Address(number & 0xFFFFFFFF)
    if address in _SIX_TO_FOUR:
        return ipaddress.IPv4Address((number >> 80) & 0xFFFFFFFF)
    return address


def _shows_no_headers(record: logging.LogRecord) -> bool:
    """Keep answers' headers out of debug logs: links and redirects repeat keys of the query."""
    return not str(record.msg).startswith("receive_response_headers")


def _no_end() -> float:
    return math.inf


class _GuardedNetwork(httpcore.NetworkBackend):
    """Connects to addresses that were checked, never to names."""

    def __init__(
        self,
        inner: httpcore.NetworkBackend,
        resolve: Resolver,
        allow_private: bool,  # noqa: FBT001  (private, called once)
        time_left: TimeLeft,
    ) -> None:
        self._inner = inner
        self._resolve = resolve
        self._allow_private = allow_private
        self._time_left = time_left

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Resolve, check all, connect to the first that answers."""
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in self._checked(host, port):
            try:
                stream = self._inner.connect_tcp(
                    address,
                    port,
                    timeout=_wait(timeout, self._time_left, httpcore.ConnectTimeout),
                    local_address=local_address,
                    socket_options=socket_options,
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _TimedStream(stream, self._time_left)
        raise failure

    def _checked(self, host: str, port: int) -> Sequence[str]:
        try:
            addresses = self._resolve(host, port)
        except UnicodeError:
            raise DataError(f"{host!r} must be the name of a host; correct the address") from None
        except OSError as error:
            if getattr(error, "errno", None) == socket.EAI_NONAME:
                raise DataError(
                    f"the host {host!r} must be known to the name server, and is not; "
                    "correct the address"
                ) from None
            raise httpcore.ConnectError(str(error)) from error
        for address in addresses:
            if not self._allow_private and not is_public(address):
                raise DataError(
                    f"sources read public addresses only, and the host {host!r} leads to "
                    f"{address}, which is not public; if it is yours and meant, set "
                    "'allow_private: true' for this source"
                )
        return addresses


class _TimedStream(httpcore.NetworkStream):
    """A connection whose every wait ends with the request's time."""

    def __init__(self, inner: httpcore.NetworkStream, time_left: TimeLeft) -> None:
        self._inner = inner
        self._time_left = time_left

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """See httpcore."""
        return self._inner.read(max_bytes, _wait(timeout, self._time_left, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """See httpcore."""
        self._inner.write(buffer, _wait(timeout, self._time_left, httpcore.WriteTimeout))

    def close(self) -> None:
        """See httpcore."""
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        """See httpcore; the name is the host's, not the address's."""
        wait = _wait(timeout, self._time_left, httpcore.ConnectTimeout)
        return _TimedStream(
            self._inner.start_tls(ssl_context, server_hostname, wait), self._time_left
        )

    def get_extra_info(self, info: str) -> Any:
        """See httpcore."""
        return self._inner.get_extra_info(info)


def _wait(
    timeout: float | None, time_left: TimeLeft, late: type[httpcore.TimeoutException]
) -> float | None:
    left = time_left()
    if left <= 0:
        raise late("the time of the request is over")
    wait = left if timeout is None else min(timeout, left)
    return None if math.isinf(wait) else wait


class _GuardedTransport(httpx.BaseTransport):
    """httpx over httpcore's pool, which alone lets the network be given."""

    def __init__(self, pool: httpcore.ConnectionPool) -> None:
        self._pool = pool

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """See httpx."""
        check_url(request.url)
        asked = httpcore.Request(
            method=request.method,
            url=httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _as_httpx():
            answer = self._pool.handle_request(asked)
        return httpx.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=_Body(answer),
            extensions=answer.extensions,
        )

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx():
            yield from self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


@contextmanager
def _as_httpx() -> Iterator[None]:
    """httpcore's errors under the same names of httpx."""
    try:
        yield
    except (
        httpcore.TimeoutException,
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.UnsupportedProtocol,
    ) as error:
        raise getattr(httpx, type(error).__name__)(str(error)) from error
