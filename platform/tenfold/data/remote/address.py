"""Addresses of remote files, taken apart before any secret is put in.

``s3://bucket/key?region=eu-west-1``: what follows the first question mark are options of the store.
Keys stand as they are, without percent signs.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl

from tenfold.errors import DataError
from tenfold.project.secrets import (
    holds_value,
    is_secret_name,
    masked,
    resolve_secrets,
    shown_url,
    split_user,
)
from tenfold.project.sources import FileSource

__all__ = ["WEB", "Address", "is_remote"]

WEB = ("http", "https")

_OPTIONS: dict[str, tuple[str, ...]] = {
    "s3": ("region", "endpoint_override", "scheme", "anonymous", "access_key", "secret_key"),
    "gs": ("endpoint_override", "scheme", "anonymous"),
    "az": ("account", "account_key", "sas_token", "endpoint_override", "scheme"),
}
_USER = "access_key"
"""A store's name for its user: no secret, though it sounds like one."""


def is_remote(path: str) -> bool:
    """Whether a path is the address of a server or a store.

    >>> is_remote("s3://bucket/t.csv"), is_remote("data/t.csv")
    (True, False)
    """
    return "://" in path


@dataclass(frozen=True, slots=True)
class Address:
    """Where remote files are; texts hold references to secrets, never their values.

    Attributes:
        scheme: ``http``, ``https``, ``s3``, ``gs`` or ``az``.
        text: the whole, as the project file has it.
        shown: the same without user and options, for messages.
        path: bucket or container and key, of a store.
        options: of the store.
    """

    scheme: str
    text: str
    shown: str
    path: str
    options: dict[str, str]

    @classmethod
    def of(cls, spec: FileSource) -> Address:
        """Take an address apart.

        Raises:
            DataError: the scheme or an option is not known, or a secret stands in the text.

        >>> spec = FileSource(path="s3://k:${env:S}@bucket/logs/*.csv?region=eu-west-1")
        >>> Address.of(spec).shown
        's3://bucket/logs/*.csv'
        """
        scheme = spec.path.partition("://")[0].lower()
        if scheme not in (*WEB, *_OPTIONS):
            raise DataError(
                f"source {spec.name!r}: remote files are read from {', '.join((*WEB, *_OPTIONS))}, "
                f"not from {scheme!r}; correct the path"
            )
        if scheme in WEB:
            shown = f"{scheme}://{shown_url(spec.path).partition('://')[2]}"
            return cls(scheme, spec.path, shown, "", {})
        bare, name, password = split_user(spec.path)
        mark = len(masked(bare).partition("?")[0])
        place, query = bare[:mark].partition("://")[2], bare[mark + 1 :]
        options = dict(parse_qsl(query, keep_blank_values=True))
        if name or password:
            options[_USER], options["secret_key"] = name, password
        cls._check(spec, scheme, options)
        return cls(scheme, spec.path, f"{scheme}://{place}", place, options)

    @staticmethod
    def _check(spec: FileSource, scheme: str, options: dict[str, str]) -> None:
        for key, value in options.items():
            if key not in _OPTIONS[scheme]:
                raise DataError(
                    f"source {spec.name!r}: the options of {scheme}:// are "
                    f"{', '.join(_OPTIONS[scheme])}, not {key!r}; correct what follows the '?'"
                )
            if key != _USER and is_secret_name(key) and holds_value(value):
                raise DataError(
                    f"source {spec.name!r}: {key!r} must not stand in the path, since the project "
                    "file is stored with every model; write '${env:NAME}' in its place"
                )

    def resolved(self) -> tuple[dict[str, str], dict[str, str]]:
        """The options with secrets put in, and what messages show in the place of each secret.

        Raises:
            ProjectError: a reference leads nowhere.
        """
        values = {key: resolve_secrets(text) for key, text in self.options.items()}
        hide = {values[k]: text for k, text in self.options.items() if values[k] not in ("", text)}
        return values, hide
