"""Files of answers: CSV or Parquet, whole or not there at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tenfold.canonical import fsync_folder
from tenfold.data import safe_cells
from tenfold.errors import DataError, StoreError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["check_output", "refused", "whole_file"]


def check_output(output: Path, *, source: Path) -> None:
    """Refuse an output that could not be written, before anything is scored.

    Raises:
        DataError: another ending than the writers', no such folder, or it is the input.
    """
    if output.suffix.lower() not in _WRITERS:
        raise DataError(
            f"an output ends in {' or '.join(_WRITERS)}, not {output.name!r}; "
            "the ending chooses the format"
        )
    if not output.absolute().parent.is_dir():
        raise DataError(f"the folder of the output {output} does not exist; make it first")
    if source.exists() and output.exists() and source.samefile(output):
        raise DataError(f"the output {output} is the input; write to another file")


class _Writer(Protocol):
    """What both of Arrow's writers do."""

    def write_table(self, table: pa.Table) -> None:
        """Append rows."""

    def close(self) -> None:
        """Finish the file."""


class _SafeCsv:
    """CSV without a cell that a spreadsheet would run."""

    def __init__(self, stream: Any, schema: pa.Schema) -> None:
        import pyarrow.csv as pacsv

        self._writer = pacsv.CSVWriter(
            stream,
            safe_cells(schema.empty_table()).schema,
            write_options=pacsv.WriteOptions(quoting_style="needed"),
        )

    def write_table(self, table: pa.Table) -> None:
        self._writer.write_table(safe_cells(table))

    def close(self) -> None:
        self._writer.close()


def _csv_writer(stream: Any, schema: pa.Schema) -> _Writer:
    return _SafeCsv(stream, schema)


def _parquet_writer(stream: Any, schema: pa.Schema) -> _Writer:
    import pyarrow.parquet as pq

    writer: _Writer = pq.ParquetWriter(stream, schema)
    return writer


_WRITERS = {".csv": _csv_writer, ".parquet": _parquet_writer, ".pq": _parquet_writer}


@contextmanager
def whole_file(output: Path) -> Iterator[Callable[[pa.Table], None]]:
    """A function that appends tables to a file that appears when all went well, or not at all.

    Raises:
        StoreError: the disk refuses.
    """
    staged = output.with_name(f".{output.name}.{uuid.uuid4().hex[:8]}.tmp")
    writers: list[_Writer] = []
    with refused(output):
        stream = staged.open("xb")
    try:

        def write(table: pa.Table) -> None:
            with refused(output):
                if not writers:
                    writers.append(_WRITERS[output.suffix.lower()](stream, table.schema))
                writers[0].write_table(table)

        yield write
        with refused(output):
            for writer in writers:
                writer.close()
            stream.flush()
            os.fsync(stream.fileno())
            stream.close()
            staged.replace(output)
            fsync_folder(output.absolute().parent)
    finally:
        with suppress(OSError):
            stream.close()
        with suppress(OSError):
            staged.unlink(missing_ok=True)


@contextmanager
def refused(output: Path) -> Iterator[None]:
    """What the disk refuses is no fault of ours, wherever in the writing it comes.

    Reading the input happens outside: its errors are the input's.
    """
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{output} could not be written ({error.strerror or error}) and nothing of it was "
            "left; free space or write elsewhere, then run the command again"
        ) from error
