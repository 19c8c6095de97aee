"""What is counted by a category, or by two: statistics of groups, shares, frequent cells.

The makers are fitted with these numbers and candidates are rated by the same ones. Groups are
shrunk toward all rows, since a group of one row would tell that row its own value, and only in
training.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tenfold.features.codes import Codes

__all__ = ["frequent_cells", "group_shares", "group_slots", "group_statistics"]

SHRINK_ROWS = 10.0
"""Rows of "all rows" that every group is given on top of its own; the usual smoothing of means."""
CROSS_ROWS = 10
"""A pair of categories seen less often is unseen: nothing could be learned about it."""
CROSS_CATEGORIES = 256
"""Most categories of a cross, the most frequent; more would be too rare to learn from."""

Slots = npt.NDArray[np.intp]
Table = tuple[float, ...]


def group_slots(codes: Codes, *, size: int) -> Slots:
    """Per row its place in a table ``[missing, unseen, code 0, ...]``."""
    return np.where(np.isnan(codes), 0.0, np.clip(codes, -1.0, size - 1) + 2.0).astype(np.intp)


def group_statistics(category: Codes, number: Codes, *, size: int) -> tuple[Table, Table]:
    """Shrunken mean and standard deviation of a number per group; unseen stands for all rows."""
    known = np.isfinite(number)
    slots, values = group_slots(category[known], size=size), number[known]
    with np.errstate(over="ignore", invalid="ignore"):
        center = float(values.mean()) if len(values) else np.nan
        apart = values - center
        variance = float(np.mean(apart * apart)) if len(values) else np.nan
        n = np.bincount(slots, minlength=size + 2).astype(np.float64)
        sums = np.bincount(slots, weights=apart, minlength=size + 2)
        own = sums / np.maximum(n, 1.0)
        within = apart - own[slots]
        squares = np.bincount(slots, weights=within * within, minlength=size + 2)
        n[1] = sums[1] = squares[1] = 0.0
        mean = center + sums / (n + SHRINK_ROWS)
        spread = np.sqrt((squares + SHRINK_ROWS * variance) / (n + SHRINK_ROWS))
    return _plain(mean), _plain(spread)


def _plain(values: Codes) -> Table:
    return tuple(np.where(np.isfinite(values), values, np.nan).tolist())


def group_shares(category: Codes, *, size: int) -> Table:
    """Share of all rows that each group has; unseen has none."""
    n = np.bincount(group_slots(category, size=size), minlength=size + 2).astype(np.float64)
    n[1] = 0.0
    return _plain(n / max(1, len(category)))


def frequent_cells(left: Codes, right: Codes, *, n_cells: int, width: int) -> tuple[int, ...]:
    """The most frequent cells with `CROSS_ROWS` rows or more; of equals the first."""
    known = (left >= 0.0) & (right >= 0.0)
    counts = np.bincount((left[known] * width + right[known]).astype(np.intp), minlength=n_cells)
    ranked = np.argsort(-counts, kind="stable")[:CROSS_CATEGORIES]
    return tuple(int(cell) for cell in ranked if counts[cell] >= CROSS_ROWS)
