"""The one form of every benchmark: a table for people, a flat JSON file for machines.

A script collects numbers under flat keys, medians and ratios above all, and ends with `finish`::

    form = Form("monitor")
    form.add("null.iid.tenfold.runs_alarmed_ratio", 0.0)
    form.table("False alarms", ["detector", "runs alarmed"], [["tenfold", "0 %"]])
    form.finish(libraries=["numpy"])

The file ``benchmarks/results/AREA.json`` holds the machine and the versions beside the numbers, so
that two files can be compared or be known not to be comparable.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["RESULTS", "Form", "format_table", "machine", "median_seconds", "spread", "versions"]

RESULTS = Path(__file__).with_name("results")

Value = float | int | str | bool | None


def machine() -> dict[str, Value]:
    """What the numbers were taken on; nothing that names the machine or its owner."""
    return {
        "machine.cpu": _cpu(),
        "machine.cores": len(os.sched_getaffinity(0)),
        "machine.memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "machine.load_1m": round(os.getloadavg()[0], 2),
        "machine.system": f"{platform.system()} {platform.machine()}",
        "version.python": platform.python_version(),
    }


def versions(libraries: Iterable[str]) -> dict[str, Value]:
    """Installed versions by distribution name; None where one is not installed."""
    found: dict[str, Value] = {}
    for name in libraries:
        try:
            found[f"version.{name}"] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[f"version.{name}"] = None
    return found


def median_seconds(work: Callable[[], object], *, repeats: int = 5, warm_up: int = 1) -> float:
    """Median wall time of a call in seconds, after calls that do not count."""
    for _ in range(warm_up):
        work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, smallest and largest: what a few noisy repeats can honestly say."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def format_table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as they need to be, numbers to the right."""
    cells = [[str(cell) for cell in row] for row in (headings, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for number, row in enumerate(cells):
        padded = [
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(padded).rstrip())
        if number == 0:
            lines.append("  ".join("-" * width for width in widths))
    return "\n".join(lines)


class Form:
    """The numbers of one area.

    Args:
        area: name of the file, e.g. ``"monitor"``.
        folder: where it is written.
    """

    def __init__(self, area: str, *, folder: Path = RESULTS) -> None:
        self.area = area
        self._folder = folder
        self._values: dict[str, Value] = {}
        self._start = time.perf_counter()

    def add(self, key: str, value: Value) -> None:
        """Keep a number under a dotted key; a key may be given once."""
        if key in self._values:
            raise KeyError(f"{key} is already there; give every number a key of its own")
        self._values[key] = round(value, 6) if isinstance(value, float) else value

    def table(self, title: str, headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print a table."""
        sys.stdout.write(f"\n{title}\n{format_table(headings, rows)}\n")
        sys.stdout.flush()

    def finish(self, *, libraries: Iterable[str] = ()) -> Path:
        """Write the file, whole, and say where it is."""
        values: dict[str, Value] = {
            "area": self.area,
            "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(time.perf_counter() - self._start, 1),
            **machine(),
            **versions(libraries),
            **self._values,
        }
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{self.area}.json"
        temporary = path.with_suffix(".json.tmp")
        temporary.write_text(json.dumps(values, indent=2, sort_keys=True, allow_nan=False) + "\n")
        temporary.replace(path)
        sys.stdout.write(f"\n{path}\n")
        return path


def _cpu() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.machine()
