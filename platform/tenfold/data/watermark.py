"""The watermark of an incremental pull: how far it got, and which rows it had there.

A row whose watermark is null, NaN or a marker of a missing value (``""``, ``NA`` and so on) has
none. Texts that all read as numbers are compared as numbers, and so with times; if those of one
block do and those of another do not, all are compared as texts, see `common_order`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tenfold.data import parse
from tenfold.data.text import DEFAULT_MARKERS, is_text, to_text, whole
from tenfold.errors import DataError

__all__ = ["Mark", "advance", "common_order", "leave_out"]


@dataclass(frozen=True, slots=True)
class Mark:
    """How far an incremental pull got.

    Attributes:
        order: how watermarks are compared: ``number``, ``time`` or ``text``.
        value: the largest one: a number, microseconds since 1970, or the text itself.
        text: the same as the source wrote it, to ask for what is not below.
        hashes: of the rows that have exactly this watermark, sorted.
    """

    order: str
    value: float | int | str
    text: str
    hashes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "hashes", tuple(self.hashes))  # JSON gives a list


def leave_out(
    table: pa.Table,
    column: str | None,
    since: Mark | None,
    *,
    markers: Collection[str] = DEFAULT_MARKERS,
) -> pa.Table:
    """The rows that an earlier pull cannot have had.

    Rows below the mark are left out, and those of exactly the mark that were pulled already. A row
    without a watermark is read by the first pull only.

    Args:
        table: rows as the source gave them.
        column: the watermark; None for no incremental pull.
        since: the mark of the pulls before; None for the first one.
        markers: texts that mean missing.

    Raises:
        DataError: there is no such column, or its values cannot be compared with the mark.

    >>> first = pa.table({"id": [1, 2, 2], "x": ["a", "b", "c"]})
    >>> mark = advance(None, first, "id")
    >>> later = pa.table({"id": [1, 2, 2, 3], "x": ["a", "c", "new", "d"]})
    >>> leave_out(later, "id", mark)["x"].to_pylist()
    ['new', 'd']
    """
    if column is None:
        return table
    keys, known = _keys(table, column, None if since is None else since.order, markers)
    if since is None:
        return table
    if not known.any():  # of no kind, and so not to be compared
        return table.slice(0, 0)
    above = np.array([bool(k > since.value) for k in keys]) if _slow(keys) else keys > since.value
    keep = known & above
    level = np.flatnonzero(known & (keys == since.value))
    old = set(since.hashes)
    fresh = [hashed not in old for hashed in _hashes(table, level)]
    keep[level[fresh]] = True
    return table if keep.all() else table.filter(pa.array(keep))


def common_order(
    tables: Iterable[pa.Table], column: str, *, markers: Collection[str] = DEFAULT_MARKERS
) -> str | None:
    """How the watermarks of all these tables can be compared; None where there is none.

    Typed numbers, times and texts that read as neither do not go together: `advance` refuses.

    Raises:
        DataError: as `leave_out`.

    >>> common_order([pa.table({"w": ["10"]}), pa.table({"w": ["a9"]})], "w")
    'text'
    """
    orders: dict[str, None] = {}
    typed = False
    for table in tables:
        array = _column(table, column, markers)
        if len(array) > array.null_count:
            orders[_order_of(array)] = None
            typed = typed or not is_text(array.type)
    if len(orders) > 1 and not typed:
        return "text"
    return next(iter(orders), None)


def advance(
    mark: Mark | None,
    table: pa.Table,
    column: str,
    *,
    order: str | None = None,
    markers: Collection[str] = DEFAULT_MARKERS,
) -> Mark | None:
    """The mark after these rows too; any order of the tables gives the same.

    Args:
        mark: of the rows before; None for none.
        table: rows as the source gave them.
        column: the watermark.
        order: of a first mark, see `common_order`; by default as these rows tell.
        markers: texts that mean missing.

    Raises:
        DataError: as `leave_out`.

    >>> advance(None, pa.table({"at": ["2031-01-02", "2031-01-01"]}), "at").text
    '2031-01-02'
    """
    wanted = order if mark is None else mark.order
    keys, known = _keys(table, column, wanted, markers)
    if not known.any():
        return mark
    best = max(keys[known].tolist())
    if mark is not None and best < mark.value:
        return mark
    level = np.flatnonzero(known & (keys == best))
    hashes = set(_hashes(table, level))
    if mark is not None and mark.value == best:
        hashes |= set(mark.hashes)
    text = to_text(whole(table.column(column)).slice(int(level[0]), 1))[0].as_py()
    found = "text" if _slow(keys) else _order_of(_column(table, column, markers))
    return Mark(found, best, str(text), tuple(sorted(hashes)))


def _column(table: pa.Table, column: str, markers: Collection[str]) -> pa.Array:
    """The watermarks, null where there is none."""
    if column not in table.column_names:
        raise DataError(
            f"the watermark {column!r} must be a column of the source, which has "
            f"{', '.join(map(repr, table.column_names))}; correct incremental.column"
        )
    return _present(whole(table.column(column)), markers)


def _keys(
    table: pa.Table, column: str, order: str | None, markers: Collection[str]
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Values to compare by, shape (n_rows,), and which rows have one."""
    array = _column(table, column, markers)
    found = "text" if order == "text" and is_text(array.type) else _order_of(array)
    if order is not None and found != order and len(array) > array.null_count:
        raise DataError(
            f"the watermark {column!r} must stay a {order}, and is a {found} now; "
            "choose a column of one kind, or remove the pulled copy to start afresh"
        )
    known = np.asarray(pc.is_valid(array).to_numpy(zero_copy_only=False), dtype=bool)
    if found == "number":
        return _numbers(array), known
    if found == "time":
        return _times(array), known
    return np.array(pc.fill_null(array, "").to_pylist(), dtype=object), known


def _present(array: pa.Array, markers: Collection[str]) -> pa.Array:
    """With null where there is no watermark."""
    if pa.types.is_floating(array.type):
        floats = array.cast(pa.float64())
        return pc.if_else(pc.is_nan(floats), None, floats)
    if not is_text(array.type):
        return array
    texts = array.cast(pa.string())
    missing = pc.is_in(pc.utf8_trim_whitespace(texts), pa.array(sorted(markers), pa.string()))
    return pc.if_else(missing, None, texts)


def _order_of(array: pa.Array) -> str:
    if pa.types.is_temporal(array.type):
        return "time"
    if not is_text(array.type):
        return "number"
    values = array.cast(pa.string()).drop_null()
    if parse.parse_numbers(values)[1].all():
        return "number"
    return "time" if parse.parse_datetimes(values)[1].all() else "text"


def _numbers(array: pa.Array) -> NDArray[Any]:
    if is_text(array.type):
        values = pc.fill_null(array.cast(pa.string()), "0")
        whole_numbers, readable = parse.parse_integers(values)
        return whole_numbers if readable.all() else parse.parse_numbers(values)[0]
    if pa.types.is_integer(array.type) or pa.types.is_boolean(array.type):
        return np.asarray(pc.fill_null(array.cast(pa.int64()), 0).to_numpy(zero_copy_only=False))
    floats = pc.fill_null(array.cast(pa.float64(), safe=False), 0.0)
    return np.asarray(floats.to_numpy(zero_copy_only=False))


def _times(array: pa.Array) -> NDArray[Any]:
    if is_text(array.type):
        return parse.parse_datetimes(pc.fill_null(array.cast(pa.string()), "1970-01-01"))[0]
    stamps = array.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
    return np.asarray(pc.fill_null(stamps, 0).to_numpy(zero_copy_only=False))


def _slow(keys: NDArray[Any]) -> bool:
    return keys.dtype == object


def _hashes(table: pa.Table, rows: NDArray[np.int64]) -> list[str]:
    """One digest a row, over its values as text by column name; null and absent are the same."""
    if not len(rows):
        return []
    some = table.take(pa.array(rows))
    names = sorted(some.column_names)
    texts = [to_text(whole(some.column(name))).to_pylist() for name in names]
    digests = []
    for values in zip(*texts, strict=True):
        hashed = hashlib.blake2b(digest_size=16)
        for name, value in zip(names, values, strict=True):
            if value is not None:
                hashed.update(f"{len(name)}:{name}={len(value)}:{value};".encode())
        digests.append(hashed.hexdigest())
    return digests
