"""Small still pictures as inline SVG: 1-4 kB each, scalable, printable, no script.

A full plotting library costs 1 to 5 MB of script in the page (plotly) or 10 to 40 kB of glyph
outlines a figure (matplotlib), and the page's law is 3 MB for 50 columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from markupsafe import Markup

from tenfold.profile.svg import horizontal, join, picture, rect, short, text, title, vertical
from tenfold.profile.words import as_percent, as_value, shorten

__all__ = ["COLORS", "bars", "heatmap", "histogram", "target_along"]

WIDTH, HEIGHT = 340, 150
LEFT, RIGHT, TOP, BOTTOM = 8, 8, 8, 18
FLOOR = HEIGHT - BOTTOM
ROOM = FLOOR - TOP
ROW, THICK = 21, 14
"""Height of one row of horizontal bars and of its bar, in px at full size."""
LABELS, VALUES = 118, 50
"""Width kept for the labels and the values of horizontal bars."""
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's palette, told apart by color-blind eyes and in gray print."""
REST = "#c3c9d0"
STANDARD_ERRORS = 2.0
NUMBERED_CELLS = 14
"""Columns up to which the heat map has room for the numbers."""


def histogram(facts: dict[str, Any], *, kind: str) -> Markup:
    """Bars of a number column, with ticks where the test rows stand.

    Args:
        facts: ``histogram`` of `tenfold.profile.shapes.number_facts`.
        kind: of the column, for the labels.
    """
    # Bins of whole numbers begin half a step below the first that they hold.
    inset = 0.5 if kind in ("integer", "boolean") else 0.0
    lows = [as_value(edge + inset, kind=kind) for edge in facts["edges"][:-1]]
    highs = [as_value(edge - inset, kind=kind) for edge in facts["edges"][1:]]
    shares = _shares(facts["counts"])
    test_shares = _shares(facts["test_counts"] or [])
    highest = max([*shares, *test_shares, 1e-12])
    slot = (WIDTH - LEFT - RIGHT) / len(shares)
    parts = []
    for i, share in enumerate(shares):
        height = ROOM * share / highest
        span = lows[i] if lows[i] == highs[i] else f"{lows[i]} to {highs[i]}"
        says = f"{span}: {as_percent(share)}"
        x = LEFT + i * slot + 0.5
        parts.append(rect(x, FLOOR - height, max(1.0, slot - 1), height, says=says))
    for i, share in enumerate(test_shares):
        x = LEFT + i * slot + 0.5
        parts.append(horizontal(x, FLOOR - ROOM * share / highest, x + slot - 1, style="t"))
    body = join(parts) + _axis(lows[0], highs[-1])
    return picture("histogram", body, width=WIDTH, height=HEIGHT)


def _shares(counts: Sequence[int]) -> list[float]:
    total = max(1, sum(counts))
    return [n / total for n in counts]


def bars(rows: Sequence[tuple[str, float, float | None]]) -> Markup:
    """Horizontal bars of shares, with a tick for the test rows.

    Args:
        rows: label, share among the training rows, share among the test rows or None.
    """
    highest = max([max(share, test or 0.0) for _, share, test in rows] + [1e-12])
    scale = (WIDTH - LABELS - VALUES) / highest
    parts = []
    for i, (label, share, test) in enumerate(rows):
        y = i * ROW + 3
        parts += [_label(label, y), rect(LABELS, y, max(0.5, scale * share), THICK)]
        if test is not None:
            parts.append(vertical(LABELS + scale * test, y - 1, y + THICK + 1, style="t"))
        parts.append(_value(as_percent(share), y))
    return picture("bars", join(parts), width=WIDTH, height=len(rows) * ROW + 4)


def target_along(facts: dict[str, Any], *, kind: str) -> Markup:
    """The target along a feature: a line over a number's bins, bars over categories.

    Args:
        facts: of `tenfold.profile.shapes.target_facts`.
        kind: of the feature, for the labels.

    Returns:
        Empty where no row has both.
    """
    groups = [g for g in facts["groups"] if g["n"]]
    if not groups:
        return Markup("")
    if len(facts["classes"]) > 1:
        return _stacked(facts["classes"], groups, kind=kind)
    read = _share if facts["classes"] else _mean
    show = as_percent if facts["classes"] else as_value
    base = read(facts["all"])[0]
    if "value" in groups[0]:
        return _target_bars(groups, read, show, base)
    return _target_line(groups, read, show, base, kind=kind)


Read = Callable[[dict[str, Any]], tuple[float, float]]
Show = Callable[[float | None], str]


def _share(group: dict[str, Any]) -> tuple[float, float]:
    """A class's share and half its interval, both cut to [0, 1]."""
    p, n = group["shares"][0], group["n"]
    half = STANDARD_ERRORS * float((p * (1 - p) / n) ** 0.5)
    return p, min(half, p, 1 - p)


def _mean(group: dict[str, Any]) -> tuple[float, float]:
    """A target's mean and half its interval."""
    spread = group["std"] or 0.0
    return group["mean"] or 0.0, STANDARD_ERRORS * float(spread / group["n"] ** 0.5)


def _target_line(
    groups: list[dict[str, Any]], read: Read, show: Show, base: float, *, kind: str
) -> Markup:
    levels = [read(group) for group in groups]
    low = min([level - half for level, half in levels] + [base])
    high = max([level + half for level, half in levels] + [base])
    left = 52.0
    slot = (WIDTH - left - RIGHT) / len(groups)

    def y(level: float) -> float:
        return FLOOR - ROOM * (level - low) / ((high - low) or 1.0)

    spots = [(left + (i + 0.5) * slot, y(level)) for i, (level, _) in enumerate(levels)]
    line = " ".join(f"{short(x)},{short(at)}" for x, at in spots)
    parts = [
        horizontal(left, y(base), WIDTH - RIGHT, style="b"),
        Markup('<polyline points="{}"/>').format(line),
    ]
    for (x, at), (level, half), group in zip(spots, levels, groups, strict=True):
        says = f"{_range(group, kind=kind)}: {show(level)} of {group['n']} rows"
        dot = Markup('<circle cx="{}" cy="{}" r="3">{}</circle>')
        parts.append(vertical(x, y(level - half), y(level + half), style="e"))
        parts.append(dot.format(short(x), short(at), title(says)))
    parts.append(text(left - 5, FLOOR, show(low), anchor="end"))
    if high > low:
        parts.append(text(left - 5, TOP + 8, show(high), anchor="end"))
    first, last = as_value(groups[0]["low"], kind=kind), as_value(groups[-1]["high"], kind=kind)
    body = join(parts) + _axis(first, last, left=left)
    return picture("target by value", body, width=WIDTH, height=HEIGHT)


def _target_bars(groups: list[dict[str, Any]], read: Read, show: Show, base: float) -> Markup:
    levels = [read(group) for group in groups]
    low = min(0.0, base, *(level - half for level, half in levels))
    high = max(0.0, base, *(level + half for level, half in levels))

    def x(level: float) -> float:
        return LABELS + (WIDTH - LABELS - VALUES) * (level - low) / ((high - low) or 1.0)

    parts = []
    for i, (group, (level, half)) in enumerate(zip(groups, levels, strict=True)):
        y = i * ROW + 3
        begin, end = sorted((x(0.0), x(level)))
        says = f"{show(level)} of {group['n']} rows"
        parts += [
            _label(group["value"], y),
            rect(begin, y, max(0.5, end - begin), THICK, says=says),
            horizontal(x(level - half), y + THICK / 2, x(level + half), style="e"),
            _value(show(level), y),
        ]
    height = len(groups) * ROW + 4
    parts.append(vertical(x(base), 0, height - 4, style="b"))
    return picture("target by category", join(parts), width=WIDTH, height=height)


def _stacked(classes: Sequence[str], groups: list[dict[str, Any]], *, kind: str) -> Markup:
    room = WIDTH - LABELS - RIGHT
    parts = []
    for i, group in enumerate(groups):
        y = i * ROW + 3
        label = group["value"] if "value" in group else _range(group, kind=kind)
        parts.append(_label(label, y))
        shares = [*zip(classes, group["shares"], COLORS, strict=False)]
        shares.append(("other", max(0.0, 1.0 - sum(group["shares"])), REST))
        at = float(LABELS)
        for name, share, color in shares:
            if share > 0.0:
                says = f"{name}: {as_percent(share)} of {group['n']} rows"
                parts.append(rect(at, y, room * share, THICK, says=says, fill=color))
                at += room * share
    label = "classes along the feature"
    return picture(label, join(parts), width=WIDTH, height=len(groups) * ROW + 4)


def _range(group: dict[str, Any], *, kind: str) -> str:
    low, high = (as_value(group[end], kind=kind) for end in ("low", "high"))
    return low if low == high else f"{low} to {high}"


def heatmap(names: Sequence[str], matrix: Sequence[Sequence[float | None]]) -> Markup:
    """Correlations as colored squares, blue below and orange above zero.

    Args:
        names: of the columns, shape (n,).
        matrix: shape (n, n), -1 to 1, None where unknown.
    """
    numbered = len(names) <= NUMBERED_CELLS
    cell, margin = (36 if numbered else 22), 124
    parts = []
    for i, row in enumerate(matrix):
        y = i * cell
        parts.append(
            text(margin - 6, y + cell / 2 + 4, shorten(names[i]), anchor="end", says=names[i])
        )
        for j, value in enumerate(row[: i + 1]):
            x = margin + j * cell
            says = f"{names[i]} and {names[j]}: {as_value(value)}"
            parts.append(rect(x, y, cell - 1, cell - 1, says=says, fill=_heat(value)))
            if numbered and value is not None:
                parts.append(_on_heat(x + cell / 2 - 0.5, y + cell / 2 + 4, value))
    below = len(names) * cell + 10
    turned = Markup('<text transform="translate({} {})rotate(-50)" text-anchor="end">{}</text>')
    for j, name in enumerate(names):
        parts.append(turned.format(short(margin + (j + 0.5) * cell + 4), below, shorten(name)))
    width, height = margin + len(names) * cell + 8, below + 88
    frame = Markup('<svg class="{}" role="img" aria-label="correlations" viewBox="0 0 {} {}"')
    head = frame.format("heat" if numbered else "heat big", width, height)
    return head + Markup(' width="{}">{}</svg>').format(width, join(parts))


def _on_heat(x: float, y: float, value: float) -> Markup:
    style = "w" if abs(value) > 0.6 else "d"
    words = f"{value:.2f}"
    return Markup('<text class="{}" x="{}" y="{}" text-anchor="middle">{}</text>').format(
        style, short(x), short(y), words
    )


def _heat(value: float | None) -> str:
    if value is None:
        return "#eef0f2"
    end = (0xB3, 0x4D, 0x00) if value > 0 else (0x00, 0x5A, 0x9C)
    mixed = (round(255 + (c - 255) * min(1.0, abs(value))) for c in end)
    return "#" + "".join(f"{c:02x}" for c in mixed)


def _label(name: str, y: float) -> Markup:
    words = name if name.strip() else repr(name)
    says = words if len(words) > len(shorten(words)) else ""
    return text(LABELS - 6, y + 11, shorten(words), anchor="end", says=says)


def _value(words: str, y: float) -> Markup:
    return text(WIDTH, y + 11, words, anchor="end")


def _axis(low: str, high: str, *, left: float = LEFT) -> Markup:
    return (
        horizontal(left, FLOOR + 0.5, WIDTH - RIGHT, style="a")
        + text(left, HEIGHT - 4, low)
        + text(WIDTH - RIGHT, HEIGHT - 4, high, anchor="end")
    )
