"""Arrow IPC files that others wrote (``.arrow``, ``.feather``): the file and the stream format.

Nothing of such a file is trusted: every piece is validated in full before it is used, and
extension types, which name code to run on the values, are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from tenfold.data.csv_file import unique_names
from tenfold.data.reasons import reason_of
from tenfold.data.source import BLOCK_BYTES, RawBlock
from tenfold.data.text import plain_schema, without_views
from tenfold.errors import DataError

__all__ = [
    "BROKEN",
    "IPC_MAGIC",
    "IpcShard",
    "StreamShard",
    "ipc_schema",
    "ipc_shards",
    "refuse_extensions",
]

IPC_MAGIC = b"ARROW1"
BROKEN = (pa.ArrowException, OSError, UnicodeDecodeError)
"""What Arrow raises for bytes that are not what they claim to be; the last one for names."""

_FEATHER_1 = b"FEA1"
_EXTENSION = b"ARROW:extension:name"


def refuse_extensions(schema: pa.Schema, path: Path, *, source: str) -> None:
    """Refuse columns whose meaning is code that the file names.

    Raises:
        DataError: a column or a part of one has an extension type, known here or not.
    """
    waiting = [(field.name, field) for field in schema]
    while waiting:
        column, field = waiting.pop()
        kind = field.type
        named = (field.metadata or {}).get(_EXTENSION)
        if named is not None or isinstance(kind, pa.BaseExtensionType):
            word = named.decode(errors="replace") if named else kind.extension_name
            raise DataError(
                f"source {source!r}: {path} must have flat columns of plain types, and {column!r} "
                f"has the extension type {word!r}; write it again as text, numbers or dates"
            )
        if pa.types.is_nested(kind):
            waiting += [(column, kind.field(place)) for place in range(kind.num_fields)]


def ipc_schema(path: Path, *, source: str) -> pa.Schema:
    """The columns and types of a file, without its rows.

    Raises:
        DataError: the file is not Arrow IPC, has an extension type, or names a column twice.
    """
    try:
        with pa.memory_map(str(path)) as mapped:
            schema = _open(mapped).schema
            refuse_extensions(schema, path, source=source)
            names = unique_names(schema.names, source=source)
            return plain_schema(names, schema.types)
    except BROKEN as error:
        raise _not_arrow(path, source, error) from error


@dataclass(frozen=True, slots=True)
class IpcShard:
    """Some batches of a file of the file format, or some rows of one batch.

    Attributes:
        rows: first row and the one behind the last, of a batch alone; None for whole batches.
    """

    source: str
    path: str
    batches: tuple[int, ...]
    rows: tuple[int, int] | None = None

    def read(self) -> RawBlock:
        """The rows with the file's own types.

        Raises:
            DataError: the bytes are not what Arrow demands.
        """
        path = Path(self.path)
        try:
            with pa.memory_map(self.path) as mapped:
                reader = pa.ipc.open_file(mapped)
                batches = [reader.get_batch(number) for number in self.batches]
            if self.rows is not None:
                first, last = self.rows
                batches = [batches[0].slice(first, last - first)]
            return _block(batches, reader.schema, path, self.source)
        except BROKEN as error:
            raise _not_arrow(path, self.source, error) from error


@dataclass(frozen=True, slots=True)
class StreamShard:
    """Some batches of a file of the stream format.

    Attributes:
        ranges: byte ranges that make a stream of their own: the schema, the dictionaries up to
            here, the batches.
    """

    source: str
    path: str
    ranges: tuple[tuple[int, int], ...]

    def read(self) -> RawBlock:
        """See `IpcShard`."""
        path = Path(self.path)
        try:
            with path.open("rb") as file:
                parts = []
                for start, end in self.ranges:
                    file.seek(start)
                    parts.append(file.read(end - start))
            with pa.ipc.open_stream(pa.py_buffer(b"".join(parts))) as reader:
                return _block(list(reader), reader.schema, path, self.source)
        except BROKEN as error:
            raise _not_arrow(path, self.source, error) from error


def ipc_shards(path: Path, *, source: str) -> list[IpcShard] | list[StreamShard]:
    """Runs of batches of at least `BLOCK_BYTES`; a large batch that is not compressed is sliced.

    A compressed batch is read whole: its rows cannot be reached without all of it.

    Raises:
        DataError: the file is damaged or cut off.
    """
    try:
        with pa.memory_map(str(path)) as mapped:
            if mapped.read(len(IPC_MAGIC)) != IPC_MAGIC:
                return _stream_shards(mapped, path, source)
            reader = pa.ipc.open_file(mapped)
            sizes = []
            for number in range(reader.num_record_batches):
                batch = reader.get_batch(number)
                batch.validate()  # sizes are read from its offsets
                sizes.append((batch.num_rows, batch.nbytes))
    except BROKEN as error:
        raise _not_arrow(path, source, error) from error
    packed = sum(size for _, size in sizes) > path.stat().st_size
    return _file_shards(sizes, packed=packed, path=path, source=source)


def _file_shards(
    sizes: list[tuple[int, int]], *, packed: bool, path: Path, source: str
) -> list[IpcShard]:
    shards: list[IpcShard] = []
    run: list[int] = []
    filled = 0

    def close() -> None:
        nonlocal filled
        if run:
            shards.append(IpcShard(source, str(path), tuple(run)))
        run.clear()
        filled = 0

    for number, (n_rows, size) in enumerate(sizes):
        n_slices = 1 if packed else min(n_rows, size // BLOCK_BYTES)
        if n_slices > 1:
            close()
            bounds = [n_rows * place // n_slices for place in range(n_slices + 1)]
            shards += [IpcShard(source, str(path), (number,), pair) for pair in pairwise(bounds)]
            continue
        run.append(number)
        filled += size
        if filled >= BLOCK_BYTES:
            close()
    close()
    return shards


def _stream_shards(mapped: pa.MemoryMappedFile, path: Path, source: str) -> list[StreamShard]:
    mapped.seek(0)
    before: list[tuple[int, int]] = []  # the schema and the dictionaries so far
    run: list[tuple[int, int]] = []
    shards: list[StreamShard] = []
    start = filled = 0
    for message in pa.ipc.MessageReader.open_stream(mapped):
        here = (start, mapped.tell())
        start = here[1]
        if message.type == "record batch":
            run.append(here)
            filled += here[1] - here[0]
            if filled < BLOCK_BYTES:
                continue
        if run:
            shards.append(StreamShard(source, str(path), (*before, *run)))
            run, filled = [], 0
        if message.type != "record batch":
            before.append(here)
    if run:
        shards.append(StreamShard(source, str(path), (*before, *run)))
    return shards


def _open(mapped: pa.MemoryMappedFile) -> pa.ipc.RecordBatchFileReader:
    first = mapped.read(len(IPC_MAGIC))
    mapped.seek(0)
    if first.startswith(_FEATHER_1):
        raise pa.ArrowInvalid("it is Feather of version 1; write it as version 2")
    return pa.ipc.open_file(mapped) if first == IPC_MAGIC else pa.ipc.open_stream(mapped)


def _block(batches: list[pa.RecordBatch], schema: pa.Schema, path: Path, source: str) -> RawBlock:
    table = pa.Table.from_batches(batches, schema)
    table.validate(full=True)
    refuse_extensions(schema, path, source=source)
    names = unique_names(table.column_names, source=source)
    table = without_views(table.rename_columns(names).replace_schema_metadata())
    return RawBlock(table, np.arange(table.num_rows, dtype=np.int64), table.num_rows)


def _not_arrow(path: Path, source: str, error: Exception) -> DataError:
    return DataError(
        f"source {source!r}: {path} is not a whole Arrow file ({reason_of(error)}); write it "
        "again, or name its format in the project file"
    )
