"""One small picture by matplotlib, as SVG that stands inside the page's own HTML.

The page's law is one file without script or network, below 3 MB for 50 columns. Measured here (two
shared cores): matplotlib draws such a picture in 19 ms and 6 kB after `_slim`, so 50 columns are
100 pictures in 1.9 s and a page of 0.8 MB; its import costs 0.7 s once. Our own SVG took 1 ms and
1-4 kB, and a module to keep; plotly's script alone is 1 to 5 MB. Only numbers and dates are drawn:
words from the data stand in the page as HTML, where they are escaped, wrap, and need no font of
ours.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["BAND", "BLUE", "COLORS", "GRAY", "INK", "REST", "draw"]

BLUE, BAND, INK, GRAY, REST = "#0072b2", "#9cc7e4", "#1a1f24", "#57606a", "#c3c9d0"
COLORS = (BLUE, "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's palette, told apart by color-blind eyes and in gray print."""

WIDTH_IN, HEIGHT_IN = 3.4, 1.5
"""340 x 150 px on the page; it scales with its card."""
_STYLE: Any = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "tenfold",  # the same picture has the same bytes
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 8.0,
    "axes.linewidth": 0.6,
    "xtick.major.size": 2.0,
    "ytick.major.size": 2.0,
    "text.color": INK,
    "axes.edgecolor": "#aab2bb",
    "xtick.color": INK,
    "ytick.color": INK,
}
_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}
_HEAD = re.compile(r"<svg[^>]*?viewBox=\"([^\"]+)\"[^>]*>")
_DROPPED = re.compile(r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>", re.DOTALL)
_UNUSED_ID = re.compile(r"<g id=\"[a-zA-Z]+[a-zA-Z0-9.]*_\d+\">")
_GEOMETRY = re.compile(r" (?:d|x|y|points|transform)=\"[^\"]*\"")
_NUMBER = re.compile(r"-?\d+\.\d{2,}")
_BLANKS = re.compile(r"\s*\n\s*")


def draw(label: str, paint: Callable[[Axes], None], *, left: float = 0.02) -> Markup:
    """A picture.

    Args:
        label: what it is, for those who cannot see it.
        paint: draws on the axes it is given; all text that it writes is numbers or dates.
        left: share of the width that is kept for the labels of the vertical axis.

    >>> picture = draw("a line", lambda axes: axes.plot([0, 1], [0, 1]))
    >>> picture[:38]
    Markup('<svg role="img" aria-label="a line" vi')
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH_IN, HEIGHT_IN))
        FigureCanvasSVG(figure)
        axes = figure.add_axes((left, 0.15, 0.97 - left, 0.81))
        axes.spines[["top", "right"]].set_visible(False)
        paint(axes)
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata=_NO_METADATA)
    return _slim(out.getvalue(), label)


def _slim(svg: str, label: str) -> Markup:
    """Without what only a file of its own needs; coordinates to a tenth of a pixel."""
    body = _DROPPED.sub("", svg[svg.index("<svg") :])
    head = _HEAD.match(body)
    if head is None:
        raise ValueError(f"matplotlib's SVG must begin with its view box, this does {body[:80]!r}")
    body = _UNUSED_ID.sub("<g>", body[head.end() :])
    body = _GEOMETRY.sub(lambda found: _NUMBER.sub(_tenth, found[0]), body)
    body = _BLANKS.sub(" ", body).replace("> <", "><")
    opening = Markup('<svg role="img" aria-label="{}" viewBox="{}">').format(label, head[1])
    return opening + Markup(body)  # noqa: S704  made of numbers by matplotlib, which escapes text


def _tenth(found: re.Match[str]) -> str:
    return f"{float(found[0]):.1f}".removesuffix(".0")
