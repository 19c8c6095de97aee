"""``tenfold feedback``: labels from a file to the running endpoint."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from tenfold.cluster.keeper import endpoint_url
from tenfold.errors import DataError
from tenfold.progress import SILENT, Progress
from tenfold.project import Project, Task
from tenfold.settings import Settings
from tenfold_jobs.client import EndpointClient

__all__ = ["read_labels", "run_feedback"]

LABELS_PER_REQUEST = 500
"""One durable write on the endpoint takes as long for 500 labels as for one."""

_REQUIRED = ("id", "label")
_OPTIONAL = ("observed_at", "source")


def run_feedback(
    project: Project, settings: Settings, path: Path, *, progress: Progress = SILENT
) -> dict[str, Any]:
    """Send every label of a file.

    Returns:
        ``labels`` (count), ``statuses`` (count by status of the endpoint's answer) and
        ``refused`` (the first ten items that were not accepted).

    Raises:
        DataError: the file has no ``id`` and ``label`` columns, or the endpoint refused.
        ClusterError: no endpoint answers.
    """
    labels = list(read_labels(path, numbers=project.problem.task is Task.REGRESSION))
    statuses: Counter[str] = Counter()
    refused: list[dict[str, Any]] = []
    with (
        EndpointClient(endpoint_url(settings, project.name)) as client,
        progress.step("labels", total=len(labels)) as advance,
    ):
        for start in range(0, len(labels), LABELS_PER_REQUEST):
            chunk = labels[start : start + LABELS_PER_REQUEST]
            items = client.require_feedback(chunk)["items"]
            statuses.update(item["status"] for item in items)
            refused += [item for item in items if item["status"] != "accepted"]
            advance(len(chunk))
    return {
        "project": project.name,
        "labels": len(labels),
        "statuses": dict(statuses),
        "refused": refused[:10],
    }


def read_labels(path: Path, *, numbers: bool) -> Iterator[dict[str, Any]]:
    """The labels of a CSV, Parquet, JSON lines or Arrow file, as the endpoint wants them.

    Args:
        path: of the file.
        numbers: the labels are numbers, also where the file holds them as text.

    Raises:
        DataError: a column is missing or unknown, a label is no number where one is needed, or
            the file cannot be read.
    """
    from tenfold.data import read_batches

    position = 0
    for batch in read_batches(path):
        _check_columns(path, batch)
        for row in batch.to_pylist():
            position += 1
            label = {name: value for name, value in row.items() if value is not None}
            if "label" in label:
                label["label"] = _label(label["label"], path, position, numbers=numbers)
            yield label


def _label(value: Any, path: Path, position: int, *, numbers: bool) -> str | float:
    if not numbers:
        return str(value)
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{path}: the target is a number and row {position} has the label {value!r}; "
            "send the true value of the target"
        ) from error


def _check_columns(path: Path, batch: pa.Table) -> None:
    names = set(batch.column_names)
    missing = [name for name in _REQUIRED if name not in names]
    unknown = sorted(names - {*_REQUIRED, *_OPTIONAL})
    if missing or unknown:
        raise DataError(
            f"{path}: labels have the columns id, label and optionally observed_at, source; "
            f"missing: {missing}, unknown: {unknown}"
        )
