"""What recording costs a request, beside what people put there instead.

``make bench-hotpath``; about five seconds. The hot path of a one-row request is: choose the arm,
make the id, copy into the block, add to the totals. Its budget is 12 us; the file says whether it
held. Rivals do in the request what the recorder does behind it: one JSON line through ``logging``
to a file, and one ``prometheus_client`` call per column.

The least of many rounds is told, not the median: it is what the code costs, the others are what the
machine did meanwhile.
"""

from __future__ import annotations

import json
import logging
import tempfile
import timeit
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from prometheus_client import CollectorRegistry, Counter, Histogram

from _form import Form
from _recorder import forget
from tenfold.features import RowEncoder
from tenfold.monitor import FrozenBins
from tenfold.profile import Profile
from tenfold.schema import Schema
from tenfold.testing.mixed import json_rows, mixed_schema, mixed_table
from tenfold_serve.answers import Answers, Entry
from tenfold_serve.ids import IdMaker
from tenfold_serve.prediction_log import answers_table, write_segment
from tenfold_serve.recorder import Recorder
from tenfold_serve.shipping import RequestStats
from tenfold_serve.traffic import choose_arm, request_key

BUDGET_US = 12.0
_CALLS = 200
_ROUNDS = 50


@dataclass
class _Arm:
    """What the recorder asks of a model."""

    schema: Schema
    bins: FrozenBins
    name: str = "champion"
    version: int = 1
    digest: str = "d" * 64

    def count(
        self, codes: npt.NDArray[np.float64], _scores: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.int64]:
        return self.bins.count(codes)


def least_us(work: Callable[[], object]) -> float:
    """The least of many rounds, microseconds a call."""
    return min(timeit.repeat(work, number=_CALLS, repeat=_ROUNDS)) / _CALLS * 1e6


def make_entry(n_rows: int) -> Entry:
    schema = mixed_schema()
    profile = Profile.from_table(mixed_table(3000, seed=99), schema)
    rows = json_rows(schema, mixed_table(n_rows))
    codes = RowEncoder(schema).encode_rows(rows)
    arm = _Arm(schema, FrozenBins.freeze(schema, profile))
    scores = np.tile([0.25, 0.75], (n_rows, 1))
    return Entry([f"{k:049}" for k in range(n_rows)], rows, codes, scores, ["yes"] * n_rows, arm, 0)


def hot_path(folder: Path) -> dict[str, Callable[[], object]]:
    """Each part, and all of them as a request meets them."""
    one = make_entry(1)
    ids = IdMaker(b"s" * 32, project="mixed")
    stats = RequestStats.empty()
    recorder = Recorder(
        project="mixed", replica="r", app="r.1", folder=folder, sink=lambda _report: None
    )

    def offer(entry: Entry) -> None:
        recorder.offer(entry)
        if recorder._full:
            forget(recorder)

    def split() -> int:
        key = request_key(None, one.rows, ("id",), b"request")
        return choose_arm((0.9, 0.1), key, salt=b"mixed")

    def request() -> None:
        split()
        offer(one._replace(ids=ids.make(1)))
        stats.add(200, 0.0004)

    return {
        "split": split,
        "id": lambda: ids.make(1),
        "block": lambda: offer(one),
        "totals": lambda: stats.add(200, 0.0004),
        "all": request,
    }


def rivals(folder: Path) -> dict[str, Callable[[], object]]:
    """What is usually called in the request itself."""
    one = make_entry(1)
    row: dict[str, Any] = dict(one.rows[0])
    logger = logging.Logger("rival")
    logger.addHandler(logging.FileHandler(folder / "rival.log"))
    registry = CollectorRegistry()
    answers = Counter("answers", "Answers.", ["version"], registry=registry)
    columns = Histogram("columns", "Values.", ["column"], registry=registry)

    def metrics() -> None:
        answers.labels("1").inc()
        for column, value in zip(one.arm.schema.features, one.codes[0], strict=True):
            columns.labels(column.name).observe(value)

    return {
        "json line": lambda: logger.info(json.dumps({"row": row, "value": one.values[0]})),
        "metric per column": metrics,
    }


def main() -> None:
    """Measure and write the file."""
    form = Form("hotpath")
    n_columns = len(mixed_schema().features)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours = {part: least_us(work) for part, work in hot_path(folder).items()}
        theirs = {part: least_us(work) for part, work in rivals(folder).items()}
        many = make_entry(1000)
        arm = many.arm
        behind = {
            "count": lambda: arm.count(many.codes, many.scores),
            "spool": lambda: write_segment(
                folder / "segment", [answers_table(Answers.of([many]), replica="r")]
            ),
        }
        rows_us = {
            part: min(timeit.repeat(work, number=1, repeat=20)) * 1e6 / 1000
            for part, work in behind.items()
        }
    for part, value in ours.items():
        form.add(f"request.{part}.us", value)
    form.add("request.budget_us", BUDGET_US)
    form.add("request.within_budget", ours["all"] <= BUDGET_US)
    for part, value in theirs.items():
        key = part.replace(" ", "_")
        form.add(f"rival.{key}.us", value)
        form.add(f"rival.{key}.ratio", value / ours["all"])
    for part, value in rows_us.items():
        form.add(f"behind.{part}.us_per_row", value)
    form.add("columns", n_columns)
    form.table(
        f"A one-row request of {n_columns} columns",
        ["part", "us"],
        [[part, f"{us:.2f}"] for part, us in {**ours, **theirs}.items()],
    )
    form.table(
        "Behind the request, 1,000 rows at once",
        ["part", "us a row"],
        [[part, f"{us:.2f}"] for part, us in rows_us.items()],
    )
    form.finish(libraries=["numpy", "pyarrow", "prometheus-client"])


if __name__ == "__main__":
    main()
