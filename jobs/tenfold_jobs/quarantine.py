"""``tenfold quarantine``: the rows of the newest snapshot that could not be mended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from tenfold.data import Snapshot
from tenfold.errors import UserError
from tenfold.project import Project
from tenfold.settings import Settings

__all__ = ["FIRST_SHOWN", "cell_lines", "cells_by_reason", "first_cells", "run_quarantine"]

FIRST_SHOWN = 10
"""Bad cells that a page and a terminal show; the file has all of them."""


def run_quarantine(
    project: Project, settings: Settings, *, output: Path | None = None
) -> dict[str, Any]:
    """What was set aside, and on request all of it as a file.

    Args:
        project: prepared here.
        settings: where its snapshots are.
        output: CSV that is safe to open in a spreadsheet, or Parquet, by its ending; replaced
            whole. None writes nothing.

    Returns:
        ``project``, ``snapshot``, ``quarantined`` (rows), ``cells`` (bad cells in them),
        ``reasons`` (``reason``, ``cells``; the most frequent first), ``first`` (``source``,
        ``position``, ``column``, ``value``, ``reason`` of at most `FIRST_SHOWN` cells) and
        ``output``.

    Raises:
        UserError: the ending is another, or the folder is not there.
        DataError: the project was not prepared here.
        StoreError: the snapshot is not whole, or the disk refuses.
    """
    if output is not None:
        _check(output)
    snapshot = Snapshot.latest(settings, project)
    if output is not None:
        snapshot.export_quarantine(output)
    cells = snapshot.quarantine()
    return {
        "project": project.name,
        "snapshot": snapshot.digest,
        "quarantined": snapshot.n_quarantined,
        "cells": cells.num_rows,
        "reasons": [{"reason": reason, "cells": n} for reason, n in cells_by_reason(cells).items()],
        "first": first_cells(cells),
        "output": None if output is None else str(output),
    }


def _check(output: Path) -> None:
    if output.suffix.lower() not in (".csv", ".parquet"):
        raise UserError(
            f"--output must end in .csv or .parquet; found {str(output)!r}; name such a file"
        )
    if not output.absolute().parent.is_dir():
        raise UserError(f"--output: there is no folder {output.parent}; make it first")


def cells_by_reason(cells: pa.Table) -> dict[str, int]:
    """Bad cells by column and reason, the most frequent first.

    >>> cells_by_reason(pa.table({"column": ["age", None, "age"], "reason": ["old", "cut", "old"]}))
    {'age: old': 2, 'cut': 1}
    """
    columns, reasons = cells["column"].to_pylist(), cells["reason"].to_pylist()
    why = Counter(
        reason if column is None else f"{column}: {reason}"
        for column, reason in zip(columns, reasons, strict=True)
    )
    return dict(why.most_common())


def first_cells(cells: pa.Table) -> list[dict[str, Any]]:
    """The first bad cells in order of the sources, as JSON values."""
    return list(cells.slice(0, FIRST_SHOWN).to_pylist())


def cell_lines(first: list[Mapping[str, Any]]) -> list[str]:
    """A line for each of `first_cells`.

    >>> cell_lines([{"source": "people", "position": 5, "column": "age", "value": "old",
    ...             "reason": "is not a whole number"}])
    ["people, row 5: age 'old' is not a whole number"]
    """
    return [
        f"{cell['source']}, row {cell['position']}: "
        + ("" if cell["column"] is None else f"{cell['column']} ")
        + ("" if cell["value"] is None else f"{cell['value']!r} ")
        + cell["reason"]
        for cell in first
    ]
