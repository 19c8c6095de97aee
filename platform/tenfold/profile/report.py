"""The exploration report: one HTML file without any outside resource, and its numbers as JSON.

Jinja2 renders with autoescaping on, so no text from the data reaches the page as markup; the page
carries a policy that forbids scripts and network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tenfold.canonical import canonical_json, write_atomic
from tenfold.profile import charts, words
from tenfold.profile.facts import TEST_FOLD, report_numbers
from tenfold.profile.profile import Profile
from tenfold.profile.survey import Survey
from tenfold.schema import Schema

__all__ = ["MAX_COLUMNS_DRAWN", "render_report", "report_numbers", "write_report"]

MAX_COLUMNS_DRAWN = 200
"""Columns with a card of their own; further ones have a line in the table and are in the JSON."""
HEATMAP_COLUMNS = 24
"""Columns in the picture of correlations, those with the strongest ones."""
DISTANCES_SHOWN = 10


def write_report(
    path: str | Path,
    *,
    project: str,
    task: str,
    schema: Schema,
    profiles: Mapping[int, Profile],
    quarantine: Mapping[str, int] | None = None,
    snapshot: Mapping[str, Any] | None = None,
    positive_class: str | None = None,
    survey: Survey | None = None,
    cleaning: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write the page to ``path`` and its numbers beside it as ``.json``.

    Args:
        path: of the HTML file; the folder is made where missing.
        project: its name.
        task: binary, multiclass, regression or clustering.
        schema: of the table.
        profiles: fold to profile; -1 is the sealed test set and may be absent.
        quarantine: rows set aside, by reason.
        snapshot: more facts to show, e.g. digest, n_duplicates, ordered; JSON values.
        positive_class: the class whose share is shown, for two classes; by default the rarer.
        survey: of the training rows; without it nothing is said of time, order and pairs.
        cleaning: what reading the source passed over, see `tenfold.profile.quality`.

    Returns:
        The numbers, see `report_numbers`.

    Raises:
        DataError: there is no profile of training rows.
        StoreError: the disk is full or read-only; nothing half-written stays behind.
    """
    numbers = report_numbers(
        project=project,
        task=task,
        schema=schema,
        profiles=profiles,
        quarantine=quarantine,
        snapshot=snapshot,
        positive_class=positive_class,
        survey=survey,
        cleaning=cleaning,
    )
    page = Path(path)
    write_atomic(page.with_suffix(".json"), canonical_json(numbers))
    write_atomic(page, render_report(numbers).encode())
    return numbers


def render_report(numbers: Mapping[str, Any]) -> str:
    """The page of these numbers.

    Args:
        numbers: of `report_numbers`; nothing else is shown.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("tenfold.profile"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": words.as_count,
        "percent": words.as_percent,
        "value": words.as_value,
        "shorten": words.shorten,
    }
    columns = [dict(column, id=f"c{i}") for i, column in enumerate(numbers["columns"])]
    return environment.get_template("report.html.j2").render(
        n=numbers,
        columns=columns,
        cards=[_card(column) for column in columns[:MAX_COLUMNS_DRAWN]],
        anchors={column["name"]: column["id"] for column in columns},
        ranked=_ranked(columns),
        heatmap=_heatmap(numbers["correlations"]),
        distances=numbers["splits"]["distances"][:DISTANCES_SHOWN],
        test_fold=TEST_FOLD,
        colors=charts.COLORS,
        measures=_MEASURES,
    )


_MEASURES = {
    "cramers_v": "Cramér's V",
    "correlation_ratio": "correlation ratio",
    "roc_auc": "ROC AUC",
    "r2": "R²",
    "ks": "Kolmogorov-Smirnov",
    "tv": "total variation",
}


def _card(column: dict[str, Any]) -> dict[str, Any]:
    if "top" in column:
        rows = [(t["value"], t["share"], t["test_share"]) for t in column["top"]]
        if column["rest"]:
            rows.append(("(all others)", column["rest"] / column["count"], None))
        picture = charts.bars(rows) if rows else ""
    elif column["histogram"] is not None:
        picture = charts.histogram(column["histogram"], kind=column["kind"])
    else:
        picture = ""
    against = column["target"]
    along = "" if against is None else charts.target_along(against, kind=column["kind"])
    return dict(column, picture=picture, along=along)


def _ranked(columns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Features by how well each alone predicts the target, on a scale of 0 to 1."""
    ranked = []
    for column in columns:
        against = column["target"]
        if against is not None:
            alone = against["alone"]
            scaled = 2 * alone - 1 if against["alone_measure"] == "roc_auc" else alone
            ranked.append(dict(column, bar=min(1.0, max(0.0, scaled))))
    return sorted(ranked, key=lambda column: -column["bar"])


def _heatmap(correlations: Mapping[str, Any]) -> str:
    matrix, names = correlations["pearson"], correlations["names"]
    strongest = {
        i: max((abs(r) for j, r in enumerate(row) if j != i and r is not None), default=math.nan)
        for i, row in enumerate(matrix)
    }
    known = [i for i, r in strongest.items() if not math.isnan(r)]
    kept = sorted(sorted(known, key=lambda i: -strongest[i])[:HEATMAP_COLUMNS])
    if len(kept) < 2:
        return ""
    return charts.heatmap([names[i] for i in kept], [[matrix[i][j] for j in kept] for i in kept])
