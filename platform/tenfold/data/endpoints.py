"""The guard of addresses for libraries that make their own connections: checked before they do.

Object stores and catalogs are reached by clients of their own (Arrow, delta-rs, PyIceberg), which
take no transport of ours. So every address that a project file gives them is looked up here first
and refused where `tenfold.data.guard` would refuse it. That is less than the guard of HTTP sources,
which connects to the very address that it checked:

- a name that answers otherwise the second time (DNS rebinding) is not seen, nor is a redirect;
- what the client finds by itself is not looked at: the store that belongs to a bucket's name, a
  cloud's own service of credentials, the operator's environment, files that an option names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import parse_qsl, urlsplit

from tenfold.data.guard import is_public, resolve_host
from tenfold.data.reasons import reason_of
from tenfold.errors import DataError

__all__ = ["check_endpoint", "check_endpoints", "is_address_name"]

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s;,\"'<>]*")
_NAMES = re.compile(
    r"endpoint|(^|[._-])(uri|url|host|authority|proxy|warehouse|connection[._-]string)($|[._-])",
    re.IGNORECASE,
)
"""Options whose value is an address, with or without a scheme."""
_PATHS = ("s3.signer.endpoint",)
"""Sounds like an address and is a path below one."""
_EMULATOR = "use_emulator"
"""Of Azure and Google: the store is a program on this machine."""
_BUCKETS = (
    *("s3", "s3a", "s3n", "gs", "gcs", "oss", "cos", "hf"),
    *("az", "azure", "adl", "abfs", "abfss", "wasb", "wasbs"),
    *("file", "sqlite", "memory"),
)
"""Schemes that are followed by a bucket, an account or a path, and by no host."""
_DATABASES = ("postgresql", "postgres", "mysql", "mariadb", "mssql", "oracle")
"""Schemes of databases: without a host they are on this machine."""
_LOCAL = "localhost"
_PORT = 443


def check_endpoints(options: Mapping[str, str], *, source: str, allow_private: bool) -> None:
    """Refuse options that lead a client to where only this machine gets.

    Args:
        options: of a library, secrets put in; of an address only the host is shown in messages.
        source: what messages call it.
        allow_private: let all pass.

    Raises:
        DataError: an address is not public, or cannot be found.

    >>> check_endpoints({"path": "s3://bucket/t"}, source="t", allow_private=False)
    """
    if allow_private:
        return
    for name, value in options.items():
        for host, port in _hosts(name, value):
            _check(host, port, f"{host!r} of {name!r}", source)


def check_endpoint(endpoint: str, *, source: str) -> None:
    """Refuse one address, ``host``, ``host:port`` or a URL, that is not public.

    Raises:
        DataError: it is not, or cannot be found.

    >>> check_endpoint("127.0.0.1:9000", source="t")
    Traceback (most recent call last):
        ...
    tenfold.errors.DataError: source 't': sources read public addresses only, and the endpoint \
'127.0.0.1:9000' leads to 127.0.0.1, which is not public; if it is yours and meant, set \
'allow_private: true' for this source
    """
    for host, port in _hosts("endpoint", endpoint):
        _check(host, port, repr(endpoint), source)


def is_address_name(name: str) -> bool:
    """Whether an option of this name holds an address.

    >>> [is_address_name(name) for name in ("AWS_ENDPOINT_URL", "s3.endpoint", "comment")]
    [True, True, False]
    """
    return name.lower() not in _PATHS and _NAMES.search(name) is not None


def _check(host: str, port: int, shown: str, source: str) -> None:
    try:
        addresses = resolve_host(host, port)
    except (OSError, ValueError) as error:
        raise DataError(
            f"source {source!r}: the endpoint {shown} cannot be found "
            f"({reason_of(error)}); correct it"
        ) from error
    private = [address for address in addresses if not is_public(address)]
    if private:
        raise DataError(
            f"source {source!r}: sources read public addresses only, and the endpoint {shown} "
            f"leads to {private[0]}, which is not public; if it is yours and meant, set "
            "'allow_private: true' for this source"
        )


def _hosts(name: str, value: str) -> Iterator[tuple[str, int]]:
    """Hosts and ports that a value names: in URLs wherever they stand, alone in an address."""
    if name.lower().endswith(_EMULATOR):
        if value.strip().lower() not in ("", "0", "f", "false", "n", "no", "off"):
            yield _LOCAL, _PORT
        return
    found = _URL.findall(value)
    for url in found:
        yield from _hosts_of(url)
    if not found and is_address_name(name) and not value.lstrip().startswith(("/", ".")):
        yield from _hosts_of(f"//{value.strip()}")


def _hosts_of(url: str) -> Iterator[tuple[str, int]]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _PORT
    except ValueError:
        yield "", _PORT  # no address, so no resolver finds it
        return
    scheme = parts.scheme.partition("+")[0]
    if scheme in _BUCKETS:
        return
    given = [value for key, value in parse_qsl(parts.query) if key in ("host", "hostaddr")]
    if scheme in _DATABASES:
        for one in [host or (None if given else _LOCAL), *given]:
            if one is not None:  # a path is a socket of this machine
                yield (_LOCAL if one.startswith("/") else one.split(":")[0]), port
    elif host:
        yield host, port
