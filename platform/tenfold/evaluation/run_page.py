"""The page of a training: who answers and why, what was tried, what mattered.

One HTML file without script or outside resource, like the exploration report, whose style and
pictures it shares. Jinja2 renders with autoescaping on; the page's own policy forbids scripts and
network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes

__all__ = ["Candidate", "Curve", "RunPage", "Trial", "render_run", "round_ticks"]

MAX_CURVES = 12
"""Curves that are drawn, the best trials' first; the table has every trial."""
LEFT = 0.16
"""Share of a picture's width for the labels of its vertical axis."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Who could have answered.

    Attributes:
        words: members and weights, for people.
        score: the metric on out-of-fold rows, of one seed.
        behind: of the best, in standard errors of the difference.
        micros: microseconds a row; None where it was not fitted.
        size_bytes: of its native files; None likewise.
        is_picked: whether it answers.
    """

    words: str
    score: float
    behind: float
    micros: float | None
    size_bytes: int | None
    is_picked: bool


@dataclass(frozen=True, slots=True)
class Curve:
    """Loss on the rows that stop a fit, by round or epoch."""

    number: int
    family: str
    points: Sequence[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Trial:
    """A configuration that was tried; ``reason`` says why it has no score."""

    number: int
    family: str
    score: float
    seconds: float
    fate: str
    params: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RunPage:
    """Everything that the page says. Texts are plain; the page escapes them.

    Attributes:
        project: its name.
        metric: what the search optimized.
        maximize: whether more of it is better.
        answer: who answers, in words.
        reason: why.
        facts: more pairs about the answer.
        front: candidates, the fastest first.
        trials: in order.
        curves: of trials that have one, the best trial's first.
        importance: family to (parameter, share of the explained variance), the largest first.
        seconds: wall time of the training.
    """

    project: str
    metric: str
    maximize: bool
    answer: str
    reason: str
    seconds: float
    facts: Sequence[tuple[str, str]] = ()
    front: Sequence[Candidate] = ()
    trials: Sequence[Trial] = ()
    curves: Sequence[Curve] = ()
    importance: Mapping[str, Sequence[tuple[str, float]]] = field(default_factory=dict)


def render_run(page: RunPage) -> str:
    """The page as HTML.

    Args:
        page: nothing else is shown.

    >>> page = RunPage("churn", "roc_auc", True, "linear", "it was alone", 3.0)
    >>> "churn" in render_run(page) and "<script" not in render_run(page)
    True
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader(
            [PackageLoader("tenfold.evaluation"), PackageLoader("tenfold.profile")]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": _number, "bytes": _bytes}
    return environment.get_template("run.html.j2").render(
        p=page,
        n_failed=sum(bool(trial.reason) for trial in page.trials),
        front_picture=_front(page),
        course_picture=_course(page),
        curve_pictures=[_curve(curve) for curve in page.curves[:MAX_CURVES]],
    )


def _number(value: float) -> str:
    """For people: four figures behind the point of a small number."""
    if not math.isfinite(value):
        return ""
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:,.1f}"


def _bytes(value: int) -> str:
    return f"{value / 1e6:.1f} MB" if value >= 1e5 else f"{value / 1e3:.1f} kB"


def _front(page: RunPage) -> Markup | str:
    """Score against microseconds, a number for each candidate of the table."""
    from tenfold.profile.figure import BLUE, COLORS, draw

    timed = [(n, c) for n, c in enumerate(page.front, start=1) if c.micros is not None]
    if len(timed) < 2:
        return ""

    ticks = round_ticks([one.micros or 1.0 for _n, one in timed])

    def paint(axes: Axes) -> None:
        axes.set_xscale("log")
        axes.set_xticks(ticks, labels=[f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.set_xlim(ticks[0] / 1.05, ticks[-1] * 1.05)
        for n, one in timed:
            color = COLORS[1] if one.is_picked else BLUE
            axes.plot([one.micros or 1.0], [one.score], "o", color=color, markersize=5)
            axes.annotate(
                str(n), (one.micros or 1.0, one.score), xytext=(4, 3), textcoords="offset points"
            )

    return draw(f"{page.metric} against microseconds a row", paint, left=LEFT)


def round_ticks(values: Sequence[float]) -> list[float]:
    """1, 2 and 5 times powers of ten, from the last at or below to the first at or above them.

    Args:
        values: above 0, at least one.

    >>> round_ticks([142.0, 583.0]), round_ticks([50.0])
    ([100.0, 200.0, 500.0, 1000.0], [50.0])
    """
    low, high = min(values), max(values)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = [float(f"{one}e{power}") for power in powers for one in (1, 2, 5)]
    first = max(step for step in steps if step <= low)
    last = min(step for step in steps if step >= high)
    return [step for step in steps if first <= step <= last]


def _course(page: RunPage) -> Markup | str:
    """The score of each trial, and the best so far."""
    from tenfold.profile.figure import BLUE, INK, draw

    scored = [(t.number, t.score) for t in page.trials if math.isfinite(t.score)]
    if len(scored) < 2:
        return ""
    pick = max if page.maximize else min

    def paint(axes: Axes) -> None:
        numbers, scores = zip(*scored, strict=True)
        best = [pick(scores[: k + 1]) for k in range(len(scores))]
        axes.plot(numbers, scores, "o", color=BLUE, markersize=3)
        axes.step(numbers, best, where="post", color=INK, linewidth=0.8)

    return draw(f"{page.metric} by trial", paint, left=LEFT)


def _curve(curve: Curve) -> dict[str, Any]:
    from tenfold.profile.figure import BLUE, draw

    def paint(axes: Axes) -> None:
        rounds, losses = zip(*curve.points, strict=True)
        axes.plot(rounds, losses, color=BLUE, linewidth=1.0)

    label = f"loss by round of trial {curve.number}"
    return {"curve": curve, "picture": draw(label, paint, left=LEFT)}
