"""Texts in columns of numbers, booleans and times: read as prepare reads the cells of a file.

A client that sends what stands in its table, ``"12 %"``, ``"1.234,50"``, ``"4 Mar 2021"`` or
``" NA "``, gets the answer that the row would get in a file: by the form that the column had when
the model was trained, and by the words that meant missing there. What a file's cell could not be
read as is refused here.

The commonest writings (``"39"``, ``"yes"``, ISO 8601; ``"12 %"`` of a percentage) never come here:
`tenfold.features.readers` reads them, to the same bits. Measured (one core): 0.3 ms for a text
alone, 1 to 2 where its writing is taken apart, and 0.2 to 3 us each of many; so the columns of a
request that are written alike are read together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from tenfold.features.codes import Codes, encode_column
from tenfold.features.readers import TIME_TEXT, number_wanted, shown
from tenfold.schema import Column, Kind, Missing

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Read", "read_texts", "why_refused"]

_AS_IT_IS = Missing(frozenset(), trim=False)


class Read(NamedTuple):
    """What some texts of a column are.

    Attributes:
        codes: float64 (n_texts,), NaN for what is missing or cannot be read.
        bad: which cannot be read, (n_texts,).
        unsure: which of these could be read in two ways, (n_texts,).
    """

    codes: Codes
    bad: npt.NDArray[np.bool_]
    unsure: npt.NDArray[np.bool_]


def read_texts(cells: Sequence[tuple[Column, Sequence[str]]]) -> list[Read]:
    """Read the texts of some columns of numbers or times; an answer for each column.

    >>> (read,) = read_texts([(Column("x", Kind.NUMBER), ["1,234.5", "much"])])
    >>> read.codes, read.bad
    (array([1234.5,    nan]), array([False,  True]))
    """
    import pyarrow as pa

    from tenfold.data.convert import convert

    alike: dict[object, list[int]] = {}
    for place, (column, _) in enumerate(cells):
        alike.setdefault((column.kind, column.form, column.missing), []).append(place)
    found: dict[int, Read] = {}
    for places in alike.values():
        column = cells[places[0]][0]
        missing = column.missing or _AS_IT_IS
        done = convert(
            _array([text for place in places for text in cells[place][1]]),
            column.kind,
            markers=missing.markers,
            trim=missing.trim,
            form=column.form,
        )
        codes = encode_column(column, pa.chunked_array([done.array]))
        unsure = np.zeros_like(done.bad) if done.undecided is None else done.undecided
        ends = np.cumsum([len(cells[place][1]) for place in places]).tolist()
        for place, start, end in zip(places, [0, *ends], ends, strict=False):
            found[place] = Read(codes[start:end], done.bad[start:end], unsure[start:end])
    return [found[place] for place in range(len(cells))]


def _array(texts: Sequence[str]) -> pa.Array:
    import pyarrow as pa

    try:
        return pa.array(texts, pa.large_string())
    except UnicodeEncodeError:  # half of a surrogate pair: no text, so it is told as it was written
        whole = [text.encode("utf-8", "backslashreplace").decode() for text in texts]
        return pa.array(whole, pa.large_string())


def why_refused(column: Column, text: str, *, unsure: bool) -> str:
    """What is wrong with a text, and what to send.

    >>> why_refused(Column("x", Kind.DATETIME), "3/4/2021", unsure=True)
    "'3/4/2021' may have its day or its month first; send ISO 8601 text such as
    '2031-05-04T13:30:00Z' or null"
    """
    if column.kind is Kind.DATETIME:
        what = "may have its day or its month first" if unsure else "is not a time"
        return f"{shown(text)} {what}; send {TIME_TEXT} or null"
    what = "is not a whole number" if column.kind is Kind.INTEGER else "is not a number"
    if column.form.unit == "%":
        what = "is not a percentage"
    if unsure:
        what = "may be a fraction or thousands"
    return f"{shown(text)} {what}; send {number_wanted(column)} or null"
