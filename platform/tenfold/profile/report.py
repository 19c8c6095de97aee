"""The exploration report: one HTML file without any outside resource, and its numbers as JSON.

Pictures of numbers are drawn by matplotlib (`tenfold.profile.figure` says at what price); what
names things, such as categories and pairs of columns, are tables with bars and colors.

Jinja2 renders with autoescaping on, so no text from the data reaches the page as markup; the page
carries a policy that forbids scripts and network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from tenfold.canonical import canonical_json, write_atomic
from tenfold.profile import charts, words
from tenfold.profile.facts import TEST_FOLD, report_numbers
from tenfold.profile.figure import COLORS, REST
from tenfold.profile.profile import Profile
from tenfold.profile.survey import Survey
from tenfold.profile.tables import (
    MEASURES,
    frequent_words,
    heats_of,
    levels_of,
    strongest_of,
)
from tenfold.schema import Schema

__all__ = ["MAX_COLUMNS_DRAWN", "render_report", "report_numbers", "write_report"]

MAX_COLUMNS_DRAWN = 200
"""Columns with a card of their own; further ones have a line in the table and are in the JSON."""
HEATMAP_COLUMNS = 14
"""Columns in a table of associations, those with the strongest ones; more do not fit a page."""
STRONGEST_SHOWN = 15
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
    quarantined: Sequence[Mapping[str, Any]] = (),
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
        quarantined: the first bad cells: ``source, position, column, value, reason``.

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
        quarantined=quarantined,
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
        "quoted": repr,
        "capital": words.capital,
    }
    columns = [dict(column, id=f"c{i}") for i, column in enumerate(numbers["columns"])]
    followed = _Followed(
        numbers["over"], {one["column"] for one in numbers["order"] if one["tells"]}
    )
    return environment.get_template("report.html.j2").render(
        n=numbers,
        columns=columns,
        cards=[_card(column, followed) for column in columns[:MAX_COLUMNS_DRAWN]],
        anchors={column["name"]: column["id"] for column in columns},
        ranked=_ranked(columns),
        heats=heats_of(numbers, most=HEATMAP_COLUMNS),
        strongest=strongest_of(numbers, most=STRONGEST_SHOWN),
        distances=numbers["splits"]["distances"][:DISTANCES_SHOWN],
        test_fold=TEST_FOLD,
        colors=COLORS,
        rest=REST,
        measures=MEASURES,
        along_words=lambda column: _along_words(column, numbers["target"]),
        over_words=_over_words(numbers["over"]),
    )


@dataclass(frozen=True, slots=True)
class _Followed:
    """Which columns are drawn along what: all over a time, and along the file those that go with
    its order; of the others a line of noise would be all there is to see.
    """

    over: Mapping[str, Any] | None
    telling: set[str]

    def draw(self, column: Mapping[str, Any]) -> Markup:
        facts, over = column["course"], self.over
        if facts is None or over is None:
            return Markup()
        if over["column"] is None and column["name"] not in self.telling:
            return Markup()
        return charts.course(facts, over, kind=column["kind"])


def _card(column: dict[str, Any], followed: _Followed) -> dict[str, Any]:
    against, kind = column["target"], column["kind"]
    histogram = column.get("histogram")
    numeric = "histogram" in column
    return dict(
        column,
        levels=levels_of(column),
        frequent=frequent_words(column),
        picture="" if histogram is None else charts.histogram(histogram, kind=kind),
        along=charts.target_along(against, kind=kind) if against and numeric else "",
        over=followed.draw(column),
    )


def _along_words(column: Mapping[str, Any], target: str) -> str:
    classes = column["target"]["classes"]
    if len(classes) == 1:
        return f"share of {words.shorten(classes[0])}"
    return "classes" if classes else f"mean of {words.shorten(target)}"


def _over_words(over: Mapping[str, Any] | None) -> str:
    if over is None:
        return ""
    return "along the file" if over["column"] is None else f"over {words.shorten(over['column'])}"


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
