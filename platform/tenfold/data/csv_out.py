"""CSV that is opened in a spreadsheet: no text of ours may begin a formula.

A cell that begins with ``= + - @``, a tab or a carriage return is run as a formula by the programs
that people open CSV with (OWASP, "CSV Injection"). Such texts get a quote mark in front; numbers,
also those that were read as text, stay as they are.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from tenfold.canonical import write_atomic
from tenfold.data.parse import parse_numbers
from tenfold.data.text import is_text

__all__ = ["safe_cells", "safe_name", "write_csv"]

_BEGINS_FORMULA = r"^[=+\-@\t\r]"
_MARK = "'"


def safe_cells(table: pa.Table) -> pa.Table:
    """A table whose texts and column names begin no formula; numbers are not touched.

    >>> safe_cells(pa.table({"a": ["=1+1", "-5", "x", None]}))["a"].to_pylist()
    ["'=1+1", '-5', 'x', None]
    """
    columns = [_safe(column) if is_text(column.type) else column for column in table.itercolumns()]
    return pa.table(columns, names=[safe_name(name) for name in table.column_names])


def safe_name(text: str) -> str:
    """One text that begins no formula.

    >>> safe_name("@cmd"), safe_name("a=b")
    ("'@cmd", 'a=b')
    """
    return str(_safe(pa.chunked_array([[text]]))[0].as_py())


def write_csv(path: Path, table: pa.Table) -> None:
    """Write a table as CSV, whole or not at all, its texts safe.

    Raises:
        StoreError: the disk refuses.
    """
    sink = pa.BufferOutputStream()
    pacsv.write_csv(safe_cells(table), sink)
    write_atomic(path, sink.getvalue().to_pybytes())


def _safe(column: pa.ChunkedArray) -> pa.ChunkedArray:
    texts = column.cast(pa.string())
    likely = pc.fill_null(pc.match_substring_regex(texts, _BEGINS_FORMULA), pa.scalar(value=False))
    if not pc.any(likely).as_py():
        return texts
    chunks = []
    for chunk in texts.chunks:
        filled = pc.fill_null(chunk, "")
        number = pa.array(parse_numbers(filled)[1])
        begins = pc.match_substring_regex(filled, _BEGINS_FORMULA)
        marked = pc.binary_join_element_wise(_MARK, chunk, "")
        chunks.append(pc.if_else(pc.and_not(begins, number), marked, chunk))
    return pa.chunked_array(chunks, pa.string())
