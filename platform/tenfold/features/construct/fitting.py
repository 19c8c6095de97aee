"""The fit of the makers: the one place of the second stage that reads rows for its numbers.

Rows come as a whole and in hash order, so the sums of floats have the same bits however the table
was cut into blocks. Groups are shrunk toward all rows, since a group of one row would tell that row
its own value, and only in training.
"""

from __future__ import annotations

from collections.abc import Sequence

from tenfold.features.codes import Codes
from tenfold.features.construct.base import Maker
from tenfold.features.construct.candidates import MAX_SHARES, Candidates
from tenfold.features.construct.construction import Construction
from tenfold.features.construct.crosses import Cross
from tenfold.features.construct.groups import Aggregate, Deviation
from tenfold.features.construct.pairs import Difference, Ratio
from tenfold.features.construct.tables import frequent_cells, group_shares, group_statistics
from tenfold.schema import Schema

__all__ = ["fit_construction"]

Made = tuple[Maker, list[str]]


def fit_construction(schema: Schema, candidates: Candidates, codes: Codes) -> Construction | None:
    """Fit what the candidates name.

    Args:
        schema: of the table.
        candidates: from the profile of the same rows.
        codes: float64 (n_rows, `code_width` of the schema), training rows only, in hash order.

    Returns:
        The construction, all features passing on; None where nothing can be made.
    """
    columns = schema.features
    names = [column.name for column in columns]
    made: list[Made] = []
    for kind, pairs, sign in (
        (Difference, candidates.differences, "-"),
        (Ratio, candidates.ratios, "/"),
    ):
        if pairs:
            left, right = zip(*pairs, strict=True)
            made.append((kind(left, right), [f"{names[a]} {sign} {names[b]}" for a, b in pairs]))
    if candidates.groups:
        made += _fit_groups(schema, candidates.groups, codes)
    made += _fit_crosses(schema, candidates.crosses, codes)
    if not made:
        return None
    distinct = _distinct([name for _, some in made for name in some], taken=set(schema.names))
    return Construction.of(schema, tuple(maker for maker, _ in made), distinct)


def _distinct(names: Sequence[str], *, taken: set[str]) -> tuple[str, ...]:
    """The same names; one that a column has already gets a mark."""
    out: list[str] = []
    for name in names:
        free = name
        while free in taken:
            free += "'"
        taken.add(free)
        out.append(free)
    return tuple(out)


def _fit_groups(schema: Schema, pairs: Sequence[tuple[int, int]], codes: Codes) -> list[Made]:
    """Mean, spread and deviation of each pair, then the share of each category."""
    columns = schema.features
    tables: list[tuple[int, tuple[float, ...], str]] = []
    means: list[tuple[float, ...]] = []
    for category, number in pairs:
        size = len(columns[category].domain or ())
        mean, spread = group_statistics(codes[:, category], codes[:, number], size=size)
        what = f"({columns[number].name}) by {columns[category].name}"
        tables += [(category, mean, f"mean{what}"), (category, spread, f"std{what}")]
        means.append(mean)
    for category in list(dict.fromkeys(category for category, _ in pairs))[:MAX_SHARES]:
        size = len(columns[category].domain or ())
        shares = group_shares(codes[:, category], size=size)
        tables.append((category, shares, f"share by {columns[category].name}"))
    categories, numbers = zip(*pairs, strict=True)
    apart = [f"{columns[x].name} - mean by {columns[c].name}" for c, x in pairs]
    places, fitted, names = zip(*tables, strict=True)
    return [
        (Aggregate(places, fitted), list(names)),
        (Deviation(categories, tuple(means), numbers), apart),
    ]


def _fit_crosses(schema: Schema, pairs: Sequence[tuple[int, int]], codes: Codes) -> list[Made]:
    columns = schema.features
    kept: list[tuple[int, int, int, int, tuple[int, ...]]] = []
    names: list[str] = []
    for a, b in pairs:
        height, width = len(columns[a].domain or ()), len(columns[b].domain or ())
        cells = frequent_cells(codes[:, a], codes[:, b], n_cells=height * width, width=width)
        if len(cells) > 1:
            kept.append((a, b, height, width, cells))
            names.append(f"{columns[a].name} & {columns[b].name}")
    if not kept:
        return []
    left, right, heights, widths, cells_of = zip(*kept, strict=True)
    return [(Cross(left, right, heights, widths, cells_of).sorted_by_text(columns), names)]
