"""Secrets by reference: ``${env:NAME}`` and ``${file:PATH}`` become values where they are used.

The project file, lineage, logs, artifacts and Ray's runtime environment hold the reference only.
What a reference is, which names are a secret's and what an address may hold is said here alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, unquote_plus

from tenfold.errors import ProjectError

__all__ = [
    "find_references",
    "find_secret",
    "holds_secret",
    "holds_value",
    "is_guarded_name",
    "is_secret_name",
    "masked",
    "resolve_secrets",
    "shown_url",
    "split_user",
    "without_references",
]

_REFERENCE = re.compile(r"\$\{(env|file):([^}]+)\}")
_MOST_BYTES = 64 * 1024
"""A secret is a word, not a file of data."""

_SECRET_NAME = re.compile(
    r"authori[sz]ation|cookie|passw(?:or)?d|passphrase|pwd|secret|token(?!iz)|signature|credential"
    r"|jwt|bearer|(?:^|[^a-z0-9])(?:(?<!ssl[-_])(?<!tls[-_])key|auth|sig|pass"
    r"|(?:api|app|access|account|client|private|shared|subscription)key)[^a-z0-9]*$",
    re.IGNORECASE,
)
"""A tokenizer is none, nor is the path of a TLS key, as drivers of databases name it."""
_PLAIN_KEY = re.compile(
    r"(?:^|[^a-z])(?:primary|foreign|sort|order|group|join|shard|partition|row|cursor)[-_ ]?keys?$",
    re.IGNORECASE,
)
"""Keys of tables, which open nothing."""
_GUARDED_NAME = re.compile(r"session|key", re.IGNORECASE)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SCHEME_WORD = re.compile(
    r"basic|bearer|digest|hmac|jwt|key|negotiate|oauth|token|api[-_]?key|geniekey|splunk|ssws"
    r"|zoho-oauthtoken|deepl-auth-key|klaviyo-api-key",
    re.IGNORECASE,
)
"""What stands before a credential in a header: words of HTTP, and those that vendors made up."""

_MASK = "\ue000"
"""Unicode keeps it for private use: no part of an address ends at it, no address holds it."""
_SCHEME = re.compile(rf"(?:https?:[/\\]*|[\w+.\-{_MASK}]+:(?://)?)", re.IGNORECASE)
_WEB = re.compile(rf"(?:https?|[{_MASK}]+):", re.IGNORECASE)
_STORE_OF_ACCESS_KEYS = re.compile(r"s3:", re.IGNORECASE)
_PAIR = re.compile(r"(?:^(?=[^/?]*;)|[?&;#])([^\s?&;#=/]+)=([^?&;#]*)")
"""``name=value`` of a query, a fragment or a connection string."""


def find_references(text: str) -> tuple[str, ...]:
    """The references in a text, in order.

    >>> find_references("Bearer ${env:TOKEN} or ${file:/run/key}")
    ('${env:TOKEN}', '${file:/run/key}')
    """
    return tuple(found[0] for found in _REFERENCE.finditer(text))


def without_references(text: str) -> str:
    """What is left of a text without its references.

    >>> without_references("Bearer ${env:TOKEN}")
    'Bearer '
    """
    return _REFERENCE.sub("", text)


def masked(text: str) -> str:
    """The text, as long as it was, with signs in each reference's place that end no part of it.

    >>> masked("a${env:B}c").find("c"), masked("${file:/x?y}").find("?")
    (9, -1)
    """
    return _REFERENCE.sub(lambda found: _MASK * len(found[0]), text)


def holds_value(text: str) -> bool:
    """Whether a secret's text holds more than references and the word for its kind.

    >>> holds_value("Bearer ${env:TOKEN}"), holds_value("Bearer s3cret ${env:TOKEN}")
    (False, True)
    """
    return _holds_value(masked(text))


def is_secret_name(name: str) -> bool:
    """Whether nobody should read the value of a header, parameter or option in a file.

    >>> [is_secret_name(name) for name in ("apiKey", "s3.session-token", "X-Amz-Signature", "sig")]
    [True, True, True, True]
    >>> [is_secret_name(name) for name in ("page", "keyword", "tokenizer", "ssl_key", "sortKey")]
    [False, False, False, False, False]
    """
    if _PLAIN_KEY.search(name):
        return False
    return bool(_SECRET_NAME.search(name) or _SECRET_NAME.search(_HUMP.sub("-", name)))


def is_guarded_name(name: str) -> bool:
    """Whether a header is better not sent to another host: a secret's name, or nearly one.

    >>> is_guarded_name("x-session-id"), is_guarded_name("x-key-id"), is_guarded_name("accept")
    (True, True, False)
    """
    return is_secret_name(name) or bool(_GUARDED_NAME.search(name))


def find_secret(url: str) -> str:
    """What an address, or a text that may be one, holds by value that should be a reference.

    A password, whatever signs are in it; the user of a web address that has no password, since
    that is a token; the parameters with a secret's name. An ``@`` behind a port is taken for the
    end of a password: the two cannot be told apart.

    Returns:
        Words for a message, without the value; empty if there is none.

    >>> find_secret("https://a/b?api_key=s3cret"), find_secret("https://u:pa/ss@h/x")
    ("the value of 'api_key'", "a password (an '@' that ends none is written '%40')")
    >>> find_secret("https://s3cret@h/x"), find_secret("postgresql://me@h/shop")
    ("a token in the user's place", '')
    >>> find_secret("https://u:${env:P}@h/x?token=${env:T}")
    ''
    """
    return _find_secret(masked(url))


def holds_secret(url: str) -> bool:
    """Whether `find_secret` finds one.

    >>> holds_secret("s3://me:${env:KEY}@box/t.csv?region=eu-west-1")
    False
    """
    return find_secret(url) != ""


def split_user(url: str) -> tuple[str, str, str]:
    """An address without its user, the user's name and the password; references hold any sign.

    >>> split_user("https://me:${file:/run/a@b}@h/me@home")
    ('https://h/me@home', 'me', '${file:/run/a@b}')
    >>> split_user("https://u:pa/s?s@h/x"), split_user("https://h:80/x")
    (('https://h/x', 'u', 'pa/s?s'), ('https://h:80/x', '', ''))
    """
    plain = masked(url)
    start, colon, end = _user_at(plain)
    if end < 0:
        return url, "", ""
    return url[:start] + url[end + 1 :], url[start:colon], url[colon + 1 : end]


def shown_url(url: str) -> str:
    """An address as the project file has it, without user, query and fragment.

    >>> shown_url("https://me:${env:P}@example.org/${env:SHOP}/items?key=1#x")
    'https://example.org/${env:SHOP}/items'
    """
    bare, _, _ = split_user(url)
    plain = masked(bare)
    return bare[: min((at for mark in "?#" if (at := plain.find(mark)) >= 0), default=len(bare))]


def resolve_secrets(text: str, environ: Mapping[str, str] | None = None) -> str:
    """The text with its references replaced.

    Args:
        text: of the project file.
        environ: where ``${env:NAME}`` looks; the process's environment if None.

    Raises:
        ProjectError: a variable is not set, or a file cannot be read; the message names the
            reference, never a value.

    >>> resolve_secrets("Bearer ${env:TOKEN}", {"TOKEN": "s3cret"})
    'Bearer s3cret'
    """
    env = os.environ if environ is None else environ

    def value(found: re.Match[str]) -> str:
        kind, name = found.groups()
        if kind == "env":
            if name not in env:
                raise ProjectError(
                    f"the project file refers to ${{env:{name}}}, and {name} is not set in the "
                    "environment of this command; set it where the command runs"
                )
            return env[name]
        return _from_file(name)

    return _REFERENCE.sub(value, text)


def _holds_value(plain: str) -> bool:
    left = plain.replace(_MASK, "").strip()
    return left != "" and not _SCHEME_WORD.fullmatch(left)


def _find_secret(plain: str) -> str:
    start, colon, end = _user_at(plain)
    name, password = plain[start:colon], plain[colon + 1 : end]
    if end >= 0 and password.replace(_MASK, ""):
        odd = any(mark in plain[start:end] for mark in "/?#")
        return "a password" + (" (an '@' that ends none is written '%40')" if odd else "")
    if end >= 0 and not password and name.replace(_MASK, "") and _WEB.match(plain):
        return "a token in the user's place"
    for text in (plain, unquote(plain)):  # an address or a connection string may be a parameter
        for pair in _PAIR.finditer(text):
            # A password in an address that is a value may go on behind a '?' or '#'.
            value = text[pair.start(2) :].partition("&")[0] if "://" in pair[2] else pair[2]
            if found := _find_in_pair(unquote_plus(pair[1]), value, whole=plain):
                return found
    return ""


def _find_in_pair(name: str, value: str, *, whole: str) -> str:
    if name == "access_key" and _STORE_OF_ACCESS_KEYS.match(whole):
        return ""  # a store's name for its user
    if is_secret_name(name) and _holds_value(unquote_plus(value)):
        return "a password" if "passw" in name.lower() or "pwd" in name.lower() else _value_of(name)
    return _find_secret(value) if "://" in value else ""


def _value_of(name: str) -> str:
    return f"the value of '{name.replace(_MASK, '')}'"


def _user_at(plain: str) -> tuple[int, int, int]:
    """Where the user begins, and ends, and where the password ends; -1 if there is no user.

    A password with ``/``, ``?`` or ``#`` in it goes on behind what would end the host.
    """
    scheme = _SCHEME.match(plain)
    start = scheme.end() if scheme else 0
    stops = (plain.find(mark, start) for mark in "/?#")
    stop = min((at for at in stops if at >= 0), default=len(plain))
    end = plain.rfind("@", start, stop)
    user = plain[start : max(end, start)]
    colon = plain.find(":", start, max(end, start))
    password = user.partition(":")[2]
    by_reference = password != "" and not password.replace(_MASK, "")
    host = plain[max(end + 1, start) : stop].rpartition("]")[2]  # colons of IPv6 stand before it
    is_token = _WEB.match(plain) is not None and user.replace(_MASK, "") != ""
    if (colon >= 0 or is_token or ":" in host) and not by_reference and "@" in plain[stop:]:
        end = plain.rfind("@")
        colon = plain.find(":", start, end)
    return start, end if colon < 0 else colon, end


def _from_file(name: str) -> str:
    try:
        with Path(name).expanduser().open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise ProjectError(
                f"the secret ${{file:{name}}} may have at most {_MOST_BYTES} bytes; "
                "name a file that holds the secret alone"
            )
        return data.decode().strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError(
            f"the project file refers to ${{file:{name}}}, which cannot be read as text "
            f"({type(error).__name__}); correct the path or its permissions"
        ) from None
