"""From records to columns of text: the one law of how JSON becomes a table.

- The column of a value is the path to it, with dots: ``{"a": {"b": 1}}`` has the column ``a.b``.
- Numbers are text as JSON writes them, truth values ``true`` and ``false``, texts themselves.
- null, an absent key and an empty object are missing.
- A list is one value: its JSON text, keys sorted. Rows are never multiplied.
- Text that Unicode cannot hold (half of a surrogate pair) gets U+FFFD in that place.

The columns of a table are all that were seen so far, in the order of first appearance: so the
schema changes only where an API starts to send something new.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from tenfold.data.http.document import at_path, kind_word
from tenfold.data.json_cells import cell_text, text_array, whole_text
from tenfold.errors import DataError

__all__ = ["Columns", "flatten", "records_of"]

_TABLE_BYTES = 4 * 2**20
"""JSON that one table is made of, about."""


def records_of(where: str, document: Any, path: str | None) -> list[Any]:
    """The list of records in an answer; null in its place is an empty one.

    Args:
        where: what messages begin with.
        document: the answer.
        path: dotted, or None where the answer is the list.

    Raises:
        DataError: there is no list.

    >>> records_of("source 'a'", {"data": {"items": []}}, "data.items")
    []
    """
    found, records = (True, document) if path is None else at_path(document, path)
    if isinstance(records, list):
        return records
    if found and records is None:
        return []
    if path is None:
        problem = f"the answer must be the list of records, and is {kind_word(document)}"
    elif found:
        problem = f"records {path!r} must lead to a list, and leads to {kind_word(records)}"
    else:
        problem = f"records {path!r} must lead to a list, and leads nowhere"
    lists = list(_paths_of_lists(document))
    remedy = f"write records: {lists[0]}" if lists else "correct records, or url"
    raise DataError(f"{where}: {problem}; {remedy}")


def flatten(record: dict[str, Any]) -> dict[str, str | None]:
    """A record as texts by column.

    Raises:
        ValueError: two values have one column, or a key is empty; the message says which.

    >>> flatten({"id": 1, "at": {"lat": 0.5, "ok": True}, "tags": ["a"], "note": None})
    {'id': '1', 'at.lat': '0.5', 'at.ok': 'true', 'tags': '["a"]', 'note': None}
    """
    row: dict[str, str | None] = {}
    _fill(row, "", record)
    return row


class Columns:
    """Makes tables of records; remembers the columns of all records so far. For one thread.

    Args:
        most_columns: of all records together.
    """

    def __init__(self, *, most_columns: int) -> None:
        self._names: dict[str, None] = {}
        self._most = most_columns

    def tables(self, where: str, records: Sequence[Any], *, n_bytes: int) -> Iterator[pa.Table]:
        """The records as tables of text of a few MiB; none for no records.

        Args:
            where: what messages begin with.
            records: of one page.
            n_bytes: of the page, to cut by.

        Raises:
            DataError: a record is no object, has no field, or has a column twice; or there are too
                many columns.
        """
        n_rows = max(1, len(records) * _TABLE_BYTES // max(n_bytes, 1))
        for start in range(0, len(records), n_rows):
            part = records[start : start + n_rows]
            rows = [self._row(where, start + n, record) for n, record in enumerate(part)]
            yield self._table(where, rows)

    def _row(self, where: str, number: int, record: Any) -> dict[str, str | None]:
        if not isinstance(record, dict):
            raise DataError(
                f"{where}: every record must be an object, and record {number} is "
                f"{kind_word(record)}; correct records, so that it leads to a list of objects"
            )
        try:
            row = flatten(record)
        except ValueError as error:
            raise DataError(
                f"{where}, record {number}: {error}; "
                "leave such a field out, if the API lets choose fields"
            ) from None
        for name in row:
            self._names.setdefault(name)
        return row

    def _table(self, where: str, rows: list[dict[str, str | None]]) -> pa.Table:
        if not self._names:
            raise DataError(
                f"{where}: a record must have at least one field, and {len(rows)} have none; "
                "correct records, or params"
            )
        if len(self._names) > self._most:
            raise DataError(
                f"{where}: records may have at most {self._most:,} columns together, and have "
                f"{len(self._names):,} (the last is {next(reversed(self._names))!r}); are keys "
                "data here, such as ids? ask for a list in their place"
            )
        names = list(self._names)
        return pa.table(
            [text_array([row.get(name) for row in rows]) for name in names], names=names
        )


def _fill(row: dict[str, str | None], prefix: str, value: dict[str, Any]) -> None:
    for key, inner in value.items():
        if not key:
            raise ValueError("a key must not be empty, since a column needs a name")
        name = whole_text(prefix + key)
        if isinstance(inner, dict) and inner:
            _fill(row, name + ".", inner)
            continue
        if name in row:
            raise ValueError(f"the column {name!r} must come from one place, and comes from two")
        row[name] = cell_text(inner)


def _paths_of_lists(document: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(document, dict):
        for key, value in document.items():
            if isinstance(value, list) and "." not in key:
                yield prefix + key
        for key, value in document.items():
            if isinstance(value, dict) and "." not in key:
                yield from _paths_of_lists(value, f"{prefix}{key}.")
