"""Several preprocessors as one: their matrices side by side, for a model that blends others.

Each part may ask for columns of its own; the joined one asks for all of them once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tenfold.canonical import canonical_json, sha256_hex
from tenfold.errors import ArtifactError
from tenfold.features.codes import Codes, RowEncoder, code_places, code_width, encode_table
from tenfold.features.ops.base import Features
from tenfold.features.preprocessor import Preprocessor
from tenfold.schema import Role, Schema

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["JOINED_VERSION", "Joined", "Prepares", "join_preprocessors", "read_preprocessor"]

JOINED_VERSION = 3
"""Of a preprocessor of several parts, which a reader of versions 1 and 2 could not."""


class Prepares(Protocol):
    """What a predictor asks of a preprocessor, of one part or of several."""

    @property
    def schema(self) -> Schema:
        """Its features are what a request must hold."""
        ...

    @property
    def feature_names(self) -> tuple[str, ...]:
        """One per column of the matrix."""
        ...

    def transform_codes(self, codes: Codes) -> Features:
        """float32 (n_rows, n_features) of codes float64 (n_rows, `code_width`)."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """JSON values; `read_preprocessor` is the inverse."""
        ...

    def digest(self) -> str:
        """SHA-256 over the canonical JSON."""
        ...


@dataclass(frozen=True)
class Joined:
    """Preprocessors over one schema. Immutable; any thread may use it.

    Attributes:
        schema: of all columns that any part asks for.
        parts: in the order of the matrix.
        places: per part, the places of its codes among those of ``schema``.
    """

    schema: Schema
    parts: tuple[Preprocessor, ...]
    places: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        width = code_width(self.schema)
        fits = len(self.parts) == len(self.places) > 0 and all(
            len(places) == code_width(part.schema) and all(0 <= p < width for p in places)
            for part, places in zip(self.parts, self.places, strict=False)
        )
        if not fits:
            raise ArtifactError(
                f"preprocess.json joins {len(self.parts)} parts whose codes are not all among the "
                f"{width} of its schema; publish the model again"
            )

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """One per column of the matrix; the part's number stands before the name."""
        return tuple(
            f"{number}.{name}"
            for number, part in enumerate(self.parts)
            for name in part.feature_names
        )

    @property
    def n_features(self) -> int:
        """Columns of the matrix."""
        return len(self.feature_names)

    @cached_property
    def encoder(self) -> RowEncoder:
        """The strict reader of JSON rows for this schema."""
        return RowEncoder(self.schema)

    @cached_property
    def _steps(self) -> tuple[tuple[Preprocessor, Any], ...]:
        """Each part with the columns that it takes; None for all as they stand."""
        everything = tuple(range(code_width(self.schema)))
        return tuple(
            (part, None if places == everything else np.array(places, dtype=np.intp))
            for part, places in zip(self.parts, self.places, strict=True)
        )

    def transform_codes(self, codes: Codes) -> Features:
        """The parts' matrices side by side; see `Preprocessor.transform_codes`."""
        made = [
            part.transform_codes(codes if places is None else codes[:, places])
            for part, places in self._steps
        ]
        return np.hstack(made)

    def transform(self, table: pa.Table) -> Features:
        """The matrix of a cleaned table, float32 (n_rows, n_features).

        Raises:
            DataError: a column is missing or of a wrong type.
        """
        return self.transform_codes(encode_table(self.schema, table))

    def transform_row(self, row: Mapping[str, object]) -> Features:
        """The features of one JSON row, float32 (n_features,).

        Raises:
            RequestError: a column is missing, unknown or of a wrong type.
        """
        features: Features = self.transform_codes(self.encoder.encode_rows((row,)))[0]
        return features

    def to_dict(self) -> dict[str, Any]:
        """Everything fitted, as JSON values."""
        return {
            "format_version": JOINED_VERSION,
            "schema": self.schema.to_dict(),
            "parts": [part.to_dict() for part in self.parts],
            "places": [list(places) for places in self.places],
        }

    @classmethod
    def from_dict(cls, value: Any) -> Joined:
        """The inverse of `to_dict`, for JSON that nobody should trust.

        Raises:
            ArtifactError: it is broken.
        """
        try:
            if set(value) != {"format_version", "schema", "parts", "places"}:
                raise KeyError(*sorted(value))
            return cls(
                Schema.from_dict(value["schema"]),
                tuple(Preprocessor.from_dict(part) for part in value["parts"]),
                tuple(tuple(int(place) for place in places) for places in value["places"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ArtifactError(
                f"preprocess.json is broken ({error!r}); publish the model again"
            ) from error

    def digest(self) -> str:
        """SHA-256 over the canonical JSON: equal for equal fits on any machine."""
        return sha256_hex(canonical_json(self.to_dict() | {"schema": self.schema.digest()}))


def join_preprocessors(parts: Sequence[Preprocessor]) -> Preprocessor | Joined:
    """One preprocessor of several, or the only one as it is.

    Args:
        parts: fitted over schemas that differ in nothing but which columns are ignored.

    Raises:
        ArtifactError: the schemas have other columns or kinds.
    """
    if len(parts) == 1:
        return parts[0]
    schema = _union([part.schema for part in parts])
    index = {column.name: place for place, column in enumerate(schema.features)}
    places = tuple(
        code_places(schema, [index[column.name] for column in part.schema.features])
        for part in parts
    )
    return Joined(schema, tuple(parts), places)


def _union(schemas: Sequence[Schema]) -> Schema:
    """The columns of all; one is a feature if any schema says so."""
    first, *rest = schemas
    columns = list(first.columns)
    for other in rest:
        if [(c.name, c.kind, c.domain) for c in other.columns] != [
            (c.name, c.kind, c.domain) for c in columns
        ]:
            raise ArtifactError(
                "preprocessors are joined over the columns of one table; their schemas differ in "
                "more than what they ask for: fit them on one snapshot"
            )
        columns = [
            theirs if ours.role is Role.IGNORED else ours
            for ours, theirs in zip(columns, other.columns, strict=True)
        ]
    return Schema(tuple(columns))


def read_preprocessor(value: Any) -> Preprocessor | Joined:
    """The inverse of both ``to_dict``.

    Raises:
        ArtifactError: the JSON is neither.
    """
    if isinstance(value, dict) and value.get("format_version") == JOINED_VERSION:
        return Joined.from_dict(value)
    return Preprocessor.from_dict(value)
