"""The Arrow door: an IPC stream in, an IPC stream out.

A stream is looked at before it is decoded, and validated in full before it is used, since Arrow
trusts what it reads: offsets that were tampered with crash the process on first use. In this
order: no extension types (some run code when they are read), no compression, not more rows than
allowed (a batch counts for one at least), no large dictionary for each of many batches (every one
is validated with it), not many more columns than the model has, all flat and each once, and not
many of them for each of many batches; then decode, then ``validate(full=True)``, then no
dictionary whose texts, each as often as rows have it, are more than a body may be. What is left is
unfolded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from tenfold.errors import RequestError
from tenfold.features.columnpath import Columns
from tenfold_serve.doors.extras import Extras, extra_facts
from tenfold_serve.doors.flat import Broken, Header, read_header
from tenfold_serve.doors.scoring import Answered

__all__ = ["read_stream", "render_stream"]

_EXTENSION: Final = b"ARROW:extension:name"
_MAX_SHARED: Final = 10_000_000
"""Texts of dictionaries, each as often as there are batches: 40 ms of validation."""
_MAX_PIECES: Final = 10_000
"""Columns of all batches: each is looked at, a fifth of a second for so many dictionaries."""
_WARNING = pa.struct([("column", pa.string()), ("reason", pa.string())])


def read_stream(body: bytes, *, max_rows: int, max_columns: int, max_bytes: int) -> Columns:
    """The columns of an IPC stream; they share the body's memory.

    Args:
        body: as it came, within the limit of a body.
        max_rows: most rows of all batches together.
        max_columns: most columns.
        max_bytes: most bytes of the texts of all rows.

    Raises:
        RequestError: it is no such stream, is compressed, holds more rows or other types than may
            be, or is not valid.
    """
    try:
        n_batches = _look(body, max_rows=max_rows)
        with pa.ipc.open_stream(pa.py_buffer(body)) as stream:
            _check_columns(stream.schema, max_columns)
            _check_pieces(n_batches, len(stream.schema))
            table = stream.read_all()
        table.validate(full=True)
    except (pa.ArrowException, Broken, OSError, ValueError, KeyError, OverflowError) as error:
        raise RequestError(
            "the body must be one valid Arrow IPC stream, whole and nothing behind it "
            f"({type(error).__name__})"
        ) from error
    _check_texts(table, max_bytes)
    cells = dict(zip(table.column_names, map(_unfolded, table.columns), strict=True))
    return Columns(cells, table.num_rows)


def _look(body: bytes, *, max_rows: int) -> int:
    """Everything that must hold before Arrow decodes; the number of batches."""
    n_rows = n_batches = n_shared = 0
    for place, (header, metadata) in enumerate(_messages(body)):
        if place == 0:
            if header.kind != "schema":
                raise Broken("a stream starts with its schema")
            if _EXTENSION in metadata:
                raise RequestError(
                    "columns are plain Arrow types, no extension types; send their storage"
                )
            continue
        if header.kind not in ("dictionary", "batch"):
            raise Broken("a stream holds batches and dictionaries")
        if header.compressed:
            raise RequestError(
                "a stream is sent uncompressed: what it holds must be known by its size"
            )
        if header.kind == "batch":
            n_batches += 1
            n_rows += max(1, header.n_rows)
        else:
            n_shared += header.n_rows
        if n_shared * n_batches > _MAX_SHARED:
            raise RequestError(
                f"{n_batches} batches with {n_shared} texts in dictionaries are too many; send "
                "them as one batch"
            )
        if n_rows > max_rows or header.n_rows > len(body):
            raise RequestError(
                f"a request holds at most {max_rows} rows; "
                "send several requests, or use `tenfold predict` for whole tables"
            )
    return n_batches


def _check_pieces(n_batches: int, n_columns: int) -> None:
    if n_batches * n_columns > _MAX_PIECES:
        raise RequestError(
            f"{n_batches} batches of {n_columns} columns are too many; send their rows as one batch"
        )


def _messages(body: bytes) -> Iterator[tuple[Header, bytes]]:
    """Header and metadata of each message, without decoding any.

    Raises:
        Broken: the stream ends inside of one.
    """
    place, end = 0, len(body)
    while place < end:
        prefix = 4
        size = int.from_bytes(body[place : place + 4], "little")
        if size == 0xFFFFFFFF:
            size = int.from_bytes(body[place + 4 : place + 8], "little")
            prefix = 8
        if place + prefix > end:
            raise Broken("the stream ends in a size")
        if size == 0:
            if place + prefix != end:
                raise Broken("something stands behind the end of the stream")
            return
        start = place + prefix
        if start + size > end:
            raise Broken("the stream ends in a message")
        metadata = body[start : start + size]
        header = read_header(metadata)
        yield header, metadata
        place = start + size + header.body_bytes
    if place != end:
        raise Broken("the stream ends in a batch")


def _check_columns(schema: pa.Schema, most: int) -> None:
    if len(schema) > most:
        raise RequestError(f"a stream has at most {most} columns, not {len(schema)}")
    types = pa.types
    names = set()
    for column in schema:
        if column.name in names:
            raise RequestError(
                f"columns have different names, and {column.name[:40]!r} comes twice"
            )
        names.add(column.name)
        kind = column.type
        if types.is_timestamp(kind) and kind.tz is not None:
            _check_zone(column.name, kind.tz)
        if types.is_dictionary(kind):
            kind = kind.value_type
            flat = types.is_string(kind) or types.is_large_string(kind)
        else:
            flat = (
                types.is_null(kind)
                or types.is_boolean(kind)
                or types.is_integer(kind)
                or types.is_floating(kind)
                or types.is_string(kind)
                or types.is_large_string(kind)
                or types.is_timestamp(kind)
                or types.is_date(kind)
            )
        if not flat:
            raise RequestError(
                f"column {column.name[:40]!r} has the Arrow type {str(column.type)[:60]}; send "
                "numbers, booleans, texts, dictionaries of texts, timestamps or dates"
            )


def _check_zone(name: str, zone: str) -> None:
    try:
        pa.lib.string_to_tzinfo(zone)
    except pa.ArrowInvalid as error:
        raise RequestError(
            f"column {name[:40]!r} has the time zone {zone[:40]!r}, which is none"
        ) from error


def _check_texts(table: pa.Table, max_bytes: int) -> None:
    """No dictionary whose few bytes stand for too many."""
    n_bytes = 0
    for column in table.columns:
        if pa.types.is_dictionary(column.type):
            for chunk in column.chunks:
                sizes = pc.binary_length(chunk.dictionary).take(chunk.indices)
                n_bytes += pc.sum(sizes).as_py() or 0
    if n_bytes > max_bytes:
        raise RequestError(
            f"the texts of all rows hold at most {max_bytes} bytes, and those of the stream's "
            f"dictionaries {n_bytes}; send several requests, or use `tenfold predict` for whole "
            "tables"
        )


def _unfolded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A dictionary as texts; others as they are."""
    if not pa.types.is_dictionary(column.type):
        return column
    texts = [chunk.dictionary.take(chunk.indices) for chunk in column.chunks]
    return pa.chunked_array(texts, column.type.value_type)


def _more(answered: Answered, extras: Extras) -> dict[str, Any]:
    """Columns for what else was asked for."""
    more: dict[str, Any] = {}
    if extras.interval is not None:
        lower, upper = extras.interval.T
        more |= {"interval_lower": pa.array(lower), "interval_upper": pa.array(upper)}
    if extras.set is not None:
        classes = np.array(answered.arm.predictor.classes, dtype=object)
        told = [classes[row].tolist() for row in extras.set]
        more["set"] = pa.array(told, pa.list_(pa.string()))
    found = extras.explanation
    if found is not None:
        more |= {"explanation_base": pa.array(found.base), "explanation_raw": pa.array(found.raw)}
        if found.of is not None:
            more["explanation_of"] = pa.array(found.of, pa.string())
        for place, name in enumerate(found.columns):
            more[f"contribution_{name}"] = pa.array(found.contributions[:, place])
    return more


def render_stream(answered: Answered) -> bytes:
    """The answer as one batch; model, version, digest and arm are the schema's metadata."""
    prediction, arm = answered.prediction, answered.arm
    classes = arm.predictor.classes
    arrays: list[Any] = [
        pa.array(answered.ids, pa.string()),
        pa.array(prediction.values, pa.string() if classes else pa.float64()),
    ]
    names = ["id", "value"]
    for place, name in enumerate(classes):
        arrays.append(pa.array(prediction.scores[:, place]))
        names.append(f"probability_{name}")
    if answered.warnings is not None:
        told = [[caution.to_dict() for caution in row] for row in answered.warnings]
        arrays.append(pa.array(told, pa.list_(_WARNING)))
        names.append("warnings")
    if answered.extras is not None:
        more = _more(answered, answered.extras)
        names += more
        arrays += more.values()
    metadata = {
        "model": answered.project,
        "version": str(arm.version),
        "digest": arm.digest,
        "arm": arm.name,
        "classes": orjson.dumps(classes).decode(),
        **{name: str(value) for name, value in extra_facts(answered.extras).items()},
    }
    batch = pa.RecordBatch.from_arrays(arrays, names=names).replace_schema_metadata(metadata)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    data: bytes = sink.getvalue().to_pybytes()
    return data
