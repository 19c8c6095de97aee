"""The fit of categories: numbers, 0/1 features, or what the target does in each."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tenfold.features.hashing import text_hash
from tenfold.features.native import fit_native
from tenfold.features.ops import Hashed, Lookup, OneHot, Op
from tenfold.features.recipe import Recipe
from tenfold.features.target_coding import TargetTables
from tenfold.schema import Column, Kind, Schema

if TYPE_CHECKING:
    from tenfold.profile import Profile
    from tenfold.profile.categories import CategoryProfile

__all__ = ["fit_categories", "is_hashed", "target_columns"]

_MISSING_CODE = -2.0
"""What a missing category becomes for families that cannot take NaN."""


def is_hashed(column: Column) -> bool:
    """Whether a column has texts and no domain, so that its codes are hashes of them.

    >>> is_hashed(Column("ticket", Kind.IDENTIFIER)), is_hashed(Column("note", Kind.TEXT))
    (True, False)
    """
    return column.kind in (Kind.CATEGORY, Kind.IDENTIFIER) and column.domain is None


def target_columns(schema: Schema, *, recipe: Recipe) -> list[tuple[int, Column]]:
    """The columns that a recipe encodes by the target, with their places in the codes.

    Domains decide, never rows, so that every fold makes the same features.
    """
    return [
        (place, column)
        for place, column in enumerate(schema.features)
        if column.domain and recipe.coding_of(len(column.domain)) == "target"
    ]


def fit_categories(
    columns: list[tuple[int, Column]], profile: Profile, *, recipe: Recipe
) -> list[tuple[Op, list[str]]]:
    """Operations and the names of their features.

    Args:
        columns: places in the codes and columns; those without a domain are hashed.
        profile: summary of the training rows only.
        recipe: what to make of which column.

    Raises:
        DataError: a target encoding without a target.
    """
    by_coding: dict[str, list[tuple[int, Column]]] = {}
    for place, column in columns:
        coding = recipe.coding_of(len(column.domain)) if column.domain else "hashed"
        by_coding.setdefault(coding, []).append((place, column))
    ops: list[tuple[Op, list[str]]] = []
    for coding in ("ordinal", "frequency"):
        if coding in by_coding:
            ops.append(_fit_lookup(by_coding[coding], profile, coding=coding, recipe=recipe))
    if "native" in by_coding:
        ops.append(fit_native(by_coding["native"], profile, recipe=recipe))
    if "onehot" in by_coding:
        ops.append(_fit_onehot(by_coding["onehot"], profile, recipe=recipe))
    if "target" in by_coding:
        tables = TargetTables(by_coding["target"], {0: profile}, recipe=recipe)
        ops.append((tables.op([0]), tables.feature_names))
    if "hashed" in by_coding:
        ops.append(_fit_hashed(by_coding["hashed"], profile, recipe=recipe))
    return ops


def _fit_lookup(
    columns: list[tuple[int, Column]], profile: Profile, *, coding: str, recipe: Recipe
) -> tuple[Op, list[str]]:
    tables = []
    for _, column in columns:
        seen = profile.categories[column.name]
        frequent = _frequent(column, seen, recipe=recipe)
        if coding == "ordinal":
            codes = (float(k) if keep else -1.0 for k, keep in enumerate(frequent))
            tables.append((math.nan if recipe.leaves_missing else _MISSING_CODE, -1.0, *codes))
        else:
            tables.append(_frequencies(column, seen, frequent))
    places = tuple(place for place, _ in columns)
    return Lookup(places, tuple(tables)), [column.name for _, column in columns]


def _fit_hashed(
    columns: list[tuple[int, Column]], profile: Profile, *, recipe: Recipe
) -> tuple[Op, list[str]]:
    tables: list[tuple[int, ...]] = []
    for _, column in columns:
        domain = column.domain or ()
        seen = profile.categories[column.name]
        frequent = _frequent(column, seen, recipe=recipe)
        hashes = (
            int(text_hash(text)) if keep else -1
            for text, keep in zip(domain, frequent, strict=True)
        )
        tables.append((-1, -1, *hashes) if domain else ())
    names = [f"{column.name}#{slot}" for _, column in columns for slot in range(recipe.slots)]
    places = tuple(place for place, _ in columns)
    return Hashed(places, recipe.slots, tuple(tables)), names


def _frequent(column: Column, seen: CategoryProfile, *, recipe: Recipe) -> list[bool]:
    """Per category of the domain: whether training had enough of it.

    A category of the domain that training never met is as unknown to the model as an unseen one.
    """
    return [seen.counts.get(text, 0) >= recipe.rare_min_count for text in column.domain or ()]


def _frequencies(column: Column, seen: CategoryProfile, frequent: list[bool]) -> tuple[float, ...]:
    n = max(seen.count + seen.nulls, 1)
    shares = (
        seen.counts.get(text, 0) / n if keep else 0.0
        for text, keep in zip(column.domain or (), frequent, strict=True)
    )
    return (seen.nulls / n, 0.0, *shares)


def _fit_onehot(
    columns: list[tuple[int, Column]], profile: Profile, *, recipe: Recipe
) -> tuple[Op, list[str]]:
    slots: list[tuple[int, ...]] = []
    names: list[str] = []
    for _, column in columns:
        seen = profile.categories[column.name]
        domain = column.domain or ()
        frequent = [k for k, keep in enumerate(_frequent(column, seen, recipe=recipe)) if keep]
        ranked = sorted(frequent, key=lambda k: (-seen.counts[domain[k]], k))
        kept = sorted(ranked[: recipe.max_onehot])
        place = {k: len(names) + rank for rank, k in enumerate(kept)}
        names += [f"{column.name}={domain[k]}" for k in kept]
        rare = missing = -1
        if any(seen.counts.get(text, 0) for k, text in enumerate(domain) if k not in place):
            rare = len(names)
            names.append(f"{column.name}=(other)")
        if seen.nulls:
            missing = len(names)
            names.append(f"{column.name}=(missing)")
        slots.append((missing, rare, *(place.get(k, rare) for k in range(len(domain)))))
    return OneHot(tuple(place for place, _ in columns), tuple(slots), len(names)), names
