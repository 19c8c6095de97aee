"""The fitted preprocessor: codes in, the float32 matrix out, everything it knows in JSON."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from tenfold.canonical import canonical_json, sha256_hex
from tenfold.errors import ArtifactError, DataError
from tenfold.features.codes import Codes, code_width, encode_columns
from tenfold.features.construct import Construction
from tenfold.features.fitting import fit_ops
from tenfold.features.ops import Op, TargetLookup, op_from_dict
from tenfold.features.ops.base import Features
from tenfold.features.recipe import Recipe
from tenfold.features.rowpath import RowEncoder
from tenfold.schema import Schema

if TYPE_CHECKING:
    import pyarrow as pa

    from tenfold.profile import Profile

__all__ = ["CHUNK_ROWS", "FORMAT_VERSION", "Prepares", "Preprocessor"]

FORMAT_VERSION = 1

CONSTRUCTED_VERSION = 2
"""Of a preprocessor that constructs columns, which a reader of version 1 could not."""

CHUNK_ROWS = 8192
"""Rows transformed at once: the temporaries of 100 columns stay near 6 MB, inside most caches."""


class Prepares(ABC):
    """What a predictor asks of a preprocessor, of one part or of several; all doors meet in
    `transform_codes`."""

    schema: Schema
    """Its features are what a request must hold."""

    @property
    @abstractmethod
    def feature_names(self) -> tuple[str, ...]:
        """One per column of the matrix."""

    @abstractmethod
    def transform_codes(self, codes: Codes) -> Features:
        """The matrix of some rows.

        Args:
            codes: float64 (n_rows, `code_width`) from `encode_table` or `RowEncoder`; not changed.

        Returns:
            float32 (n_rows, n_features), C order. NaN only where the recipe leaves values missing.
        """

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Everything fitted, as JSON values (missing numbers are null)."""

    @property
    def n_features(self) -> int:
        """Columns of the matrix."""
        return len(self.feature_names)

    @cached_property
    def encoder(self) -> RowEncoder:
        """The strict reader of JSON rows for this schema."""
        return RowEncoder(self.schema)

    def transform(self, table: pa.Table) -> Features:
        """The matrix of a cleaned table, float32 (n_rows, n_features).

        Raises:
            DataError: a column is missing or of a wrong type.
        """
        columns, n_rows = encode_columns(self.schema, table), table.num_rows
        out = np.empty((n_rows, len(self.feature_names)), dtype=np.float32)
        for start in range(0, n_rows, CHUNK_ROWS):
            end = min(start + CHUNK_ROWS, n_rows)
            out[start:end] = self.transform_codes(columns.rows(start, end))
        return out

    def transform_row(self, row: Mapping[str, object]) -> Features:
        """The features of one JSON row, float32 (n_features,).

        Raises:
            RequestError: a column is missing, unknown or of a wrong type.
        """
        features: Features = self.transform_codes(self.encoder.encode_rows((row,)))[0]
        return features

    def digest(self) -> str:
        """SHA-256 over the canonical JSON: equal for equal fits on any machine."""
        fitted = self.to_dict() | {"schema": self.schema.digest()}
        return sha256_hex(canonical_json(fitted))


class Preprocessor(Prepares):
    """Fitted operations over the codes of a schema. Immutable; any thread may use it.

    A row gets the same bits alone, in a batch and in a table, because all three meet in
    `transform_codes`. Constant and all-missing columns pass: they become a constant feature, or
    none.

    Measured (adult.csv, 14 columns, one core of a quiet 2-core box), encode and transform of one
    JSON row / transform of a row inside a large table: trees' recipe 7 / 0.03 us, scaled with
    one-hot (108 features) 12 / 0.15 us, quantiles 13 / 0.26 us. What is left of the row path is
    NumPy's 0.4-0.8 us per call, so operations take groups of columns, never one each.

    Args:
        schema: what the codes mean.
        recipe: what was asked for.
        ops: the operations, in the order of the matrix.
        feature_names: one per feature.
        construction: what is made of the codes before the operations see them; None for nothing.
    """

    def __init__(
        self,
        schema: Schema,
        *,
        recipe: Recipe,
        ops: tuple[Op, ...],
        feature_names: tuple[str, ...],
        construction: Construction | None = None,
    ) -> None:
        self.schema = schema
        self.construction = construction
        self.recipe = recipe
        self.ops = ops
        self._feature_names = feature_names
        ends = np.cumsum([op.n_outputs for op in ops]).tolist()
        self._blocks = tuple(
            (op, slice(end - op.n_outputs, end)) for op, end in zip(ops, ends, strict=True)
        )
        if not ends or ends[-1] != len(feature_names):
            raise ArtifactError(
                f"preprocess.json names {len(feature_names)} features and its operations make "
                f"{ends[-1] if ends else 0}; publish the model again"
            )

    @classmethod
    def fit(
        cls,
        schema: Schema,
        profile: Profile,
        *,
        recipe: Recipe,
        construction: Construction | None = None,
    ) -> Preprocessor:
        """Fit from a summary of the training rows; no row is read.

        Args:
            schema: its features become the model's inputs.
            profile: of the training rows only, never of rows it will be judged on.
            recipe: what to make of each kind of column.
            construction: fitted on the same rows; the profile is then of the columns it gives.

        Raises:
            DataError: no feature column has a usable kind.
        """
        seen = schema if construction is None else construction.extend(schema)
        fitted = fit_ops(seen, profile, recipe=recipe)
        if not fitted:
            raise DataError(
                f"a model needs at least one usable feature and the schema has "
                f"{[f'{c.name} ({c.kind.value})' for c in schema.columns]}; "
                "add a column of numbers, categories, texts or times"
            )
        names = tuple(name for _, names in fitted for name in names)
        return cls(
            schema,
            recipe=recipe,
            ops=tuple(op for op, _ in fitted),
            feature_names=names,
            construction=construction,
        )

    def with_target(self, op: TargetLookup) -> Preprocessor:
        """The same preprocessor with other numbers from the target; one that has some already."""
        ops = tuple(op if isinstance(old, TargetLookup) else old for old in self.ops)
        return Preprocessor(
            self.schema,
            recipe=self.recipe,
            ops=ops,
            feature_names=self.feature_names,
            construction=self.construction,
        )

    @property
    def feature_names(self) -> tuple[str, ...]:
        """One per column of the matrix."""
        return self._feature_names

    @property
    def slots(self) -> tuple[int, ...]:
        """Per column of the matrix, how many slots of categories it names, 0 where it is a number;
        () where all are numbers."""
        slots = tuple(slots for op in self.ops for slots in op.slots_of_outputs)
        return slots if any(slots) else ()

    def transform_codes(self, codes: Codes) -> Features:
        """See `Prepares.transform_codes`."""
        out = np.empty((len(codes), len(self.feature_names)), dtype=np.float32)
        self.fill(codes, out)
        return out

    def fill(self, codes: Codes, out: Features) -> None:
        """Write the matrix of some rows, see `transform_codes`, into columns of a larger one.

        Args:
            codes: float64 (n_rows, `code_width`); not changed.
            out: float32 (n_rows, n_features); every cell is written.
        """
        for start in range(0, len(codes), CHUNK_ROWS):
            rows = slice(start, start + CHUNK_ROWS)
            seen = codes[rows]
            if self.construction is not None:
                seen = self.construction.apply(seen)
            for op, block in self._blocks:
                op.apply(seen, out[rows, block])

    def to_dict(self) -> dict[str, Any]:
        """See `Prepares.to_dict`."""
        made = {} if self.construction is None else {"construction": self.construction.to_dict()}
        return {
            "format_version": CONSTRUCTED_VERSION if made else FORMAT_VERSION,
            "schema": self.schema.to_dict(),
            "recipe": self.recipe.to_dict(),
            "ops": [op.to_dict() for op in self.ops],
            "feature_names": list(self.feature_names),
            **made,
        }

    @classmethod
    def from_dict(cls, value: Any) -> Preprocessor:
        """The inverse of `to_dict`, for JSON that nobody should trust.

        Raises:
            ArtifactError: a field is missing or unknown, an operation is not in the table, or
                numbers do not fit together.
        """
        expected = {"format_version", "schema", "recipe", "ops", "feature_names"}
        constructs = isinstance(value, dict) and "construction" in value
        if not isinstance(value, dict) or set(value) - {"construction"} != expected:
            raise ArtifactError(
                f"preprocess.json has the fields {sorted(expected)}; publish the model again"
            )
        version = CONSTRUCTED_VERSION if constructs else FORMAT_VERSION
        if value["format_version"] != version:
            raise ArtifactError(
                f"preprocess.json has format {value['format_version']!r} and this tenfold reads "
                f"{version}; upgrade tenfold"
            )
        try:
            schema = Schema.from_dict(value["schema"])
            construction = None
            if constructs:
                construction = Construction.from_dict(value["construction"], schema=schema)
            names = tuple(str(name) for name in value["feature_names"])
            seen = schema if construction is None else construction.extend(schema)
            sizes = tuple(len(column.domain or ()) for column in seen.features)
            sizes += (0,) * (code_width(seen) - len(sizes))
            ops = [op_from_dict(op, sizes=sizes) for op in value["ops"]]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ArtifactError(
                f"preprocess.json is broken ({error!r}); publish the model again"
            ) from error
        recipe = Recipe.from_dict(value["recipe"])
        return cls(
            schema,
            recipe=recipe,
            ops=tuple(ops),
            feature_names=names,
            construction=construction,
        )
