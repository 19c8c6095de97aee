"""The second stage of a fit: what is made and kept before the operations are fitted.

The first read of the rows is the profile; the second one, of training rows in hash order, fits what
the profile cannot know: statistics of pairs of columns, the profile of constructed columns, and
which columns are worth keeping. Whoever judges that (`tenfold.training.making`) gets the codes of
the same read; nothing reads a third time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from tenfold.features.codes import Codes, code_places, code_width
from tenfold.features.construct import Construction, served_schema
from tenfold.features.crossfit import CrossFit
from tenfold.profile import (
    CategoryAssociation,
    CategoryProfile,
    CoMoments,
    NumberAssociation,
    NumberProfile,
    Profile,
    merge_profiles,
)
from tenfold.profile.association import Target
from tenfold.schema import Column, Schema

if TYPE_CHECKING:
    from tenfold.features.recipe import Recipe

__all__ = ["Stage", "extend_profile", "narrow_profile"]


@dataclass(frozen=True, eq=False)
class Stage:
    """What stands between the codes of a table and the operations. A value.

    Attributes:
        schema: of the model: the table's, with the features that are not needed ignored.
        places: of its codes among the codes of the table; None for all.
        construction: over the codes of its features, or None.
        profiles: one a training fold, of the columns that the operations see.
        made: names of constructed columns.
        dropped: features of the table that the model does not ask for.
        facts: what was found, in words, for the card.
    """

    schema: Schema
    profiles: Mapping[int, Profile]
    places: tuple[int, ...] | None = None
    construction: Construction | None = None
    made: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()

    @cached_property
    def profile(self) -> Profile:
        """Of all training rows."""
        return merge_profiles([self.profiles[fold] for fold in sorted(self.profiles)])

    @property
    def seen(self) -> Schema:
        """Of the columns that the operations see."""
        made = self.construction
        return self.schema if made is None else made.extend(self.schema)

    def narrow(self, codes: Codes) -> Codes:
        """From codes of the table (n_rows, n_codes) to those of the model's schema."""
        return codes if self.places is None else codes[:, np.array(self.places, dtype=np.intp)]

    def crossfit(self, recipe: Recipe, *, ordered: bool = False) -> CrossFit:
        """The first-stage fit on top of this; reads no row.

        Raises:
            DataError: no column has a usable kind, or a target encoding has no target.
        """
        return CrossFit.fit(
            self.schema,
            self.profiles,
            recipe=recipe,
            ordered=ordered,
            construction=self.construction,
        )

    def keep(self, outputs: Sequence[int]) -> Stage:
        """The same stage with only some of the columns that the operations see.

        Args:
            outputs: their places, increasing.
        """
        features = self.schema.features
        whole = self.construction or Construction.of(self.schema)
        needed, construction = whole.narrow(outputs, schema=self.schema)
        places = self.places or tuple(range(code_width(self.schema)))
        stay = {features[place].name for place in needed}
        schema = served_schema(self.schema, needed)
        seen = schema if construction is None else construction.extend(schema)
        return replace(
            self,
            schema=schema,
            profiles={fold: narrow_profile(p, seen) for fold, p in self.profiles.items()},
            places=tuple(places[place] for place in code_places(self.schema, needed)),
            construction=construction,
            made=() if construction is None else construction.names,
            dropped=(*self.dropped, *(c.name for c in features if c.name not in stay)),
        )


def narrow_profile(profile: Profile, schema: Schema) -> Profile:
    """The profile of the columns of a schema alone.

    Args:
        profile: holds every feature of the schema and its target.
        schema: of the columns that stay.
    """
    names = {column.name for column in schema.features}
    kept = names if schema.target is None else names | {schema.target.name}
    moments = profile.comoments
    at = [k for k, name in enumerate(moments.names) if name in kept]
    square = np.ix_(at, at)
    return Profile(
        schema=schema,
        n_rows=profile.n_rows,
        numbers={k: v for k, v in profile.numbers.items() if k in kept},
        categories={k: v for k, v in profile.categories.items() if k in kept},
        associations={k: v for k, v in profile.associations.items() if k in names},
        comoments=CoMoments(
            tuple(moments.names[k] for k in at),
            moments.n[square],
            moments.mean[square],
            moments.m2[square],
            moments.c2[square],
        ),
        texts={k: v for k, v in profile.texts.items() if k in names},
    )


def extend_profile(
    profile: Profile,
    construction: Construction,
    codes: Codes,
    *,
    schema: Schema,
    target: Target | None,
) -> Profile:
    """The profile of what a construction gives: first-stage numbers where the column is one of the
    table, the second read's where it was made.

    Args:
        profile: of the rows of a fold, or of several; all features.
        construction: fitted on all training rows.
        codes: float64 (n_rows, `code_width` of ``schema``) of the second read: these rows, or a
            sample of them.
        schema: of the codes.
        target: of the same rows; None without one.
    """
    seen = construction.extend(schema)
    values = construction.apply(codes)[:, len(construction.direct) : construction.n_outputs]
    made = construction.made(schema.features)
    base = narrow_profile(
        profile, Schema(tuple(c for c in seen.columns if c.name not in construction.names))
    )
    numbers, categories = dict(base.numbers), dict(base.categories)
    associations = dict(base.associations)
    for column, cells in zip(made, values.T, strict=True):
        if column.domain is None:
            numbers[column.name] = NumberProfile.from_values(cells)
            if target is not None:
                associations[column.name] = NumberAssociation.from_values(cells, target)
            continue
        categories[column.name] = _count(column, cells)
        if target is not None:
            associations[column.name] = _associate(column, cells, target)
    return replace(
        base, schema=seen, numbers=numbers, categories=categories, associations=associations
    )


def _count(column: Column, cells: Codes) -> CategoryProfile:
    domain = column.domain or ()
    known = cells[~np.isnan(cells)].astype(np.intp)
    counts = np.bincount(known + 1, minlength=len(domain) + 1).tolist()
    return CategoryProfile(
        count=len(known),
        nulls=len(cells) - len(known),
        counts=dict(zip(domain, counts[1:], strict=True)),
        other=counts[0],
    )


def _associate(column: Column, cells: Codes, target: Target) -> CategoryAssociation:
    """Groups: the categories, then all that are none of them, then missing."""
    size = len(column.domain or ())
    groups = np.where(np.isnan(cells), size + 1.0, np.where(cells < 0, float(size), cells))
    stats = target.by_group(groups.astype(np.intp), n_groups=size + 2)
    return CategoryAssociation(column.domain or (), stats)
