"""Associations of two columns, from the sampled rows: for what a profile cannot merge.

Sources: C. Spearman, "The proof and measurement of association between two things" (1904); H.
Cramér (1946) with the bias correction of W. Bergsma (2013); K. Pearson's correlation ratio (1905).
A table of no more rows than the sample holds is judged whole; else the standard error is about one
over the root of the sample's rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tenfold.profile.columns import NUMBER_KINDS, column_values
from tenfold.profile.finding import Finding, Law, Level
from tenfold.profile.grid import Floats
from tenfold.profile.strength import correlation_ratio, cramers_v
from tenfold.profile.survey import Survey, surveyed_columns
from tenfold.schema import Column, Kind, Role

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["MAX_PAIRED", "Coded", "Pairs", "pairs_of", "twin_findings"]

MAX_PAIRED = 60
"""Numbers, and categories, that are paired: a second of work at most."""
MAX_LEVELS = 50
"""Categories told apart, the most frequent; rarer ones are one."""
MIN_ROWS = 30
"""Rows that two columns must share."""
SAME_ORDER = 0.9999
"""Rank correlation of two columns that say the same on another scale."""

Codes = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Coded:
    """A column as codes.

    Attributes:
        column: which.
        codes: rank of the value among the distinct ones, or index of the category; -1 missing.
        n_codes: how many there are.
        values: the numbers, NaN where missing; None for a category.
    """

    column: Column
    codes: Codes
    n_codes: int
    values: Floats | None


@dataclass(frozen=True, slots=True)
class Pairs:
    """Every pair of columns, by the measure for their kinds; NaN where it cannot be told.

    Attributes:
        n_rows: rows looked at.
        numbers: shape (n_numbers,).
        categories: shape (n_categories,).
        spearman: shape (n_numbers, n_numbers).
        cramers_v: shape (n_categories, n_categories), bias-corrected.
        correlation_ratio: shape (n_categories, n_numbers).
    """

    n_rows: int
    numbers: tuple[Coded, ...]
    categories: tuple[Coded, ...]
    spearman: Floats
    cramers_v: Floats
    correlation_ratio: Floats


def pairs_of(survey: Survey) -> Pairs:
    """The pairs among the target and the first `MAX_PAIRED` features of each sort."""
    table = survey.sample.table
    columns = [c for c in surveyed_columns(survey.schema) if c.role is not Role.TIME]
    numbers = [c for c in columns if c.kind in NUMBER_KINDS][:MAX_PAIRED]
    others = [c for c in columns if c.kind not in NUMBER_KINDS][:MAX_PAIRED]
    ranked = tuple(_ranked(c, table.column(c.name)) for c in numbers)
    coded = tuple(_coded(c, table.column(c.name)) for c in others)
    return Pairs(
        n_rows=survey.sample.n_rows,
        numbers=ranked,
        categories=coded,
        spearman=_square(ranked, _rank_correlation),
        cramers_v=_square(coded, _association),
        correlation_ratio=np.array([[_ratio(c, n) for n in ranked] for c in coded]).reshape(
            len(coded), len(ranked)
        ),
    )


def _ranked(column: Column, array: pa.ChunkedArray) -> Coded:
    values = column_values(array.combine_chunks())
    finite = np.isfinite(values)
    distinct, inverse = np.unique(values[finite], return_inverse=True)
    codes = np.full(len(values), -1, dtype=np.intp)
    codes[finite] = inverse
    return Coded(column, codes, len(distinct), np.where(finite, values, np.nan))


def _coded(column: Column, array: pa.ChunkedArray) -> Coded:
    encoded = array.combine_chunks().dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.intp)
    counts = np.bincount(codes[codes >= 0], minlength=len(encoded.dictionary))
    place = np.argsort(np.argsort(-counts, kind="stable"), kind="stable")
    place = np.append(np.minimum(place, MAX_LEVELS), -1)
    return Coded(column, place[codes], min(len(counts), MAX_LEVELS + 1), None)


def _square(found: Sequence[Coded], measure: Any) -> Floats:
    out = np.full((len(found), len(found)), np.nan)
    for i, left in enumerate(found):
        for j in range(i + 1):
            out[i, j] = out[j, i] = measure(left, found[j])
    return out


def _rank_correlation(left: Coded, right: Coded) -> float:
    both = (left.codes >= 0) & (right.codes >= 0)
    if int(both.sum()) < 2:
        return float("nan")
    one, two = (_ranks(side.codes[both], side.n_codes) for side in (left, right))
    spread = float(np.sqrt(np.sum(one * one) * np.sum(two * two)))
    return float(np.clip(np.sum(one * two) / spread, -1.0, 1.0)) if spread > 0.0 else float("nan")


def _ranks(codes: Codes, n_codes: int) -> Floats:
    """Ranks about their mean, equal values sharing theirs."""
    counts = np.bincount(codes, minlength=n_codes)
    ranks = np.cumsum(counts) - (counts - 1) / 2.0
    return np.asarray(ranks[codes] - (len(codes) + 1) / 2.0)


def _table(left: Coded, right: Coded) -> npt.NDArray[np.int64]:
    both = (left.codes >= 0) & (right.codes >= 0)
    flat = left.codes[both] * right.n_codes + right.codes[both]
    counts = np.bincount(flat, minlength=left.n_codes * right.n_codes)
    return counts.reshape(left.n_codes, right.n_codes).astype(np.int64)


def _association(left: Coded, right: Coded) -> float:
    table = _table(left, right)
    varies = (table.sum(axis=1) > 0).sum() > 1 and (table.sum(axis=0) > 0).sum() > 1
    return cramers_v(table) if varies else float("nan")


def _ratio(category: Coded, number: Coded) -> float:
    both = (category.codes >= 0) & (number.codes >= 0)
    if number.values is None or int(both.sum()) < 2:
        return float("nan")
    codes, values = category.codes[both], number.values[both]
    scale = float(np.abs(values).max())
    values = values / scale if scale > 0.0 else values  # no square leaves float64
    n = np.bincount(codes, minlength=category.n_codes)
    sums = np.bincount(codes, weights=values, minlength=category.n_codes).astype(np.float64)
    mean = sums / np.maximum(n, 1)
    apart = values - mean[codes]
    m2 = np.bincount(codes, weights=apart * apart, minlength=category.n_codes).astype(np.float64)
    if (n > 0).sum() < 2 or float(np.var(values)) == 0.0:
        return float("nan")
    return correlation_ratio(n.astype(np.int64), mean, m2)


def twin_findings(pairs: Pairs) -> list[Finding]:
    """Features that say the same in other words: each value of one goes with one of the other.

    Numbers in a straight line are told from the profile already; here are those in one order,
    and categories, or numbers of few values, that map one to one.
    """
    found = []
    features = [c for c in pairs.numbers if c.column.role is Role.FEATURE]
    place = {c.column.name: i for i, c in enumerate(pairs.numbers)}
    for j, right in enumerate(features):
        for left in features[:j]:
            rho = pairs.spearman[place[left.column.name], place[right.column.name]]
            if abs(rho) >= SAME_ORDER and not _in_line(left, right):
                found.append(
                    _twins(left, right, f"they have one order, rank correlation {rho:.4f}")
                )
    few = [
        c
        for c in (*pairs.categories, *pairs.numbers)
        if c.column.role is Role.FEATURE and 2 <= c.n_codes <= MAX_LEVELS
    ]
    for j, right in enumerate(few):
        for left in few[:j]:
            numbers = left.values is not None and right.values is not None
            if not numbers and _one_to_one(_table(left, right)):
                found.append(_twins(left, right, "their values go one to one"))
    return found


def _one_to_one(table: npt.NDArray[np.int64]) -> bool:
    used = table > 0
    rows = int((used.sum(axis=1) > 0).sum())
    each = int(used.sum()) == rows == int((used.sum(axis=0) > 0).sum())
    return each and rows > 1 and int(table.sum()) >= MIN_ROWS


def _in_line(left: Coded, right: Coded) -> bool:
    if left.values is None or right.values is None or Kind.DATETIME in (
        left.column.kind, right.column.kind,
    ):  # fmt: skip
        return False
    both = (left.codes >= 0) & (right.codes >= 0)
    r = np.corrcoef(left.values[both], right.values[both])[0, 1]
    return bool(both.sum() < MIN_ROWS or abs(r) >= SAME_ORDER)


def _twins(left: Coded, right: Coded, how: str) -> Finding:
    return Finding(
        Level.NOTE,
        right.column.name,
        Law.TWINS,
        f"columns {left.column.name!r} and {right.column.name!r} say the same ({how}): one is "
        "enough",
    )
