"""What is constructed in all: a frozen value between the codes of a row and the operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tenfold.errors import ArtifactError
from tenfold.features.codes import Codes, code_places
from tenfold.features.construct.base import Maker
from tenfold.features.construct.candidates import MAX_CONSTRUCTED
from tenfold.features.construct.crosses import Cross
from tenfold.features.construct.groups import Aggregate, Deviation
from tenfold.features.construct.pairs import Difference, Ratio
from tenfold.schema import Column, Role, Schema

__all__ = ["MAKERS", "Construction", "served_schema"]

MAKERS: dict[str, type[Maker]] = {
    maker.kind: maker for maker in (Difference, Ratio, Aggregate, Deviation, Cross)
}
"""The one table of makers: what is not in it cannot be loaded."""


@dataclass(frozen=True, eq=False)
class Construction:
    """Codes of a schema's features in, codes with the constructed columns out.

    Immutable; any thread may use it. A row gets the same bits alone and in a batch.

    Measured (24 made columns of all kinds over adult's 14, one core of a busy 2-core box): 26 us
    for one row, 0.66 us for a row of a large table.

    Attributes:
        direct: places of the features that the operations see themselves, increasing; the others
            are only there to be constructed from.
        makers: what makes columns, in order.
        names: of the made columns, one an output of the makers.
        counts: places of the counts of the direct texts, which pass on behind the made columns.
    """

    direct: tuple[int, ...]
    makers: tuple[Maker, ...]
    names: tuple[str, ...]
    counts: tuple[int, ...] = ()

    @classmethod
    def of(
        cls, schema: Schema, makers: tuple[Maker, ...] = (), names: tuple[str, ...] = ()
    ) -> Construction:
        """One that passes all features of a schema on."""
        direct = tuple(range(len(schema.features)))
        return cls(direct, makers, names, code_places(schema, direct)[len(direct) :])

    @property
    def n_outputs(self) -> int:
        """Columns that the operations see."""
        return len(self.direct) + len(self.names)

    def apply(self, codes: Codes) -> Codes:
        """The codes that the operations read.

        Args:
            codes: float64 (n_rows, `code_width` of the schema); not changed.

        Returns:
            float64 (n_rows, n_outputs and the counts of texts), the direct columns first.
        """
        out = np.empty((len(codes), self.n_outputs + len(self.counts)), dtype=np.float64)
        start = len(self.direct)
        out[:, :start] = codes.take(self._places, axis=1)
        for maker in self.makers:
            end = start + maker.n_outputs
            maker.apply(codes, out[:, start:end])
            start = end
        if self.counts:
            out[:, start:] = codes.take(self._counts, axis=1)
        return out

    def extend(self, schema: Schema) -> Schema:
        """The schema of what `apply` gives: direct features, made ones, then the target."""
        columns = schema.features
        target = () if schema.target is None else (schema.target,)
        return Schema((*(columns[k] for k in self.direct), *self.made(columns), *target))

    def made(self, columns: Sequence[Column]) -> list[Column]:
        """The made columns, given the columns of the codes."""
        made: list[Column] = []
        for maker in self.makers:
            names = self.names[len(made) : len(made) + maker.n_outputs]
            made += maker.describe(names, columns)
        return made

    def narrow(
        self, outputs: Sequence[int], *, schema: Schema
    ) -> tuple[tuple[int, ...], Construction | None]:
        """What is left when only some of the columns of `apply` are wanted.

        Args:
            outputs: their places, increasing.
            schema: of the codes.

        Returns:
            The places of the features that are still needed, increasing, and the construction over
            the codes of those alone; None where nothing is constructed and all pass.
        """
        wanted = set(outputs)
        direct = [place for k, place in enumerate(self.direct) if k in wanted]
        parts: list[tuple[Maker, list[int]]] = []
        names: list[str] = []
        start = len(self.direct)
        for maker in self.makers:
            kept = [k for k in range(maker.n_outputs) if start + k in wanted]
            names += [self.names[start - len(self.direct) + k] for k in kept]
            start += maker.n_outputs
            if kept:
                parts.append((maker, kept))
        inputs = {place for maker, kept in parts for k in kept for place in maker.inputs(k)}
        needed = tuple(sorted({*direct, *inputs}))
        if not parts:
            return needed, None
        places = {place: k for k, place in enumerate(needed)}
        makers = tuple(maker.narrow(kept, places) for maker, kept in parts)
        n_counts = len(code_places(schema, direct)) - len(direct)
        counts = tuple(range(len(needed), len(needed) + n_counts))  # no maker reads a text
        return needed, Construction(tuple(places[k] for k in direct), makers, tuple(names), counts)

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "direct": list(self.direct),
            "makers": [maker.to_dict() for maker in self.makers],
            "names": list(self.names),
        }

    @classmethod
    def from_dict(cls, value: Any, *, schema: Schema) -> Construction:
        """The inverse of `to_dict`, for JSON that nobody should trust.

        Args:
            value: what `to_dict` gave.
            schema: whose features' codes it reads.

        Raises:
            ArtifactError: a field is missing or unknown, a maker is not in the table, or numbers
                and names do not fit together.
        """
        if not isinstance(value, dict) or set(value) != {"direct", "makers", "names"}:
            raise _broken("has the fields direct, makers and names")
        direct, makers, names = value["direct"], value["makers"], value["names"]
        if not all(isinstance(part, list) for part in (direct, makers, names)) or not makers:
            raise _broken("holds three lists, and one maker at least")
        if len(names) > MAX_CONSTRUCTED:
            raise _broken(f"makes at most {MAX_CONSTRUCTED} columns")
        n_features = len(schema.features)
        whole = all(isinstance(k, int) and not isinstance(k, bool) for k in direct)
        if not whole or direct != sorted({k for k in direct if 0 <= k < n_features}):
            raise _broken(f"passes on increasing columns below {n_features}")
        sizes = tuple(len(column.domain or ()) for column in schema.features)
        read = tuple(_maker(maker, sizes=sizes) for maker in makers)
        if sum(maker.n_outputs for maker in read) != len(names):
            raise _broken("names every made column")
        if not all(isinstance(name, str) for name in names):
            raise _broken("has names that are text")
        taken = [*schema.names, *names]
        if len(set(taken)) != len(taken):
            raise _broken("has names that no other column has")
        return cls(tuple(direct), read, tuple(names), code_places(schema, direct)[len(direct) :])

    @cached_property
    def _places(self) -> npt.NDArray[np.intp]:
        return np.array(self.direct, dtype=np.intp)

    @cached_property
    def _counts(self) -> npt.NDArray[np.intp]:
        return np.array(self.counts, dtype=np.intp)


def _maker(value: object, *, sizes: tuple[int, ...]) -> Maker:
    kind = value.get("op") if isinstance(value, Mapping) else value
    if not isinstance(value, dict) or not isinstance(kind, str) or kind not in MAKERS:
        raise _broken(f"knows the makers {', '.join(sorted(MAKERS))}, not {kind!r}")
    return MAKERS[kind].from_dict(value, sizes=sizes)


def _broken(law: str) -> ArtifactError:
    return ArtifactError(f"preprocess.json: the construction {law}; publish the model again")


def served_schema(schema: Schema, needed: Sequence[int]) -> Schema:
    """The schema of a model that needs some of the features: the others become ignored columns,
    which a request may carry and nobody reads.

    Args:
        schema: of the table.
        needed: places of the features that stay.
    """
    stay = {schema.features[place].name for place in needed}
    return Schema(
        tuple(
            replace(column, role=Role.IGNORED, evidence="not kept by the selection")
            if column.role is Role.FEATURE and column.name not in stay
            else column
            for column in schema.columns
        )
    )
