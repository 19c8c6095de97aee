"""`Survey`: what only the exploration report needs of a table's rows, mergeable like a `Profile`.

Nothing is fitted from it and no artifact carries it: it lies beside the profiles in a snapshot.
Together they are made in the one scan: how columns go over time or along the file, which are
missing together, which dates are later than the time of the row, a sample of rows for what needs
pairs of values, and runs of adjacent rows for what needs neighbors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tenfold.errors import DataError
from tenfold.profile.bits import both_set, null_words
from tenfold.profile.columns import NUMBER_KINDS, column_values, one_array
from tenfold.profile.course import Axis, Course
from tenfold.profile.grid import Floats, Ints
from tenfold.profile.profile import profiled_columns
from tenfold.profile.runs import NO_WINDOWS, Runs, Windows
from tenfold.profile.sample import Sample
from tenfold.schema import Column, Kind, Role, Schema

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["MAX_SURVEYED", "Survey", "surveyed_columns"]

MAX_SURVEYED = 200
"""Most columns: as many as a report has cards for; a sample of them is below 20 MB."""
MAX_CHARACTERS = 100
"""A category is cut there in the sample. Of prose only whether it is there is kept: pages of it
would not fit, and no two are equal."""


def surveyed_columns(schema: Schema) -> tuple[Column, ...]:
    """The time column, the target and the features, at most `MAX_SURVEYED`."""
    time = tuple(c for c in schema.columns if c.role is Role.TIME)
    target = () if schema.target is None else (schema.target,)
    features = tuple(c for c in profiled_columns(schema) if c.role is Role.FEATURE)
    return (*time, *target, *features)[:MAX_SURVEYED]


@dataclass(frozen=True, eq=False)
class Survey:
    """A survey of some rows. An immutable value: `merge` returns a new one.

    Laws, each held by a property test: counts and the sample do not depend on the order of
    merging nor on how the rows were cut; means and deviations by slice do within 1e-9 relative.

    Attributes:
        schema: of the rows.
        axis: what the course goes along; parts of other axes are refused.
        n_rows: number of rows.
        course: the columns by slice of the axis.
        absent: rows in which both columns are missing, in order of `surveyed_columns`, shape
            (n_columns, n_columns).
        later: date-time feature to (rows that have it and the time, of these later than the
            time); empty without a time column of dates.
        sample: rows for what needs pairs of values.
        runs: adjacent rows; none in a table that the sample holds whole.
    """

    schema: Schema
    axis: Axis
    n_rows: int
    course: Course
    absent: Ints
    later: Mapping[str, tuple[int, int]]
    sample: Sample
    runs: Runs

    @classmethod
    def from_table(
        cls,
        table: pa.Table,
        schema: Schema,
        *,
        axis: Axis,
        hashes: npt.NDArray[np.uint64],
        positions: Ints,
        limit: int = 2**64 - 1,
        windows: Windows = NO_WINDOWS,
    ) -> Survey:
        """Survey the rows of a cleaned table.

        Args:
            table: holds the surveyed columns in the schema's Arrow types.
            schema: of the table.
            axis: what the course goes along, the same for all blocks.
            hashes: a uniform hash of each row, shape (n_rows,).
            positions: of each row in its source, shape (n_rows,).
            limit: largest hash that may be in the sample, see `hash_limit`.
            windows: where the runs lie, the same for all blocks.

        Raises:
            DataError: a column is missing.
        """
        import pyarrow as pa

        columns = surveyed_columns(schema)
        arrays = {c.name: one_array(table, c.name) for c in columns}
        values = {c.name: column_values(arrays[c.name]) for c in columns if c.kind in NUMBER_KINDS}
        strings = {c.name: (c, arrays[c.name]) for c in columns if c.name not in values}
        rows = pa.table(arrays)
        sample = Sample.from_table(rows, hashes=hashes, positions=positions, limit=limit)
        runs = Runs.from_table(rows, positions=positions, windows=windows)
        along = positions.astype(np.float64) if axis.column is None else values[axis.column]
        return cls(
            schema=schema,
            axis=axis,
            n_rows=table.num_rows,
            course=Course.from_columns(along, axis, numbers=values, strings=strings),
            absent=both_set(null_words([arrays[c.name] for c in columns])),
            later=_later(columns, values),
            sample=replace(sample, table=_bounded(columns, sample.table)),
            runs=replace(runs, table=_bounded(columns, runs.table)),
        )

    @classmethod
    def merge_all(cls, parts: Sequence[Survey]) -> Survey:
        """The survey of the rows of all; at least one part.

        Raises:
            DataError: the schemas or the axes differ.
        """
        first = parts[0]
        for other in parts[1:]:
            if other.axis != first.axis or not other.schema.agrees(first.schema):
                raise DataError(
                    "surveys must have one schema and one axis to be merged, and these differ; "
                    "prepare all the data with the same project file"
                )
        return cls(
            schema=first.schema,
            axis=first.axis,
            n_rows=sum(part.n_rows for part in parts),
            course=Course.merge_all([part.course for part in parts]),
            absent=np.sum([part.absent for part in parts], axis=0),
            later={
                name: (
                    sum(part.later[name][0] for part in parts),
                    sum(part.later[name][1] for part in parts),
                )
                for name in first.later
            },
            sample=Sample.merge_all([part.sample for part in parts]),
            runs=Runs.merge_all([part.runs for part in parts]),
        )

    def merge(self, other: Survey) -> Survey:
        """The survey of the rows of both."""
        return self.merge_all([self, other])

    def to_bytes(self) -> bytes:
        """The survey as bytes; no pickle."""
        from tenfold.profile.stored_survey import dump_survey

        return dump_survey(self)

    @staticmethod
    def from_bytes(data: bytes) -> Survey:
        """The inverse of `to_bytes`.

        Raises:
            ArtifactError: the bytes are not whole or not a survey.
        """
        from tenfold.profile.stored_survey import load_survey

        return load_survey(data)


def _bounded(columns: Sequence[Column], rows: pa.Table) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    for place, column in enumerate(columns):
        values = rows.column(place)
        if pa.types.is_dictionary(values.type):
            rows = rows.set_column(place, column.name, values.cast(values.type.value_type))
        if pa.types.is_string(rows.schema.field(place).type):
            most = 0 if column.kind is Kind.TEXT else MAX_CHARACTERS
            cut = pc.utf8_slice_codeunits(rows.column(place), 0, most)
            rows = rows.set_column(place, column.name, cut)
    return rows.combine_chunks()


def _later(columns: Sequence[Column], values: Mapping[str, Floats]) -> dict[str, tuple[int, int]]:
    time = columns[0] if columns else None
    if time is None or time.role is not Role.TIME or time.kind is not Kind.DATETIME:
        return {}
    at = values[time.name]
    found = {}
    for column in columns[1:]:
        if column.kind is Kind.DATETIME:
            dated = values[column.name]
            both = int((np.isfinite(dated) & np.isfinite(at)).sum())
            found[column.name] = (both, int((dated > at).sum()))  # NaN is later than nothing
    return found
