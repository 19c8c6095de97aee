"""What a person should know about a table before training on it: quality and leakage.

A finding says what was seen, with its numbers, and what to do. Rules are pure functions of the
profile; each threshold has a name and a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from tenfold.profile.finding import Finding, Law, Level
from tenfold.profile.grid import Floats
from tenfold.profile.leakage import leaks, sums
from tenfold.profile.profile import Profile
from tenfold.profile.words import as_value
from tenfold.schema import Column, Kind, Role, Schema

__all__ = ["Finding", "Law", "Level", "findings"]

MIN_ROWS = 30
"""Below this many rows shares and associations are noise: only counts are judged."""
NOTED_MISSING, MOSTLY_MISSING = 0.05, 0.4
"""Share of nulls worth a note; and where an imputed column is more guess than data."""
NEAR_CONSTANT = 0.995
"""Share of one value above which a fold may not see any other."""
NEAR_UNIQUE = 0.9
"""Distinct categories per row above which a column names rows instead of describing them."""
NUMBERED, NUMBERED_WIDTH = 0.99, 2.0
"""Integers that hardly repeat although their range is at most this many times the rows: a count
of rows, with gaps where rows went to the test set. Drawn at random, 21 % would repeat."""
HIGH_CARDINALITY = 50
"""Categories from which one-hot columns cost more than target or frequency encoding."""
FEW_VALUES = 10
"""Codes and ratings: tails and outliers of so few values mean nothing."""
SKEWED = 3.0
"""Skewness from which the mean and the standard deviation describe nobody."""
FENCE = 3.0
"""Tukey's outer fence, in interquartile ranges."""
FAR_OUT_SHARE = 0.02
"""More than this beyond the fence is a tail, not outliers."""
RARE_CLASS, FEW_ROWS = 0.05, 50
"""Share and rows of a class below which its metrics have wide intervals."""
TWINS = 0.9999
"""Correlation of two columns that say the same."""


Found = Iterator[Finding]


def findings(schema: Schema, profile: Profile) -> list[Finding]:
    """All findings, the gravest first, then in column order.

    Args:
        schema: of the table.
        profile: of the rows that models are trained on; the sealed test set is better left out.

    >>> import pyarrow as pa
    >>> schema = Schema((Column("x", Kind.NUMBER),))
    >>> table = pa.table({"x": pa.array([1.0] * 40)})
    >>> for found in findings(schema, Profile.from_table(table, schema)):
    ...     print(found.level, found.law, found.message)
    warning constant column 'x' has one value only (1): it cannot help; leave it out
    """
    found = [f for rule in _RULES for f in rule(schema, profile)]
    place = {name: i for i, name in enumerate(schema.names)}
    levels = list(Level)
    return sorted(found, key=lambda f: (levels.index(f.level), place.get(f.column or "", -1)))


def _missing(schema: Schema, profile: Profile) -> Found:
    for column in schema.features:
        part = profile.numbers.get(column.name) or profile.categories[column.name]
        rows = part.count + part.nulls
        share = part.nulls / max(1, rows)
        if rows == 0 or share < NOTED_MISSING:
            continue
        text = f"column {column.name!r} is missing in {part.nulls} of {rows} rows ({share:.0%})"
        if part.count == 0:
            yield Finding(Level.WARNING, column.name, Law.MISSING, f"{text}: leave it out")
        elif share >= MOSTLY_MISSING:
            advice = "what is imputed outweighs what is known; find out why, or leave it out"
            yield Finding(Level.WARNING, column.name, Law.MISSING, f"{text}: {advice}")
        else:
            advice = "it will be imputed, with an indicator where that helps"
            yield Finding(Level.NOTE, column.name, Law.MISSING, f"{text}: {advice}")


def _constant(schema: Schema, profile: Profile) -> Found:
    for column in schema.features:
        number = profile.numbers.get(column.name)
        category = profile.categories.get(column.name)
        if number is not None and number.count:
            at = int(np.argmax(number.counts))
            count, distinct = number.count, number.n_distinct
            value, most = (
                as_value(float(number.values[at]), kind=column.kind),
                int(number.counts[at]),
            )
        elif category is not None and category.counts:
            (value, most), count = category.top(1)[0], category.count
            value, distinct = repr(value), category.n_distinct
        else:
            continue
        if distinct == 1:
            message = f"column {column.name!r} has one value only ({value}): it cannot help; "
            yield Finding(Level.WARNING, column.name, Law.CONSTANT, message + "leave it out")
        elif count >= MIN_ROWS and most / count >= NEAR_CONSTANT:
            yield Finding(
                Level.NOTE,
                column.name,
                Law.CONSTANT,
                f"column {column.name!r} is {value} in {most} of {count} rows: some folds may "
                "see nothing else",
            )


def _cardinality(schema: Schema, profile: Profile) -> Found:
    for column in schema.features:
        category = profile.categories.get(column.name)
        number = profile.numbers.get(column.name)
        if column.kind is Kind.TEXT:
            continue  # prose is read by its words, which repeat
        if category is not None and category.count >= MIN_ROWS:
            distinct, count = category.n_distinct, category.count
            if distinct / count >= NEAR_UNIQUE:
                yield _names_rows(column, distinct, count)
            elif distinct > HIGH_CARDINALITY:
                rare = sum(n for _, n in category.top(len(category.counts))[HIGH_CARDINALITY:])
                yield Finding(
                    Level.NOTE,
                    column.name,
                    Law.HIGH_CARDINALITY,
                    f"column {column.name!r} has {distinct} categories; {rare + category.other} "
                    f"of {count} rows are outside the {HIGH_CARDINALITY} most frequent: rare ones "
                    "are encoded together",
                )
        elif number is not None and column.kind is Kind.INTEGER and number.count >= MIN_ROWS:
            width = number.maximum - number.minimum + 1
            numbered = number.n_distinct >= NUMBERED * number.count
            if numbered and width <= NUMBERED_WIDTH * number.count:
                yield _names_rows(column, number.n_distinct, number.count)


def _names_rows(column: Column, distinct: int, count: int) -> Finding:
    return Finding(
        Level.WARNING,
        column.name,
        Law.NEAR_UNIQUE,
        f"column {column.name!r} has {distinct} values in {count} rows: it names rows and will "
        "not repeat at prediction time; give it the role key or ignored",
    )


def _tails(schema: Schema, profile: Profile) -> Found:
    for column in schema.columns:
        number = profile.numbers.get(column.name)
        if number is None or number.count < MIN_ROWS or column.kind is Kind.DATETIME:
            continue
        low, median, high = (float(q) for q in number.quantiles([0.25, 0.5, 0.75]))
        reach = FENCE * (high - low)
        outside = (number.values < low - reach) | (number.values > high + reach)
        n_outside = int(number.counts[outside].sum())
        if number.n_distinct <= FEW_VALUES:
            continue
        if abs(number.skewness) >= SKEWED:
            yield Finding(
                Level.NOTE,
                column.name,
                Law.SKEW,
                f"column {column.name!r} has a long tail (skewness {number.skewness:.1f}, median "
                f"{as_value(median)}, largest {as_value(number.maximum)}): a logarithm or ranks "
                "help linear models",
            )
        elif reach > 0 and 0 < n_outside <= FAR_OUT_SHARE * number.count:
            yield Finding(
                Level.NOTE,
                column.name,
                Law.OUTLIERS,
                f"column {column.name!r} has {n_outside} of {number.count} values further than "
                f"{FENCE:g} interquartile ranges from the middle half ({as_value(low)} to "
                f"{as_value(high)}): check whether they are errors",
            )


def _imbalance(schema: Schema, profile: Profile) -> Found:
    target = schema.target
    category = None if target is None else profile.categories.get(target.name)
    if target is None or category is None or not category.count:
        return
    for name, n in category.counts.items():
        share = n / category.count
        if share < RARE_CLASS or n < FEW_ROWS:
            yield Finding(
                Level.WARNING,
                target.name,
                Law.IMBALANCE,
                f"class {name!r} has {n} of {category.count} rows ({share:.1%}): intervals of its "
                "metrics will be wide; judge by average precision or costs, not by accuracy",
            )


def _twins(schema: Schema, profile: Profile) -> Found:
    names = profile.comoments.names
    target = None if schema.target is None else schema.target.name
    r: Floats = np.nan_to_num(profile.comoments.pearson())
    for i, j in np.argwhere(np.triu(np.abs(r) >= TWINS, k=1)):
        if names[i] != target and int(profile.comoments.n[i, j]) >= MIN_ROWS:
            yield Finding(
                Level.NOTE,
                names[j],
                Law.TWINS,
                f"columns {names[i]!r} and {names[j]!r} say the same (correlation {r[i, j]:.5f}): "
                "one is enough",
            )


def _left_out(schema: Schema, profile: Profile) -> Found:
    for column in schema.columns:
        if column.role is Role.IGNORED:
            why = column.evidence or f"kind {column.kind.value}"
            message = f"column {column.name!r} is left out ({why})"
            names_rows = column.kind is Kind.IDENTIFIER
            law = Law.IDENTIFIER if names_rows else Law.LEFT_OUT
            yield Finding(Level.NOTE, column.name, law, message)


_RULES: tuple[Callable[[Schema, Profile], Found], ...] = (
    leaks,
    sums,
    _missing,
    _constant,
    _cardinality,
    _imbalance,
    _tails,
    _twins,
    _left_out,
)
