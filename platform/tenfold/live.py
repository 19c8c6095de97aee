"""The live logs: where predictions and labels lie, and their join for training.

Delta tables under ``{store}/live/{project}``: predictions, labels, and ``shadow`` where challengers
scored beside the champion. The serving wing writes them; here they are read. A prediction counts
once, with the label that `tenfold.monitor.labels.standing` believes, which is the one that the
monitor judged it by; the history stays in the table.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tenfold.errors import StoreError
from tenfold.monitor.labels import Label, standing

__all__ = ["LABEL", "join_labels", "labeled_rows", "log_tables", "read_log", "shadow_table"]

LABEL = "__label"
"""Column of the joined table that holds the label, as text."""


def log_tables(live: Path, project: str) -> tuple[Path, Path]:
    """The folders of the predictions table and of the labels table."""
    return live / project / "predictions", live / project / "labels"


def shadow_table(live: Path, project: str) -> Path:
    """The folder of the table of what challengers said in shadow, by prediction id."""
    return live / project / "shadow"


def read_log(folder: Path) -> pa.Table | None:
    """A whole Delta table; None if nothing was ever committed.

    Raises:
        StoreError: the table cannot be read.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    if not DeltaTable.is_deltatable(str(folder)):
        return None
    try:
        return DeltaTable(str(folder)).to_pyarrow_dataset().to_table()
    except (DeltaError, OSError) as error:
        raise StoreError(f"{folder} cannot be read: {error}") from error


def labeled_rows(live: Path, project: str) -> pa.Table:
    """Answered rows whose truth is known, oldest first, with the label in `LABEL`.

    Raises:
        StoreError: a table cannot be read.
    """
    predictions, labels = (read_log(folder) for folder in log_tables(live, project))
    if predictions is None or labels is None:
        return pa.table({LABEL: pa.array([], pa.string())})
    return join_labels(predictions, labels)


def join_labels(predictions: pa.Table, labels: pa.Table) -> pa.Table:
    """Predictions with the label that counts, in the order in which they were answered.

    Args:
        predictions: with ``__id`` and ``__at``; an id that comes twice counts once.
        labels: with ``id``, ``label``, ``observed_at``, ``received_at`` and ``source``, in any
            order.

    >>> from datetime import datetime, timedelta
    >>> at = [datetime(2026, 1, 1) + timedelta(seconds=s) for s in range(3)]
    >>> joined = join_labels(
    ...     pa.table({"__id": ["b", "a"], "__at": at[1::-1], "x": [2.0, 1.0]}),
    ...     pa.table({"id": ["a", "a", "z"], "label": ["new", "old", "?"], "source": [""] * 3,
    ...               "observed_at": [at[2], at[1], at[0]], "received_at": [at[2]] * 3}))
    >>> joined.select(["x", "__label"]).to_pylist()
    [{'x': 1.0, '__label': 'new'}]
    """
    counting = _counting(labels)
    ids = predictions.column("__id").to_pylist()
    first = _first_places(ids)
    found = [counting.get(one) if place in first else None for place, one in enumerate(ids)]
    joined = predictions.append_column(LABEL, pa.array(found, pa.string()))
    kept = joined.filter(pc.is_valid(joined.column(LABEL)))
    order = np.argsort(
        kept.column("__at").cast(pa.timestamp("us")).cast(pa.int64()).to_numpy(), kind="stable"
    )
    return kept.take(pa.array(order))


def _counting(labels: pa.Table) -> dict[str, str]:
    """For each id the label that counts."""
    columns = [
        labels.column("id").to_pylist(),
        labels.column("label").to_pylist(),
        _seconds(labels.column("observed_at")),
        labels.column("source").to_pylist(),
        _seconds(labels.column("received_at")),
    ]
    often = {one for one, times in Counter(columns[0]).items() if times > 1}
    counting: dict[str, str] = {}
    said: dict[str, list[Label]] = {}
    for row in zip(*columns, strict=True):
        if row[0] in often:
            said.setdefault(row[0], []).append(Label(*row))
        else:
            counting[row[0]] = row[1]
    return counting | {one: standing(known).value for one, known in said.items()}


def _seconds(times: pa.ChunkedArray) -> list[float]:
    micros = times.cast(pa.timestamp("us")).cast(pa.int64()).to_pylist()
    return [value / 1e6 for value in micros]


def _first_places(ids: list[str]) -> set[int]:
    seen: dict[str, int] = {}
    for place, one in enumerate(ids):
        seen.setdefault(one, place)
    return set(seen.values())
