"""`Profile`: the mergeable summary of a table, one object with four uses.

It is the exploration report, the fit of the preprocessor, the data contract and the reference of
the monitor. The rows of a fold are scanned block by block
(`ProfileScan`); profiles of parts merge in any order.

Where a scan's time goes (the table of `make bench-data`, milliseconds of one core for each block of
65,536 rows x 25, 55 in all once its measured numbers are on a grid, after some million rows; a
profile a block and their merges took 190): co-moments 20 (of these 8 in the products, whose bits
must not depend on threads, so BLAS may not do them), 20 numbers with the target 20, categories 7,
reading Parquet 5. Until then each measured number waits for a sort or, beyond `MAX_EXACT` values,
for one count by its highest bits: 50 ms a column (75 in one piece, beyond the cache).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tenfold.errors import DataError
from tenfold.profile.association import CategoryAssociation, NumberAssociation, Target
from tenfold.profile.categories import CategoryProfile
from tenfold.profile.category_scan import CategoryScan
from tenfold.profile.columns import (
    NUMBER_KINDS,
    class_codes,
    column_values,
    one_array,
    target_classes,
)
from tenfold.profile.comoments import MAX_COMOMENTS, CoMoments
from tenfold.profile.number_scan import NumberScan
from tenfold.profile.numbers import NumberProfile
from tenfold.profile.texts import TextProfile
from tenfold.schema import Column, Kind, Schema

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Association", "Profile", "ProfileScan", "merge_profiles", "profiled_columns"]

Association = NumberAssociation | CategoryAssociation


def profiled_columns(schema: Schema) -> tuple[Column, ...]:
    """The columns that a profile covers: the features in order, then the target."""
    return schema.features if schema.target is None else (*schema.features, schema.target)


@dataclass(frozen=True, eq=False)
class Profile:
    """The summary of some rows of one schema. An immutable value: `update` and `merge` return new.

    Laws, each held by a property test: counts, values and quantiles do not depend on the order of
    merging; co-moments (and moments beyond `MAX_EXACT` distinct values) do within 1e-9 relative;
    the same parts in the same order give the same bytes.

    Attributes:
        schema: of the rows; parts of other schemas are refused.
        n_rows: number of rows.
        numbers: for features and a target of kind number, integer, boolean (0/1) or date-time
            (epoch seconds).
        categories: for features and a target of the other kinds, and so for the classes.
        associations: the target against each feature; empty without a target.
        comoments: of the number columns, a numeric target first, at most `MAX_COMOMENTS`.
        texts: for features of kind text, besides their ``categories``.
    """

    schema: Schema
    n_rows: int
    numbers: Mapping[str, NumberProfile]
    categories: Mapping[str, CategoryProfile]
    associations: Mapping[str, Association]
    comoments: CoMoments
    texts: Mapping[str, TextProfile] = field(default_factory=dict)

    @classmethod
    def from_table(cls, table: pa.Table, schema: Schema) -> Profile:
        """Summarize the rows of a cleaned table.

        Args:
            table: holds every feature and the target in the schema's Arrow types; other columns
                are left alone. No row is a valid input.
            schema: of the table.

        Raises:
            DataError: a column is missing, or a class target has no domain.

        >>> import pyarrow as pa
        >>> from tenfold.schema import Kind, Role
        >>> schema = Schema((Column("age", Kind.INTEGER),
        ...                  Column("y", Kind.CATEGORY, Role.TARGET, domain=("no", "yes"))))
        >>> table = pa.table({"age": [20, 40, None], "y": ["no", "yes", "yes"]})
        >>> profile = Profile.from_table(table, schema)
        >>> profile.numbers["age"].quantile(0.5), dict(profile.categories["y"].counts)
        (30.0, {'no': 1, 'yes': 2})
        """
        scan = ProfileScan(schema)
        scan.add(table)
        return scan.profile()

    def update(self, table: pa.Table) -> Profile:
        """The profile of these rows and the table's."""
        return self.merge(Profile.from_table(table, self.schema))

    def merge(self, other: Profile) -> Profile:
        """The profile of the rows of both."""
        return merge_profiles([self, other])

    def to_bytes(self) -> bytes:
        """The profile as bytes, see `tenfold.profile.codec`; no pickle."""
        from tenfold.profile.stored import dump

        return dump(self)

    @staticmethod
    def from_bytes(data: bytes | memoryview) -> Profile:
        """The inverse of `to_bytes`; the arrays stay where the bytes are.

        Raises:
            ArtifactError: the bytes are not whole or not a profile.
        """
        from tenfold.profile.stored import load

        return load(data)


def merge_profiles(profiles: Sequence[Profile]) -> Profile:
    """The profile of the rows of all, merged in the given order.

    Raises:
        DataError: the list is empty, or the schemas differ.
    """
    if not profiles:
        raise DataError("merging needs at least one profile, got none; prepare the data again")
    first = profiles[0]
    for other in profiles[1:]:
        _demand_same_schema(first.schema, other.schema)
    comoments = first.comoments
    for other in profiles[1:]:
        comoments = comoments.merge(other.comoments)
    domains = {c.name: c.domain or () for c in profiled_columns(first.schema)}
    return Profile(
        schema=first.schema,
        n_rows=sum(profile.n_rows for profile in profiles),
        numbers={
            name: NumberProfile.merge_all([p.numbers[name] for p in profiles])
            for name in first.numbers
        },
        categories={
            name: CategoryProfile.merge_all(
                [p.categories[name] for p in profiles], domain=domains[name]
            )
            for name in first.categories
        },
        associations={
            name: _merge_associations([p.associations[name] for p in profiles], domains[name])
            for name in first.associations
        },
        comoments=comoments,
        texts={
            name: TextProfile.merge_all([profile.texts[name] for profile in profiles])
            for name in first.texts
        },
    )


def _merge_associations(parts: Sequence[Association], domain: tuple[str, ...]) -> Association:
    numbers = [part for part in parts if isinstance(part, NumberAssociation)]
    if numbers:
        return NumberAssociation.merge_all(numbers)
    categories = [part for part in parts if isinstance(part, CategoryAssociation)]
    return CategoryAssociation.merge_all(categories, domain=domain)


class ProfileScan:
    """Summarizes a table block by block, faster than a merge of block profiles: what the blocks
    before have shown spares the later ones their sorts. Mutable, for one thread.

    The result is the profile of the rows to the laws of `Profile`; the same blocks in the same
    order give the same bytes.

    Args:
        schema: of the blocks.

    >>> import pyarrow as pa
    >>> scan = ProfileScan(Schema((Column("age", Kind.INTEGER),)))
    >>> for ages in ([20, 40], [None]):
    ...     scan.add(pa.table({"age": pa.array(ages, pa.int64())}))
    >>> scan.profile().n_rows
    3
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._columns = profiled_columns(schema)
        self._n_rows = 0
        self._numbers = {c.name: NumberScan() for c in self._columns if c.kind in NUMBER_KINDS}
        self._categories = {
            c.name: CategoryScan(domain=c.domain or ())
            for c in self._columns
            if c.kind not in NUMBER_KINDS
        }
        self._texts: dict[str, TextProfile] = {}
        self._comoments: CoMoments | None = None

    def add(self, table: pa.Table) -> None:
        """Count a block.

        Args:
            table: as for `Profile.from_table`.

        Raises:
            DataError: a column is missing, or a class target has no domain.
        """
        arrays = {c.name: one_array(table, c.name) for c in self._columns}
        values = {name: column_values(arrays[name]) for name in self._numbers}
        target = self._target(arrays, values)
        held = self._schema.target
        for name, numbers in self._numbers.items():
            numbers.add(values[name], None if held and name == held.name else target)
        for name, strings in self._categories.items():
            strings.add(arrays[name], None if held and name == held.name else target)
        for column in self._schema.features:
            if column.kind is Kind.TEXT:
                text = TextProfile.from_array(arrays[column.name], grams=column.grams)
                before = self._texts.get(column.name)
                self._texts[column.name] = (
                    text if before is None else TextProfile.merge_all([before, text])
                )
        comoments = _comoments(self._schema, values)
        before_all = self._comoments
        self._comoments = comoments if before_all is None else before_all.merge(comoments)
        self._n_rows += table.num_rows

    def profile(self) -> Profile:
        """The profile of all blocks so far; nothing more may be added after it.

        Raises:
            DataError: there was no block.
        """
        if self._comoments is None:
            raise DataError("a profile needs at least one block, got none; prepare the data again")
        numbers = {name: scan.results() for name, scan in self._numbers.items()}
        categories = {name: scan.results() for name, scan in self._categories.items()}
        associations = {
            name: association
            for name, (_, association) in (*numbers.items(), *categories.items())
            if association is not None
        }
        return Profile(
            schema=self._schema,
            n_rows=self._n_rows,
            numbers={name: number for name, (number, _) in numbers.items()},
            categories={name: strings for name, (strings, _) in categories.items()},
            associations={c.name: associations[c.name] for c in self._schema.features}
            if self._schema.target is not None
            else {},
            comoments=self._comoments,
            texts=self._texts,
        )

    def _target(
        self, arrays: Mapping[str, pa.Array], values: Mapping[str, np.ndarray]
    ) -> Target | None:
        column = self._schema.target
        if column is None:
            return None
        if column.name in values:
            return Target((), values[column.name])
        classes = target_classes(column)
        return Target(classes, class_codes(arrays[column.name], classes))


def _comoments(schema: Schema, values: Mapping[str, np.ndarray]) -> CoMoments:
    target = schema.target.name if schema.target is not None else None
    names = sorted(values, key=lambda name: name != target)[:MAX_COMOMENTS]
    return CoMoments.from_columns(names, [values[name] for name in names])


def _demand_same_schema(ours: Schema, theirs: Schema) -> None:
    if ours.agrees(theirs):
        return
    differing = sorted(set(ours.columns) ^ set(theirs.columns), key=lambda column: column.name)
    names = sorted({column.name for column in differing})
    raise DataError(
        f"profiles must have one schema to be merged: columns {names} differ (a column's order, "
        "kind, role or domain); prepare all the data with the same project file"
    )
