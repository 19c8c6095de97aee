"""Several preprocessors as one: their matrices side by side, for a model that blends others.

Each part may ask for columns of its own; the joined one asks for all of them once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tenfold.errors import ArtifactError
from tenfold.features.codes import Codes, code_places, code_width
from tenfold.features.ops.base import Features
from tenfold.features.preprocessor import Prepares, Preprocessor
from tenfold.schema import Role, Schema

__all__ = ["JOINED_VERSION", "Joined", "join_preprocessors", "read_preprocessor"]

JOINED_VERSION = 3
"""Of a preprocessor of several parts, which a reader of versions 1 and 2 could not."""


@dataclass(frozen=True)
class Joined(Prepares):
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

    @cached_property
    def _steps(self) -> tuple[tuple[Preprocessor, Any, slice], ...]:
        """Each part with the codes that it takes, None for all as they stand, and its columns."""
        everything = tuple(range(code_width(self.schema)))
        ends = np.cumsum([part.n_features for part in self.parts]).tolist()
        return tuple(
            (
                part,
                None if places == everything else np.array(places, dtype=np.intp),
                slice(end - part.n_features, end),
            )
            for part, places, end in zip(self.parts, self.places, ends, strict=True)
        )

    def transform_codes(self, codes: Codes) -> Features:
        """The parts' matrices side by side; see `Preprocessor.transform_codes`."""
        out = np.empty((len(codes), self.n_features), dtype=np.float32)
        for part, places, block in self._steps:
            part.fill(codes if places is None else codes.take(places, axis=1), out[:, block])
        return out

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
