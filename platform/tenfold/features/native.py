"""Native categories: a slot for each text, which trees split by sets instead of by order.

**One rule for what has no slot of its own**, made at the fit and kept as a table, so that every
door and every batch answers alike:

- a text that training had at least twice has a slot, the most frequent `MAX_SLOTS` - 1 of a column;
- all other texts, those that training had once and those it never met, share slot 0;
- a missing value is missing (NaN): a split sends it to the side that it learned;
- of these two kinds one that training had no row of goes with the other, and where training had
  neither, with the most frequent text: no tree ever learned where else to send it. XGBoost sends
  a category that a split never met to the left, whatever lies there (measured: 3,000 categories
  with effects of one standard deviation, an unseen one was answered 14 above the mean).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from tenfold.features.ops import NativeCodes, Op
from tenfold.features.recipe import Recipe
from tenfold.schema import Column

if TYPE_CHECKING:
    from tenfold.profile import Profile
    from tenfold.profile.categories import CategoryProfile

__all__ = ["MAX_SLOTS", "fit_native", "native_table"]

MAX_SLOTS: Final = 1024
"""Of one column: a split of 10,000 categories writes up to 10,000 numbers into the model, so 200
trees take some 150 MB."""
LEAST_COUNT: Final = 2
"""Rows of a text with a slot of its own. Texts seen once teach what a stranger is like."""
OTHERS: Final = 0.0
"""The slot of all texts without one."""


def fit_native(
    columns: list[tuple[int, Column]], profile: Profile, *, recipe: Recipe
) -> tuple[Op, list[str]]:
    """The operation and the names of its features, one a column.

    Args:
        columns: places in the codes and columns, each with a domain.
        profile: summary of the training rows only.
        recipe: how many rows a text needs, at least `LEAST_COUNT`, and whether missing stays NaN.
    """
    least = max(LEAST_COUNT, recipe.rare_min_count)
    tables = tuple(
        native_table(
            column.domain or (),
            profile.categories[column.name],
            least=least,
            leaves_missing=recipe.leaves_missing,
        )
        for _, column in columns
    )
    return NativeCodes(tuple(place for place, _ in columns), tables), [c.name for _, c in columns]


def native_table(
    domain: tuple[str, ...], seen: CategoryProfile, *, least: int, leaves_missing: bool
) -> tuple[float, ...]:
    """``[missing, unseen, code 0, code 1, ...]`` of one column.

    Args:
        domain: texts in the order of their codes.
        seen: what training had.
        least: rows of a text with a slot of its own.
        leaves_missing: whether a missing value may be NaN; else it is one of the others.
    """
    counts = [seen.counts.get(text, 0) for text in domain]
    frequent = [code for code, count in enumerate(counts) if count >= least]
    ranked = sorted(frequent, key=lambda code: (-counts[code], code))[: MAX_SLOTS - 1]
    slots = {code: 1.0 + rank for rank, code in enumerate(sorted(ranked))}
    has_missing = leaves_missing and seen.nulls > 0
    others_seen = seen.count - sum(counts[code] for code in slots)
    has_others = others_seen > 0 or (seen.nulls > 0 and not leaves_missing)
    stranger = slots[ranked[0]] if ranked else OTHERS
    missing = math.nan if has_missing else OTHERS if has_others else stranger
    others = OTHERS if has_others else missing
    return (missing, others, *(slots.get(code, others) for code in range(len(domain))))
