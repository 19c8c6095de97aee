"""The contest as a page of the docs: a table, and each table's systems by error and latency."""

from __future__ import annotations

import io
import statistics
from collections.abc import Sequence
from pathlib import Path

from contest.standings import OURS, Standing, held, times_slower
from contest.systems import SYSTEMS
from contest.tables import TABLES
from tenfold.profile.figure import COLORS, GRAY

__all__ = ["page_files", "write_page"]

_STYLE = {"svg.fonttype": "none", "svg.hashsalt": "contest", "font.size": 8.0}

_HEAD = """# The contest

Made by `make bench-quality`; do not edit. Each system got the same training rows, {seconds} seconds
and two cores; a quarter of the rows, chosen by a hash of the row and the seed, judged it. ROC AUC
for two classes, log loss for more, RMSE for numbers; mean of {seeds}. Two systems tie within one
standard error of the paired bootstrap over the same test rows; the majority over seeds counts.
Tenfold seals a twentieth of its rows for its own judgment (`test_fraction`; a fifth by default),
since here the contest judges. *A row* is the median time of one row in the system's own process,
preparation included; the last column says how many times Tenfold's it takes, over the tables.

"""
_ASIDE = """
Of these tables, those that were kept aside: chosen by size and task before anybody had played one.
One default of Tenfold was changed for what they showed: rows equal to another were dropped, half
of two of these tables, and doctor-visits was lost to every rival by it. Ours then played all anew,
and king-county, the table with dates, once more when its rows had become cheaper to prepare.

"""
_PLOT = """
![Error and latency of each system on each table](contest.svg)

Each point is a system on a table: to the right, how long a row takes; upwards, how much worse than
the best system of that table (of 1 - ROC AUC, log loss or RMSE). Low and left is good.
"""


def page_files(lines: Sequence[Standing], *, seconds: int) -> dict[str, str]:
    """``contest.md`` and ``contest.svg`` by name; the same standings give the same text."""
    seeds = sorted({line.seeds for line in lines})
    told = f"{seeds[0]} to {seeds[-1]} seeds" if len(seeds) > 1 else f"{seeds[0]} seeds"
    text = _HEAD.format(seconds=seconds, seeds=told if seeds[-1] > 1 else "one seed")
    text += _against(lines)
    aside = [line for line in lines if line.table.is_aside]
    if aside:
        text += _ASIDE + _against(aside)
    text += _PLOT + "\n## By table\n"
    for table in TABLES:
        its = [line for line in lines if line.table is table]
        if not its:
            continue
        aside = ", kept aside" if table.is_aside else ""
        text += f"\n**{table.name}** ({table.metric}{aside})\n\n"
        text += "| system | score | a row, ms | Tenfold |\n|---|---|---|---|\n"
        for line in its:
            text += f"| {line.system} | {_number(line.score)} | {line.row_ms:.2f} | {line.ours} |\n"
    return {"contest.md": text, "contest.svg": _plot(lines)}


def _against(lines: Sequence[Standing]) -> str:
    """A line per rival: what came of each table, and how much slower its rows are."""
    text = "| against | tables | won | tied | lost | wins or ties | a row: least, median |\n"
    text += "|---|---|---|---|---|---|---|\n"
    slower = times_slower(lines)
    for name, outcomes in held(lines).items():
        won, tied, lost = (outcomes.count(what) for what in ("win", "tie", "loss"))
        share = (won + tied) / len(outcomes)
        rows = f"{min(slower[name]):,.0f}x, {statistics.median(slower[name]):,.0f}x"
        text += f"| {name} | {len(outcomes)} | {won} | {tied} | {lost} | {share:.0%} | {rows} |\n"
    return text


def _number(score: float) -> str:
    return f"{score:.4f}" if score < 100 else f"{score:,.0f}"


def _plot(lines: Sequence[Standing]) -> str:
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(6.4, 3.6), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        for color, system in zip(COLORS, SYSTEMS, strict=True):
            its = [line for line in lines if line.system == system.name]
            if not its:
                continue
            axes.scatter(
                [line.row_ms for line in its],
                [100.0 * _behind(line, lines) for line in its],
                s=18, color=color, label=system.name, zorder=3 if system.name == OURS else 2,
            )  # fmt: skip
        axes.set_xscale("log")
        axes.set_yscale("symlog", linthresh=10.0)
        worst = max((100.0 * _behind(line, lines) for line in lines), default=0.0)
        axes.set_ylim(-0.5, max(100.0, 2.0 * worst))
        shown = [0, 2, 5, 10, 20, 50, 200, 1000]
        axes.set_yticks(shown, labels=[f"{tick}" for tick in shown])
        axes.minorticks_off()
        axes.set_xticks([0.1, 1, 10, 100, 1000], labels=["0.1", "1", "10", "100", "1000"])
        axes.set_xlabel("one row, ms")
        axes.set_ylabel("error above the best, %")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color=GRAY, alpha=0.2, linewidth=0.5)
        figure.legend(frameon=False, fontsize=7, loc="outside right upper")
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()


def _behind(line: Standing, lines: Sequence[Standing]) -> float:
    """Relative error above that of the table's best."""
    best = min(_error(other) for other in lines if other.table is line.table)
    return _error(line) / best - 1.0


def _error(line: Standing) -> float:
    return 1.0 - line.score if line.table.metric == "roc_auc" else line.score


def write_page(folder: Path, lines: Sequence[Standing], *, seconds: int) -> None:
    """Write both files into the folder of the docs."""
    for name, text in page_files(lines, seconds=seconds).items():
        (folder / name).write_text(text)
