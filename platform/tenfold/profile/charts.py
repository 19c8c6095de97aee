"""The report's pictures: a column's distribution, the target along it, and its course over time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from tenfold.profile.figure import BAND, BLUE, COLORS, GRAY, INK, REST, draw
from tenfold.profile.grid import Floats
from tenfold.profile.words import as_percent, as_value, two_ends

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["course", "histogram", "target_along"]

STANDARD_ERRORS = 2.0
LEFT = 0.19
"""Share of the width for the labels of a vertical axis."""

Ends = Callable[[float, float], tuple[str, str]]
"""How the ends of an axis are written."""


def histogram(facts: dict[str, Any], *, kind: str) -> Markup:
    """Bars of a number column, with a line where the test rows stand.

    Args:
        facts: ``histogram`` of `tenfold.profile.shapes.number_facts`.
        kind: of the column, for the labels.
    """
    edges = np.asarray(facts["edges"])
    # Bins of whole numbers begin half a step below the first that they hold.
    inset = 0.5 if kind in ("integer", "boolean") else 0.0
    ends = as_value(edges[0] + inset, kind=kind), as_value(edges[-1] - inset, kind=kind)
    unit = _unit(edges)

    def paint(axes: Axes) -> None:
        axes.stairs(_shares(facts["counts"]), unit, fill=True, color=BAND)
        axes.vlines(unit, 0, np.maximum(*_around(_shares(facts["counts"]))), "w", lw=0.7)
        if facts["test_counts"]:
            axes.stairs(_shares(facts["test_counts"]), unit, color=INK, lw=0.9, baseline=None)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        _ends(axes, ends)

    return draw("histogram", paint)


def _unit(edges: Floats) -> Floats:
    """Edges on a scale of 0 to 1: the drawing library has no room for 1e308, nor for 5e-324."""
    halves = edges / 2.0 - edges[0] / 2.0
    if not halves[-1] > 1e-300:
        return np.linspace(0.0, 1.0, len(edges))
    return np.asarray(halves / halves[-1])


def _around(shares: Floats) -> tuple[Floats, Floats]:
    """The share left and right of each edge."""
    return np.append(shares, 0.0), np.append(0.0, shares)


def _shares(counts: Sequence[int]) -> Floats:
    return np.asarray(counts, dtype=np.float64) / max(1, sum(counts))


def _ends(axes: Axes, ends: tuple[str, str]) -> None:
    axes.margins(x=0.01)
    axes.set_xticks([0.0, 1.0], ends)
    first, last = axes.get_xticklabels()
    first.set_horizontalalignment("left")
    last.set_horizontalalignment("right")


def target_along(facts: dict[str, Any], *, kind: str) -> Markup:
    """The target over the bins of a number: its mean or share with an interval, or all classes.

    Args:
        facts: of `tenfold.profile.shapes.target_facts`, for a number column.
        kind: of the column, for the labels.

    Returns:
        Empty without a bin that has rows.
    """
    groups = [group for group in facts["groups"] if group["n"] and "low" in group]
    if not groups:
        return Markup()
    ends = as_value(groups[0]["low"], kind=kind), as_value(groups[-1]["high"], kind=kind)
    at = _places(len(groups))
    if len(facts["classes"]) > 1:
        return _stacked("classes by value", at, [group["shares"] for group in groups], ends)
    read, write, base = _reading(facts)
    level, half = np.array([read(group) for group in groups]).T
    return _line("target by value", at, level, half, ends, write, base=base)


def _places(n: int) -> Floats:
    return np.linspace(0.0, 1.0, n) if n > 1 else np.array([0.5])


Read = Callable[[dict[str, Any]], tuple[float, float]]


def _reading(facts: dict[str, Any]) -> tuple[Read, Ends, float]:
    """How to read a group's level and half interval, how to write it, and that of all rows."""
    if facts["classes"]:
        return _share, _percents, float(facts["all"]["shares"][0] or 0.0)
    return _mean, two_ends, float(facts["all"]["mean"] or 0.0)


def _percents(low: float, high: float) -> tuple[str, str]:
    return as_percent(low), as_percent(high)


def _share(group: dict[str, Any]) -> tuple[float, float]:
    """A class's share and half its interval."""
    p, n = group["shares"][0], group["n"]
    return p, STANDARD_ERRORS * float((p * (1 - p) / n) ** 0.5)


def _mean(group: dict[str, Any]) -> tuple[float, float]:
    """A target's mean and half its interval."""
    spread = group["std"] or 0.0
    return group["mean"] or 0.0, STANDARD_ERRORS * float(spread / group["n"] ** 0.5)


def course(facts: Mapping[str, Any], over: Mapping[str, Any], *, kind: str) -> Markup:
    """A column over time or along the file: its mean or share, or its categories.

    Args:
        facts: of `tenfold.profile.surveyed.course_facts`.
        over: of `tenfold.profile.surveyed.axis_facts`.
        kind: of the column, for the labels.

    Returns:
        Empty with fewer than two slices to compare.
    """
    values = facts["mean"] if "mean" in facts else facts["shares"]
    kept = [i for i, value in enumerate(values) if value is not None]
    if len(kept) < 2 or facts.get("classes") == []:
        return Markup()
    axis_kind = "datetime" if over["kind"] == "datetime" else "number"
    shift = 1.0 if over["kind"] == "rows" else 0.0  # people count rows from 1
    ends = (
        as_value(over["low"][kept[0]] + shift, kind=axis_kind),
        as_value(over["high"][kept[-1]] + shift, kind=axis_kind),
    )
    at = (np.array(kept) - kept[0]) / (kept[-1] - kept[0])
    if "mean" in facts:
        half = np.array([STANDARD_ERRORS * (facts["error"][i] or 0.0) for i in kept])
        level = np.array([values[i] for i in kept])
        return _line("course over time", at, level, half, ends, _writer(kind))
    if len(facts["classes"]) == 1:
        share = np.array([values[i][0] for i in kept])
        known = np.array(over["rows"], dtype=np.float64)[kept]
        half = STANDARD_ERRORS * np.sqrt(share * (1.0 - share) / known)
        return _line("course over time", at, share, half, ends, _percents)
    return _stacked("categories over time", at, [values[i] for i in kept], ends)


def _writer(kind: str) -> Ends:
    if kind == "boolean":
        return _percents
    if kind == "datetime":
        return lambda low, high: (as_value(low, kind=kind), as_value(high, kind=kind))
    return two_ends


def _line(
    label: str, at: Floats, level: Floats, half: Floats, ends: tuple[str, str], write: Ends,
    *, base: float | None = None,
) -> Markup:  # fmt: skip
    low, high = level - half, level + half
    if write is _percents:
        low, high = np.clip(low, 0.0, 1.0), np.clip(high, 0.0, 1.0)
    around = [] if base is None else [base]
    bottom, top = float(min([*low, *around])), float(max([*high, *around]))
    span = (top / 2.0 - bottom / 2.0) * 2.0
    if not 0.0 < span < 1e300:
        bottom, top, span = bottom - 0.5, top + 0.5, 1.0

    def place(values: Floats | float) -> Any:
        return np.clip((np.asarray(values) - bottom) / span, 0.0, 1.0)

    def paint(axes: Axes) -> None:
        if base is not None:
            axes.axhline(float(place(base)), color=GRAY, lw=0.8, ls=(0, (4, 3)))
        axes.fill_between(at, place(low), place(high), color=BAND, alpha=0.6, lw=0)
        axes.plot(at, place(level), color=BLUE, lw=1.3, marker="o", ms=2.6)
        axes.set_ylim(-0.03, 1.03)
        axes.set_yticks([0.0, 1.0], write(bottom, top))
        _ends(axes, ends)
        axes.set_xlim(-0.015, 1.015)

    return draw(label, paint, left=LEFT)


def _stacked(
    label: str, at: Floats, shares: Sequence[Sequence[float]], ends: tuple[str, str]
) -> Markup:
    parts = np.array(shares).T
    rest = np.clip(1.0 - parts.sum(axis=0), 0.0, 1.0)
    colors = [*COLORS[: len(parts)], REST]

    def paint(axes: Axes) -> None:
        if len(at) == 1:
            axes.bar([0.5] * len(colors), [*parts[:, 0], rest[0]], color=colors,
                     bottom=np.append(0.0, np.cumsum(parts[:, 0])))  # fmt: skip
        else:
            axes.stackplot(at, *parts, rest, colors=colors, lw=0)
        axes.set_ylim(0.0, 1.0)
        axes.set_yticks([0.0, 1.0], ["0%", "100%"])
        _ends(axes, ends)
        axes.set_xlim(0.0, 1.0)

    return draw(label, paint, left=LEFT)
