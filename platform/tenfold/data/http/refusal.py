"""What to say when an API refuses: its status, its words, and what the reader can correct."""

from __future__ import annotations

from http import HTTPStatus

from tenfold.data.http.credentials import is_secret_header
from tenfold.project.secrets import find_references
from tenfold.project.sources import HttpSource

__all__ = ["refusal"]

_MOST_SIGNS = 200


def refusal(status: int, said: str, spec: HttpSource, *, keeps_secrets: bool) -> str:
    """Law, status and remedy in one sentence.

    Args:
        status: not a success, and nothing that passes by itself.
        said: the beginning of the answer, without secrets.
        spec: the source.
        keeps_secrets: False where a redirect left them behind.

    >>> spec = HttpSource(type="http", url="https://a/items", headers={"x-key": "${env:K}"})
    >>> refusal(404, "", spec, keeps_secrets=True)
    'the answer must be a success, and was 404 Not Found; correct url'
    """
    words = said[:_MOST_SIGNS]
    quoted = f" ({words!r})" if words else ""
    return (
        f"the answer must be a success, and was {_named(status)}{quoted}; "
        f"{_remedy(status, spec, keeps_secrets=keeps_secrets)}"
    )


def _named(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _remedy(status: int, spec: HttpSource, *, keeps_secrets: bool) -> str:
    if status in (401, 403):
        return _access(spec, keeps_secrets=keeps_secrets)
    if status in (404, 410):
        return "correct url"
    if status in (400, 414, 422):
        return "correct params, pages, or incremental.parameter"
    if status == 406:
        return "correct the accept header"
    return "see what the API's documentation says of it"


def _access(spec: HttpSource, *, keeps_secrets: bool) -> str:
    if not keeps_secrets:
        return (
            "a redirect to another host left the secret headers behind: write the address it "
            "leads to as url, if that host may see them"
        )
    named = [
        f"the header {name!r}" + _from(value)
        for name, value in spec.headers.items()
        if is_secret_header(name, value)
    ]
    named += [f"the parameter {k!r}" + _from(v) for k, v in spec.params.items() if _from(v)]
    named += [f"the user of url{_from(spec.url)}"] if "@" in spec.url else []
    if not named:
        return 'give it a header, such as authorization: "Bearer ${env:API_TOKEN}"'
    return f"check {' and '.join(named)}, and what its account may read"


def _from(text: str) -> str:
    found = find_references(text)
    return f" ({', '.join(found)})" if found else ""
