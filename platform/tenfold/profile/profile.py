"""`Profile`: the mergeable summary of a table, one object with four uses.

It is the exploration report, the fit of the preprocessor, the data contract and the reference of
the monitor. Every block of a snapshot makes its own; blocks are merged in block order.

Where the time goes (3 million rows x 25 as in `make bench-data`, milliseconds of one core for each
block of 65,536 rows, 220 in all): sorting 20 numbers 52, merging 59, co-moments 29 (of these 10 in
the products, whose bits must not depend on threads, so BLAS may not do them), target cells of the
numbers 21, reading Parquet 20, floats with NaN for null 14, categories 15. The blocks
stand side by side in threads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tenfold.errors import DataError
from tenfold.profile.association import CategoryAssociation, NumberAssociation, Target
from tenfold.profile.categories import CategoryProfile
from tenfold.profile.columns import (
    NUMBER_KINDS,
    Sorted,
    class_codes,
    column_values,
    one_array,
    target_classes,
)
from tenfold.profile.comoments import MAX_COMOMENTS, CoMoments
from tenfold.profile.numbers import NumberProfile
from tenfold.profile.texts import TextProfile
from tenfold.schema import Column, Kind, Schema

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Association", "Profile", "merge_profiles", "profiled_columns"]

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
        arrays = {c.name: one_array(table, c.name) for c in profiled_columns(schema)}
        values = {
            c.name: column_values(arrays[c.name])
            for c in profiled_columns(schema)
            if c.kind in NUMBER_KINDS
        }
        numbers = {name: NumberProfile.from_values(column) for name, column in values.items()}
        texts = {name: Sorted.of(array) for name, array in arrays.items() if name not in values}
        return cls(
            schema=schema,
            n_rows=table.num_rows,
            numbers=numbers,
            categories={
                c.name: CategoryProfile.from_sorted(texts[c.name], domain=c.domain or ())
                for c in profiled_columns(schema)
                if c.name not in values
            },
            associations=_associate(schema, arrays, values, numbers, texts),
            comoments=_comoments(schema, values, n_rows=table.num_rows),
            texts={
                c.name: TextProfile.from_array(arrays[c.name], grams=c.grams)
                for c in schema.features
                if c.kind is Kind.TEXT
            },
        )

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


def _associate(
    schema: Schema,
    arrays: Mapping[str, pa.Array],
    values: Mapping[str, np.ndarray],
    numbers: Mapping[str, NumberProfile],
    texts: Mapping[str, Sorted],
) -> dict[str, Association]:
    column = schema.target
    if column is None:
        return {}
    if column.name in values:
        target = Target((), values[column.name])
    else:
        classes = target_classes(column)
        target = Target(classes, class_codes(arrays[column.name], classes))
    return {
        c.name: NumberAssociation.from_values(
            values[c.name],
            target,
            unique=numbers[c.name].values if numbers[c.name].is_exact else None,
        )
        if c.name in values
        else CategoryAssociation.from_sorted(texts[c.name], target, domain=c.domain or ())
        for c in schema.features
    }


def _comoments(schema: Schema, values: Mapping[str, np.ndarray], *, n_rows: int) -> CoMoments:
    target = schema.target.name if schema.target is not None else None
    names = sorted(values, key=lambda name: name != target)[:MAX_COMOMENTS]
    columns = [values[name] for name in names]
    matrix = np.stack(columns, axis=1) if names else np.zeros((n_rows, 0))
    return CoMoments.from_matrix(names, matrix)


def _demand_same_schema(ours: Schema, theirs: Schema) -> None:
    if ours is theirs or ours == theirs or ours.digest() == theirs.digest():
        return
    differing = sorted(set(ours.columns) ^ set(theirs.columns), key=lambda column: column.name)
    names = sorted({column.name for column in differing})
    raise DataError(
        f"profiles must have one schema to be merged: columns {names} differ (a column's order, "
        "kind, role or domain); prepare all the data with the same project file"
    )
