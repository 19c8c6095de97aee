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
from tenfold.inference.explainer import Explanation
from tenfold_serve.doors.extras import Extras, extra_facts
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


def _explanations(found: Explanation) -> list[dict[str, Any]]:
    """One object per row."""
    names = found.columns
    numbers = zip(
        found.base.tolist(), found.raw.tolist(), found.contributions.tolist(), strict=True
    )
    items: list[dict[str, Any]] = [
        {"base": base, "raw": raw, "contributions": dict(zip(names, row, strict=True))}
        for base, raw, row in numbers
    ]
    if found.of is not None:
        for item, name in zip(items, found.of, strict=True):
            item["of"] = name
    return items


def _sets(answered: Answered, inside: Any) -> list[list[str]]:
    """The classes in each set, in the order of the model's."""
    classes = answered.arm.predictor.classes
    return [
        [name for name, is_in in zip(classes, row, strict=True) if is_in] for row in inside.tolist()
    ]


def _more(answered: Answered, extras: Extras) -> dict[str, list[Any]]:
    """Interval, set and explanation of each row, as far as they were asked for."""
    more: dict[str, list[Any]] = {}
    if extras.interval is not None:
        more["interval"] = extras.interval.tolist()
    if extras.set is not None:
        more["set"] = _sets(answered, extras.set)
    if extras.explanation is not None:
        more["explanation"] = _explanations(extras.explanation)
    return more


def render_rows(answered: Answered) -> bytes:
    """The answer, one object per row."""
    items = prediction_items(
        answered.prediction, classes=answered.arm.predictor.classes, ids=answered.ids
    )
    if answered.warnings is not None:
        for item, told in zip(items, answered.warnings, strict=True):
            item["warnings"] = [caution.to_dict() for caution in told]
    if answered.extras is not None:
        for name, values in _more(answered, answered.extras).items():
            for item, value in zip(items, values, strict=True):
                item[name] = value
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
    if answered.extras is not None:
        columns |= _more(answered, answered.extras)
    return orjson.dumps({**_head(answered), "columns": columns})


def _head(answered: Answered) -> dict[str, Any]:
    arm = answered.arm
    return {
        "model": answered.project,
        "version": arm.version,
        "digest": arm.digest,
        "arm": arm.name,
        **extra_facts(answered.extras),
    }
