"""Texts in columns of numbers, booleans and times: read as prepare reads the cells of a file.

A client that sends what stands in its table, ``"12 %"``, ``"1.234,50"``, ``"4 Mar 2021"`` or
``" NA "``, gets the answer that the row would get in a file: by the form that the column had when
the model was trained, and by the words that meant missing there. What a file's cell could not be
read as is refused here.

Measured (one core): 0.3 ms for a text alone, 1 to 2 where its writing is taken apart, 0.2 to 3 us
each of many; so the columns of a request that are written alike are read together. The texts that
programs write (``"39"``, ISO 8601) never come here: `tenfold.features.readers` reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tenfold.features.codes import Codes, encode_column
from tenfold.features.readers import TIME_TEXT, number_wanted, shown
from tenfold.schema import Column, Kind, Missing

__all__ = ["Texts", "read_texts"]

_AS_IT_IS = Missing(frozenset(), trim=False)


@dataclass(frozen=True, slots=True)
class Texts:
    """Cells of one column that are texts.

    Attributes:
        column: of numbers, booleans or times.
        rows: where they stand.
        texts: one for each of these rows.
    """

    column: Column
    rows: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def add(self, row: int, text: str) -> None:
        """One more."""
        self.rows.append(row)
        self.texts.append(text)


def read_texts(cells: Sequence[Texts]) -> list[tuple[Codes, list[tuple[int, str]]]]:
    """The codes of the texts of some columns, and what cannot be read.

    Returns:
        For each column the codes, float64 (n_texts,), NaN for what is missing or cannot be read,
        and the rows of the latter, each with the reason.

    >>> rate = Texts(Column("rate", Kind.NUMBER), [0, 7], ["1,234.5", "much"])
    >>> read_texts([rate])
    [(array([1234.5,    nan]), [(7, "'much' is not a number; send a number or null")])]
    """
    import pyarrow as pa

    from tenfold.data.convert import convert

    found: list[tuple[Codes, list[tuple[int, str]]]] = [(np.empty(0), []) for _ in cells]
    alike: dict[object, list[int]] = {}
    for place, one in enumerate(cells):
        column = one.column
        alike.setdefault((column.kind, column.form, column.missing), []).append(place)
    for places in alike.values():
        column = cells[places[0]].column
        missing = column.missing or _AS_IT_IS
        texts = [text for place in places for text in cells[place].texts]
        done = convert(
            pa.array(texts, pa.string()),
            column.kind,
            markers=missing.markers,
            trim=missing.trim,
            form=column.form,
        )
        codes = encode_column(column, pa.chunked_array([done.array]))
        unsure = np.zeros(len(texts), dtype=bool) if done.undecided is None else done.undecided
        start = 0
        for place in places:
            one = cells[place]
            here = slice(start, start + len(one.texts))
            start = here.stop
            faults = [
                (one.rows[k], _reason(one.column, one.texts[k], unsure=bool(unsure[here][k])))
                for k in np.flatnonzero(done.bad[here]).tolist()
            ]
            found[place] = (codes[here], faults)
    return found


def _reason(column: Column, text: str, *, unsure: bool) -> str:
    """What is wrong with a text, and what to send."""
    if column.kind is Kind.BOOLEAN:
        return f"{shown(text)} is not a boolean; send true, false or null"
    if column.kind is Kind.DATETIME:
        what = "may have its day or its month first" if unsure else "is not a time"
        return f"{shown(text)} {what}; send {TIME_TEXT} or null"
    what = "is not a whole number" if column.kind is Kind.INTEGER else "is not a number"
    if column.form.unit == "%":
        what = "is not a percentage"
    if unsure:
        what = "may be a fraction or thousands"
    return f"{shown(text)} {what}; send {number_wanted(column)} or null"
