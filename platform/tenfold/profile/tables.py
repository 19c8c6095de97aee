"""What of the report is a table: categories with bars, and associations as colored cells."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tenfold.profile.figure import COLORS, REST
from tenfold.profile.words import as_count, as_percent, as_value, as_written

__all__ = ["MEASURES", "frequent_words", "heats_of", "levels_of", "strongest_of"]

MEASURES = {
    "pearson": "Pearson",
    "spearman": "Spearman",
    "cramers_v": "Cramér's V",
    "correlation_ratio": "correlation ratio",
    "roc_auc": "ROC AUC",
    "r2": "R²",
    "ks": "Kolmogorov-Smirnov",
    "tv": "total variation",
}
STANDARD_ERRORS = 2.0
FREQUENT_SHOWN = 5
"""Values of a number in its line; all ten are in the JSON."""
DARK = 0.6
"""Strength of a color from which black on it is hard to read."""


def levels_of(column: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The most frequent categories of a column, as lines with bars; empty for numbers.

    Returns:
        Each with ``value``, ``share``, ``width`` and ``test`` (percent of the bar's room; test
        is null without test rows), ``against`` (words) or ``parts`` (colored shares) of the
        target.
    """
    top = column.get("top")
    if not top or "histogram" in column:
        return []
    rows = [(t["value"], t["share"], t["test_share"]) for t in top]
    if column["rest"]:
        rows.append(("(all others)", column["rest"] / column["count"], None))
    most = max(max(share, test or 0.0) for _, share, test in rows)
    against = column["target"]
    groups = {g["value"]: g for g in against["groups"] if "value" in g} if against else {}
    return [
        {
            "value": value if value.strip() else repr(value),
            "share": share,
            "width": _percent(share / most),
            "test": None if test is None else _percent(test / most),
            **_against(against, groups.get(value)),
        }
        for value, share, test in rows
    ]


def frequent_words(column: Mapping[str, Any]) -> str:
    """The most frequent values of a column of numbers: where they pile up, such as at 0 or 999.

    Returns:
        A line; empty for categories and booleans, whose card shows all of it, and without values.
    """
    kind = column["kind"]
    if "histogram" not in column or kind == "boolean" or not column["count"]:
        return ""
    if column["top"] is not None:
        return _listed([one for one in column["top"] if one["count"] > 1], kind=kind) or (
            "every value occurs once"
        )
    sampled = column["top_sampled"]
    if sampled is None:
        return "not known: there are more different values than are counted"
    listed = _listed(sampled["values"], kind=kind)
    rows = as_count(sampled["rows"])
    return f"{listed}, of {rows} sampled rows" if listed else f"none among {rows} sampled rows"


def _listed(values: Sequence[Mapping[str, Any]], *, kind: str) -> str:
    return ", ".join(
        f"{as_written(one['value'], kind=kind)} ({as_percent(one['share'])})"
        for one in values[:FREQUENT_SHOWN]
    )


def _percent(part: float) -> str:
    return f"{100.0 * part:.1f}"


def _against(against: Mapping[str, Any] | None, group: Mapping[str, Any] | None) -> dict[str, Any]:
    if against is None or group is None or not group["n"]:
        return {"against": "", "parts": []}
    classes = against["classes"]
    if len(classes) > 1:
        named = [*zip(classes, group["shares"], COLORS, strict=False)]
        named.append(("others", max(0.0, 1.0 - sum(group["shares"])), REST))
        parts = [
            {"name": name, "share": share, "color": color, "width": _percent(share)}
            for name, share, color in named
            if share > 0.0
        ]
        return {"against": "", "parts": parts}
    if classes:
        p = group["shares"][0]
        half = STANDARD_ERRORS * math.sqrt(p * (1.0 - p) / group["n"])
        return {"against": f"{as_percent(p)} ± {100.0 * half:.1f}", "parts": []}
    half = STANDARD_ERRORS * (group["std"] or 0.0) / math.sqrt(group["n"])
    error = as_value(float(f"{half:.2g}"))
    return {"against": f"{as_value(group['mean'])} ± {error}", "parts": []}


def heats_of(numbers: Mapping[str, Any], *, most: int) -> list[dict[str, Any]]:
    """The associations as tables of colored cells, blue below and orange above zero.

    Args:
        numbers: of `tenfold.profile.facts.report_numbers`.
        most: rows and columns shown, those with the strongest associations.

    Returns:
        Each with ``title``, ``columns`` and ``rows`` of ``name`` and ``cells``; tables with less
        than one pair are left out.
    """
    pearson, more = numbers["correlations"], numbers["associations"]
    tables = [("Pearson, numbers with numbers", pearson["names"], pearson["names"],
               pearson["pearson"])]  # fmt: skip
    if more is not None:
        for key, title in (
            ("spearman", "Spearman, ranks of numbers with numbers"),
            ("cramers_v", "Cramér's V, categories with categories"),
            ("correlation_ratio", "Correlation ratio, categories with numbers"),
        ):
            tables.append((title, more[key]["rows"], more[key]["columns"], more[key]["matrix"]))
    return [heat for table in tables if (heat := _heat(*table, most=most)) is not None]


Matrix = Sequence[Sequence[float | None]]


def _heat(
    title: str, rows: Sequence[str], columns: Sequence[str], matrix: Matrix, *, most: int
) -> dict[str, Any] | None:
    square = rows == columns
    kept = _strongest_lines(matrix, square=square, most=most)
    across = (
        kept if square else _strongest_lines([*zip(*matrix, strict=True)], square=False, most=most)
    )
    if not kept or not across or (square and len(kept) < 2):
        return None
    return {
        "title": title,
        "columns": [columns[j] for j in across],
        "rows": [
            {
                "name": rows[i],
                # of a square one half says all
                "cells": [
                    _cell(None if square and columns.index(columns[j]) > i else matrix[i][j])
                    for j in across
                ],
            }
            for i in kept
        ],
    }


def _strongest_lines(matrix: Matrix, *, square: bool, most: int) -> list[int]:
    strongest = {
        i: max(
            (abs(v) for j, v in enumerate(row) if v is not None and not (square and i == j)),
            default=math.nan,
        )
        for i, row in enumerate(matrix)
    }
    known = [i for i, value in strongest.items() if not math.isnan(value)]
    return sorted(sorted(known, key=lambda i: -strongest[i])[:most])


def _cell(value: float | None) -> dict[str, Any]:
    if value is None:
        return {"color": "", "dark": False, "text": ""}
    end = (0xB3, 0x4D, 0x00) if value > 0 else (0x00, 0x5A, 0x9C)
    mixed = (round(255 + (c - 255) * min(1.0, abs(value))) for c in end)
    color = "#" + "".join(f"{c:02x}" for c in mixed)
    return {
        "color": color,
        "dark": abs(value) > DARK,
        "text": f"{value:.2f}".replace("-0.00", "0.00"),
    }


def strongest_of(numbers: Mapping[str, Any], *, most: int) -> list[dict[str, Any]]:
    """The strongest pairs over all measures, Pearson's among them."""
    pearson = [
        {"left": p["left"], "right": p["right"], "measure": "pearson", "value": p["r"]}
        for p in numbers["correlations"]["strongest"]
    ]
    others = [] if numbers["associations"] is None else numbers["associations"]["strongest"]
    seen = {(p["left"], p["right"]): p for p in [*others, *pearson]}  # one line a pair
    return sorted(seen.values(), key=lambda p: -abs(p["value"]))[:most]
