"""The few SVG shapes that the report's pictures are made of.

Text from the data goes through `markupsafe.Markup.format`, which escapes it: no shape can be
given markup by a category or a column's name.
"""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup

__all__ = ["horizontal", "join", "picture", "rect", "short", "text", "title", "vertical"]


def title(words: str) -> Markup:
    """What a pointer over the shape shows.

    >>> title("<script>")
    Markup('<title>&lt;script&gt;</title>')
    """
    return Markup("<title>{}</title>").format(words)


def rect(
    x: float, y: float, width: float, height: float, *, says: str = "", fill: str = ""
) -> Markup:
    """A bar; ``fill`` is a color, by default the style sheet's.

    >>> rect(0, 1, 2, 3)
    Markup('<rect x="0" y="1" width="2" height="3"/>')
    """
    paint = Markup(' fill="{}"').format(fill) if fill else ""
    head = Markup('<rect x="{}" y="{}" width="{}" height="{}"{}').format(
        short(x), short(y), short(width), short(height), paint
    )
    return head + (Markup(">{}</rect>").format(title(says)) if says else Markup("/>"))


def text(x: float, y: float, words: str, *, anchor: str = "start", says: str = "") -> Markup:
    """Words at a point; anchor is start, middle or end.

    >>> text(1, 2, "a&b")
    Markup('<text x="1" y="2">a&amp;b</text>')
    """
    place = Markup(' text-anchor="{}"').format(anchor) if anchor != "start" else ""
    return Markup('<text x="{}" y="{}"{}>{}{}</text>').format(
        short(x), short(y), place, words, title(says) if says else ""
    )


def horizontal(x: float, y: float, to: float, *, style: str) -> Markup:
    """A line from (x, y) to (to, y); ``style`` is a class of the page's style sheet."""
    return Markup('<path class="{}" d="M{} {}H{}"/>').format(style, short(x), short(y), short(to))


def vertical(x: float, y: float, to: float, *, style: str) -> Markup:
    """A line from (x, y) to (x, to)."""
    return Markup('<path class="{}" d="M{} {}V{}"/>').format(style, short(x), short(y), short(to))


def join(parts: Iterable[Markup]) -> Markup:
    """Shapes one after the other."""
    return Markup("").join(parts)


def picture(label: str, body: Markup, *, width: float, height: float) -> Markup:
    """A picture that scales to the width of its place; ``label`` is for screen readers."""
    return Markup('<svg role="img" aria-label="{}" viewBox="0 0 {} {}">{}</svg>').format(
        label, short(width), short(height), body
    )


def short(value: float) -> str:
    """A coordinate with one decimal at most: a tenth of a pixel is enough, and half the bytes.

    >>> short(3.14159), short(2.0)
    ('3.1', '2')
    """
    return f"{value:.1f}".removesuffix(".0")
