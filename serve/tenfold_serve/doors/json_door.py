"""The JSON doors: rows, and columns.

::

    {"rows": [{"age": 39, "sex": "m"}, …]}    →  {…, "predictions": [{"id", "value", …}, …]}
    {"columns": {"age": [39, …], "sex": […]}} →  {…, "columns": {"id": […], "value": […], …}}
"""

from __future__ import annotations

from typing import Any

import orjson

from tenfold.features.columnpath import Columns
from tenfold.inference import prediction_items
from tenfold_serve.doors.scoring import Answered, Payload
from tenfold_serve.http import HttpError

__all__ = ["read_payload", "render_columns", "render_rows"]


def read_payload(body: Any) -> Payload:
    """The rows or columns of a parsed body.

    Raises:
        HttpError: 400, it has another form.
        RequestError: columns of different lengths.
    """
    if isinstance(body, dict) and len(body) == 1:
        if "rows" in body:
            rows = body["rows"]
            if not isinstance(rows, list) or not rows:
                raise HttpError(400, "form", "rows must be a list with at least one object")
            return rows
        columns = body.get("columns")
        if isinstance(columns, dict):
            for name, values in columns.items():
                if not isinstance(values, list):
                    raise HttpError(
                        400, "form", f"column {name[:40]!r} must be a list with one value per row"
                    )
            return Columns.of(columns)
    raise HttpError(
        400,
        "form",
        'the body must be {"rows": [{column: value, …}, …]} or {"columns": {column: [value, …]}}',
    )


def render_rows(answered: Answered) -> bytes:
    """The answer, one object per row."""
    items = prediction_items(
        answered.prediction, classes=answered.arm.predictor.classes, ids=answered.ids
    )
    if answered.warnings is not None:
        for item, told in zip(items, answered.warnings, strict=True):
            item["warnings"] = [caution.to_dict() for caution in told]
    return orjson.dumps({**_head(answered), "predictions": items})


def render_columns(answered: Answered) -> bytes:
    """The answer, one list per part."""
    columns: dict[str, Any] = {"id": answered.ids, "value": answered.prediction.values}
    classes = answered.arm.predictor.classes
    if classes:
        scores = answered.prediction.scores
        columns["probabilities"] = {
            name: scores[:, place].tolist() for place, name in enumerate(classes)
        }
    if answered.warnings is not None:
        columns["warnings"] = [
            [caution.to_dict() for caution in told] for told in answered.warnings
        ]
    return orjson.dumps({**_head(answered), "columns": columns})


def _head(answered: Answered) -> dict[str, Any]:
    arm = answered.arm
    return {
        "model": answered.project,
        "version": arm.version,
        "digest": arm.digest,
        "arm": arm.name,
    }
