"""One file of a web server, by httpx behind the guard of addresses."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from urllib.parse import unquote

import httpx

from tenfold.data.guard import guarded_transport
from tenfold.data.reasons import reason_of
from tenfold.data.remote.address import Address
from tenfold.data.remote.transfer import CHUNK_BYTES, Limits, Transfer, Transient, Version
from tenfold.errors import DataError
from tenfold.project.secrets import resolve_secrets, split_user
from tenfold.project.sources import FileSource

__all__ = ["WebPlace"]

_REDIRECTS = 5
_TIMEOUT = httpx.Timeout(60.0, connect=20.0)
_HEADERS = {"accept-encoding": "identity", "user-agent": "tenfold"}
"""Not compressed on the way, so that the length that is told is the length of the file."""


class WebPlace:
    """See `Place`.

    Args:
        spec: the source.
        address: the same, taken apart.
        limits: bounds.
    """

    def __init__(self, spec: FileSource, address: Address, limits: Limits) -> None:
        self._spec = spec
        self._address = address
        self._limits = limits
        # Not put into the address: a password may hold any sign that ends a part of one.
        bare, *pair = split_user(address.text)
        self._url = resolve_secrets(bare)
        name, password = (resolve_secrets(unquote(part)) for part in pair)
        self._auth = httpx.BasicAuth(name, password) if name or password else None

    def objects(self) -> list[tuple[str, int | None]]:
        """See `Place`: the one file that the address names."""
        last = PurePosixPath(unquote(self._address.shown.split("://", 1)[1])).name
        if self._address.shown.endswith("/") or any(mark in last for mark in "*["):
            raise DataError(
                f"source {self._spec.name!r}: a web server lists no files, so the address names "
                f"one file, not {self._address.shown}; name it, or list several as sources"
            )
        return [(last or "table", None)]

    def shown(self, name: str) -> str:
        """See `Place`."""
        return self._address.shown

    @contextmanager
    def transfer(self, name: str, known: Version | None) -> Iterator[Transfer | None]:
        """See `Place`."""
        end = time.monotonic() + self._limits.object_s
        transport = guarded_transport(
            allow_private=self._spec.allow_private, time_left=lambda: end - time.monotonic()
        )
        headers = dict(_HEADERS)
        if known is not None and known.etag:
            headers["if-none-match"] = known.etag
        elif known is not None and known.changed:
            headers["if-modified-since"] = known.changed
        try:
            with (
                httpx.Client(
                    transport=transport,
                    trust_env=False,
                    follow_redirects=True,
                    max_redirects=_REDIRECTS,
                    timeout=_TIMEOUT,
                    auth=self._auth,
                ) as client,
                client.stream("GET", self._url, headers=headers) as answer,
            ):
                if answer.status_code == httpx.codes.NOT_MODIFIED and known is not None:
                    yield None
                    return
                self._check(answer)
                version = _version(answer)
                if known is not None and version.same(known):  # it answers no questions
                    yield None
                    return
                yield Transfer(version, answer.iter_raw(CHUNK_BYTES))
        except httpx.TooManyRedirects as error:
            raise self._fault(f"redirects more than {_REDIRECTS} times", "name the file") from error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise self._fault("is no address", "correct it") from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise Transient(reason_of(error, {self._url: self._address.shown})) from error

    def _check(self, answer: httpx.Response) -> None:
        status = answer.status_code
        if status == httpx.codes.TOO_MANY_REQUESTS or status >= 500:
            raise Transient(f"it answered {status}")
        if status != httpx.codes.OK:
            remedy = {
                401: "put a user and a password reference into the address",
                403: "check who may read it",
                404: "correct the path",
                410: "correct the path",
            }
            raise self._fault(f"answered {status}", remedy.get(status, "check the address"))
        coding = answer.headers.get("content-encoding", "identity")
        if coding != "identity":
            raise self._fault(f"comes as {coding!r} though asked not to", "host the file elsewhere")
        if answer.headers.get("content-type", "").startswith("text/html"):
            raise self._fault("is a page for people", "name the address of the file itself")
        chunked = "chunked" in answer.headers.get("transfer-encoding", "")
        if "content-length" not in answer.headers and not chunked:
            raise self._fault(
                "comes without a length, so its end cannot be told from a broken connection",
                "host the file elsewhere",
            )

    def _fault(self, what: str, remedy: str) -> DataError:
        return DataError(f"source {self._spec.name!r}: {self._address.shown} {what}; {remedy}")


def _version(answer: httpx.Response) -> Version:
    length = answer.headers.get("content-length")
    return Version(
        etag=answer.headers.get("etag", ""),
        size_bytes=int(length) if length is not None and length.isdigit() else None,
        changed=answer.headers.get("last-modified", ""),
    )
