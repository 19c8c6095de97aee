"""``data.sources``: the places that rows come from, each type with its own fields.

Secrets are references, ``${env:NAME}`` or ``${file:PATH}``, never values: the project file is
stored in every artifact and shown to people. They are put in where a source is read.
"""

from __future__ import annotations

import difflib
import re
from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from tenfold.project.encodings import known_encoding
from tenfold.project.fields import ColumnName, Duration, Flag, Real, Section, Text, Whole
from tenfold.project.secrets import find_secret, holds_value, is_secret_name

__all__ = [
    "SOURCE_TYPES",
    "DeltaSource",
    "FileSource",
    "HttpSource",
    "IcebergSource",
    "Incremental",
    "Pages",
    "PluginSource",
    "Source",
    "SqlSource",
    "local_path",
    "plugin_types",
]

PLUGIN_GROUP = "tenfold.sources"
_SQLITE = re.compile(r"^sqlite(?:\+\w+)?:///([^?]+)")
_COUNT = re.compile(r"(?:^|\.)(?:n|num|max|min)[-_][^.]*$", re.IGNORECASE)
"""``max_tokens: 512`` is no secret, while a password may be a number."""


def _fault(law: str, kind: Literal["law", "law_alone"] = "law") -> PydanticCustomError:
    """A broken law; one of kind ``law_alone`` is told without the value that breaks it."""
    return PydanticCustomError(kind, "{law}", {"law": law})


def _refusal(what: str) -> PydanticCustomError:
    return _fault(
        f"must not hold {what}, since the project file is stored with every model; "
        "write '${env:NAME}' or '${file:PATH}' in its place",
        "law_alone",
    )


def _no_secret(value: str) -> str:
    if found := find_secret(value):
        raise _refusal(found)
    return value


def _encoding(name: str) -> str:
    try:
        return known_encoding(name)
    except ValueError as error:
        raise _fault(str(error)) from None


def _no_secrets(value: dict[str, str]) -> dict[str, str]:
    for name, text in value.items():
        if is_secret_name(name) and holds_value(text):
            raise _refusal(f"the value of '{name}'")
    return value


def _no_secret_options(value: dict[str, Any]) -> dict[str, Any]:
    for name, inner in value.items():
        _judge(inner, name, secret=is_secret_name(name))
    return value


def _judge(value: Any, path: str, *, secret: bool) -> None:
    """Refuse what stands below a secret's name, at any depth, and addresses with a secret."""
    if isinstance(value, dict):
        for name, inner in value.items():
            _judge(inner, f"{path}.{name}", secret=secret or is_secret_name(str(name)))
    elif isinstance(value, list | tuple):
        for inner in value:
            _judge(inner, path, secret=secret)
    elif secret and _tells(value, path):
        raise _refusal(f"the value of '{path}'")
    elif isinstance(value, str):
        _no_secret(value)


def _tells(value: Any, path: str) -> bool:
    """Whether what stands below a secret's name is the secret."""
    if isinstance(value, str):
        return holds_value(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and not _COUNT.search(path)


Url = Annotated[Text, AfterValidator(_no_secret)]
"""An address whose password, token and secret parameters, if any, are references."""

Options = Annotated[dict[Text, Text], AfterValidator(_no_secret_options)]
"""Options of a library, those that hold secrets as references."""


def _last_word(field: str) -> Any:
    """A default for ``name``: the last word of an address or of a dotted name."""

    def last_word(values: dict[str, Any]) -> str:
        text = str(values.get(field) or "").split("?")[0].rstrip("/*")
        if "/" in text:
            return PurePath(text).stem or "table"
        return text.rpartition(".")[2] or "table"

    return last_word


def _stem(path: str) -> str:
    """The file's name without its ending; what follows ``?`` in an address are options."""
    return PurePath(path.split("?")[0] if "://" in path else path).stem or "table"


class Incremental(Section):
    """Pull only what is new: rows whose watermark is not below the largest one pulled so far."""

    column: ColumnName
    """The watermark: a column that only grows for new and changed rows (an id, a time of change).
    A row that arrives later with a smaller watermark is not seen."""

    parameter: Text | None = None
    """HTTP only: the query parameter that takes the watermark, e.g. ``since``. Absent, all pages
    are read and what was pulled already is left out."""


class FileSource(Section):
    """Files of one table: columns are matched by name, and a file may lack some."""

    type: Literal["file"] = "file"
    """``file``, the default."""

    path: Url
    """A file, a folder of files or a pattern such as ``logs/*.csv``, relative to the folder of the
    project file, or absolute; or ``https://…`` for one file, ``s3://…``, ``gs://…``, ``az://…`` for
    an object, a prefix or a pattern, with the store's options behind a question mark, e.g.
    ``s3://bucket/logs/?region=eu-west-1``. Remote files are copied once for each version."""

    name: Text = Field(default_factory=lambda values: _stem(values["path"]))
    """What joins, reports and errors call it; the file's stem by default."""

    format: Literal["auto", "csv", "parquet", "jsonl", "arrow"] = "auto"
    """auto goes by each file's first bytes, then its ending: .parquet, .pq, .jsonl, .ndjson,
    .arrow, .feather; all others are CSV."""

    encoding: Annotated[Text, AfterValidator(_encoding)] = "utf-8"
    """What CSV files are written in: utf-8, utf-16 or an encoding that extends ASCII, such as
    latin-1, cp1252 or shift_jis. Nothing is guessed: a byte that is none of it stops the job, or
    sends its piece to quarantine, with its place."""

    allow_private: Flag = False
    """Whether a remote path may lead to a private, loopback or link-local address."""


class SqlSource(Section):
    """A table or one SELECT of a database, read in a read-only transaction."""

    type: Literal["sql"]
    """``sql``."""

    url: Url
    """SQLAlchemy's URL, e.g. ``postgresql+psycopg://reader:${env:DB_PASSWORD}@db/shop``; a relative
    SQLite path starts in the folder of the project file."""

    table: Text | None = None
    """A table or view, ``name`` or ``schema.name``. Either this or ``query``."""

    query: Text | None = None
    """One SELECT statement, without a semicolon."""

    name: Text = Field(default_factory=_last_word("table"))
    """What joins, reports and errors call it; the table's name by default."""

    columns: tuple[ColumnName, ...] = ()
    """The columns to read, all by default."""

    shard_by: ColumnName | None = None
    """A whole-number column, best an indexed key: ranges of it are read at once by many workers.
    Absent, one worker streams the whole."""

    incremental: Incremental | None = None
    """Pull only new rows; absent, each preparation reads the whole."""

    timeout: Duration = 300.0
    """Longest time of one statement, in seconds or as ``5m``."""

    @model_validator(mode="after")
    def _one_of_two(self) -> SqlSource:
        if (self.table is None) == (self.query is None):
            raise _fault("must have either 'table' or 'query'")
        return self


class Pages(Section):
    """How an API is read page by page."""

    by: Literal["number", "cursor", "link"]
    """``number``: a counter in a query parameter, until a page is empty. ``cursor``: the answer
    names the next one. ``link``: the ``Link`` header with ``rel="next"``."""

    parameter: Text | None = None
    """Query parameter of the number or the cursor: ``page`` or ``cursor`` by default."""

    start: Whole = 1
    """First page number."""

    cursor: Text | None = None
    """Where the next cursor stands in the answer, as a dotted path; needed by ``cursor``. An absent
    or empty one ends the pages."""

    end: Literal["empty", "missing"] = "empty"
    """Of numbered pages: what comes after the last one. ``empty``: a page without records.
    ``missing``: that, or 404 for any page but the first."""

    size_parameter: Text | None = None
    """Query parameter of the page size, with ``size``."""

    size: Annotated[Whole, Field(gt=0)] | None = None
    """Records to ask for on a page."""

    @model_validator(mode="after")
    def _needs(self) -> Pages:
        if (self.by == "cursor") != (self.cursor is not None):
            raise _fault("must name 'cursor' when, and only when, pages go by cursor")
        if self.end == "missing" and self.by != "number":
            raise _fault("must go by number for 'end: missing'")
        if (self.size is None) != (self.size_parameter is None):
            raise _fault("must have 'size' and 'size_parameter' together")
        return self


class HttpSource(Section):
    """The records of a JSON API. Nested objects become columns named with dots."""

    type: Literal["http"]
    """``http``."""

    url: Url
    """``https://…`` or ``http://…``."""

    name: Text = Field(default_factory=_last_word("url"))
    """What joins, reports and errors call it; the last word of the address by default."""

    records: Text | None = None
    """Where the list of records stands in an answer, as a dotted path such as ``data.items``;
    absent, the answer is the list."""

    pages: Pages | None = None
    """How to get the next page; absent, one answer is all."""

    params: Annotated[dict[Text, Text], AfterValidator(_no_secrets)] = Field(default_factory=dict)
    """Query parameters of every request."""

    headers: Annotated[dict[Text, Text], AfterValidator(_no_secrets)] = Field(default_factory=dict)
    """Headers of every request, e.g. ``authorization: "Bearer ${env:API_TOKEN}"``."""

    rate_per_s: Annotated[Real, Field(gt=0)] = 10.0
    """Most requests a second."""

    retries: Annotated[Whole, Field(ge=0, le=20)] = 6
    """How often one request is tried again after a failure, waiting twice as long each time."""

    timeout: Duration = 30.0
    """Longest time of one request, in seconds or as ``1m``."""

    incremental: Incremental | None = None
    """Pull only new records; absent, each preparation reads all pages."""

    allow_private: Flag = False
    """Whether the address may be private, loopback or link-local: no by default, so that a project
    file of a stranger cannot read what only this machine reaches."""


class DeltaSource(Section):
    """A Delta table, at one version."""

    type: Literal["delta"]
    """``delta``."""

    path: Url
    """The table's folder or its URL on an object store."""

    name: Text = Field(default_factory=_last_word("path"))
    """What joins, reports and errors call it; the folder's name by default."""

    version: Annotated[Whole, Field(ge=0)] | None = None
    """The version to read; absent, the newest one, which is then pinned in the lineage."""

    columns: tuple[ColumnName, ...] = ()
    """The columns to read, all by default."""

    options: Options = Field(default_factory=dict)
    """Options of the object store, with references for secrets."""

    allow_private: Flag = False
    """Whether the path and the options may lead to a private, loopback or link-local address."""


class IcebergSource(Section):
    """An Iceberg table, at one snapshot."""

    type: Literal["iceberg"]
    """``iceberg``."""

    table: Text
    """``namespace.table`` in the catalog."""

    name: Text = Field(default_factory=_last_word("table"))
    """What joins, reports and errors call it; the table's name by default."""

    catalog: Options
    """PyIceberg's catalog properties (``type``, ``uri``, ``warehouse``…), with references for
    secrets; ``name`` is the catalog's own, ``default`` if absent. A relative SQLite path starts in
    the folder of the project file."""

    version: Whole | None = None
    """The snapshot id to read; absent, the newest one, which is then pinned in the lineage."""

    columns: tuple[ColumnName, ...] = ()
    """The columns to read, all by default."""

    allow_private: Flag = False
    """Whether the catalog, or the stores that it names, may be at a private, loopback or
    link-local address; a database as a catalog is at one as a rule."""


class PluginSource(Section):
    """A source of an installed package: an entry point of the group ``tenfold.sources``."""

    type: Text
    """The entry point's name."""

    name: Text = "table"
    """What joins, reports and errors call it."""

    options: Annotated[dict[str, Any], AfterValidator(_no_secret_options)] = Field(
        default_factory=dict
    )
    """What the plug-in is given, with references for secrets at every depth."""

    @model_validator(mode="before")
    @classmethod
    def _is_installed(cls, raw: Any) -> Any:
        kind = raw.get("type") if isinstance(raw, dict) else None
        known = [*SOURCE_TYPES, *plugin_types()]
        if kind is not None and kind not in known:
            near = difflib.get_close_matches(str(kind), known, n=1)
            remedy = f"did you mean '{near[0]}'?" if near else "install the package that brings it"
            law = f"must have a type out of {', '.join(known)}, not {kind!r}; {remedy}"
            raise _fault(law, "law_alone")  # the section as a whole says nothing
        return raw


SOURCE_TYPES: dict[str, type[Section]] = {
    "file": FileSource,
    "sql": SqlSource,
    "http": HttpSource,
    "delta": DeltaSource,
    "iceberg": IcebergSource,
}
"""The types that come with Tenfold."""


def local_path(source: Section) -> str | None:
    """The file or folder of this machine that a source reads, as the project file says it.

    >>> local_path(SqlSource(type="sql", url="sqlite:///shop.db", table="t"))
    'shop.db'
    """
    if isinstance(source, SqlSource):
        found = _SQLITE.match(source.url)
        return found[1] if found else None
    path = source.path if isinstance(source, FileSource | DeltaSource) else None
    return None if path is None or "://" in path else path


def plugin_types() -> list[str]:
    """The types that installed packages bring."""
    from importlib.metadata import entry_points

    return sorted(point.name for point in entry_points(group=PLUGIN_GROUP))


def _type_of(raw: Any) -> str:
    kind = raw.get("type", "file") if isinstance(raw, dict) else getattr(raw, "type", "file")
    return kind if kind in SOURCE_TYPES else "plugin"


Source = Annotated[
    Annotated[FileSource, Tag("file")]
    | Annotated[SqlSource, Tag("sql")]
    | Annotated[HttpSource, Tag("http")]
    | Annotated[DeltaSource, Tag("delta")]
    | Annotated[IcebergSource, Tag("iceberg")]
    | Annotated[PluginSource, Tag("plugin")],
    Discriminator(_type_of),
]
"""One place to read from."""
