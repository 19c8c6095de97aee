"""Names of encodings that a CSV file may have."""

from __future__ import annotations

import codecs

__all__ = ["known_encoding"]

_ASCII = bytes(range(128))
_STATEFUL = ("iso2022", "hz", "utf-7", "utf_7", "punycode", "idna", "unicode", "raw-unicode")
"""Their meaning of a byte depends on what stood before, so no piece can be decoded alone."""

_WIDE = ("utf-16", "utf-16-le", "utf-16-be")


def known_encoding(name: str) -> str:
    """The encoding's name as Python spells it.

    Raises:
        ValueError: it is not known, or cannot be cut at record ends.

    >>> known_encoding("Latin1"), known_encoding("UTF16"), known_encoding("windows-1252")
    ('iso8859-1', 'utf-16', 'cp1252')
    """
    try:
        found = codecs.lookup(name).name
        plain = _ASCII.decode(found) == _ASCII.decode("ascii")
    except (LookupError, ValueError, TypeError, AssertionError):
        found, plain = name, False
    if found in ("utf-8", *_WIDE):
        return found
    if not plain or found.startswith(_STATEFUL):
        raise ValueError(
            f"must be UTF-16 or an encoding that extends ASCII (utf-8, latin-1, cp1252, "
            f"shift_jis, ...), not {name!r}"
        )
    return "utf-8" if found in ("ascii", "utf-8-sig") else found
