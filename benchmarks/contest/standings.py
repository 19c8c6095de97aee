"""What the runs of a contest come to: a line per table and system, a share per rival."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from contest.score import compare, majority
from contest.systems import SYSTEMS
from contest.tables import TABLES, Table

__all__ = ["OURS", "Run", "Standing", "held", "standings", "times_slower"]

OURS: Final = "tenfold"
Run = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Standing:
    """A system on a table.

    Attributes:
        table: which.
        system: its name.
        score: mean over seeds, in the table's metric.
        row_ms: median over seeds of the median of single rows.
        seeds: how many.
        ours: ``win``, ``tie`` or ``loss`` of ours against it; empty for ours itself, or where no
            seed has both.
    """

    table: Table
    system: str
    score: float
    row_ms: float
    seeds: int
    ours: str = ""


def standings(runs: Iterable[Run], *, seconds: int) -> list[Standing]:
    """By table and system, in their fixed order; runs that failed or had other seconds are out."""
    found: dict[tuple[str, str], dict[int, Run]] = defaultdict(dict)
    for run in runs:
        if run["seconds"] == seconds and "score" in run:
            found[run["table"], run["system"]][run["seed"]] = run
    return [
        Standing(
            table,
            system.name,
            statistics.mean(run["score"] for run in its.values()),
            statistics.median(run["row_ms"] for run in its.values()),
            len(its),
            "" if system.name == OURS else _verdict(table, found[table.name, OURS], its),
        )
        for table in TABLES
        for system in SYSTEMS
        if (its := found[table.name, system.name])
    ]


def held(lines: Sequence[Standing]) -> dict[str, list[str]]:
    """By rival, the outcome on each table."""
    outcomes: dict[str, list[str]] = defaultdict(list)
    for line in lines:
        if line.ours:
            outcomes[line.system].append(line.ours)
    return dict(outcomes)


def times_slower(lines: Sequence[Standing]) -> dict[str, list[float]]:
    """By rival, how many times ours one of its rows takes on each table that both have."""
    ours = {line.table.name: line.row_ms for line in lines if line.system == OURS}
    ratios: dict[str, list[float]] = defaultdict(list)
    for line in lines:
        if line.system != OURS and line.table.name in ours:
            ratios[line.system].append(line.row_ms / ours[line.table.name])
    return dict(ratios)


def _verdict(table: Table, ours: Mapping[int, Run], theirs: Mapping[int, Run]) -> str:
    seeds = sorted(ours.keys() & theirs.keys())
    pairs = [(_told(ours[seed]), _told(theirs[seed])) for seed in seeds]
    return majority([compare(table, *pair) for pair in pairs]) if pairs else ""


def _told(run: Run) -> tuple[float, Sequence[float]]:
    return run["score"], run["replicates"]
