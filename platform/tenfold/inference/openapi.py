"""The request model of a schema: real column names, kinds, and an example that runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tenfold.artifact import CONFORMAL_FILE, Manifest
from tenfold.schema import Column, Kind, Schema

__all__ = ["MAX_ENUM", "example_row", "openapi_components", "request_columns"]

MAX_ENUM = 50
"""Most categories listed one by one on the page; more are told by number and first names."""

# OpenAPI 3.1 is JSON Schema: null is a type. No enum, since unseen texts are answered; no pattern
# of texts that hold a number or time, since it would be `tenfold.data`'s in another dialect.
_TEXT: dict[str, Any] = {"type": ["string", "null"]}
_TYPES: dict[Kind, dict[str, Any]] = {
    Kind.NUMBER: {"type": ["number", "string", "null"]},
    Kind.INTEGER: {"type": ["integer", "string", "null"]},
    Kind.BOOLEAN: {"type": ["boolean", "string", "null"]},
}

_WORDS: dict[Kind, str] = {
    Kind.NUMBER: "a number, or text as in the table",
    Kind.INTEGER: "a whole number, or text as in the table",
    Kind.BOOLEAN: "true or false, or text as in the table",
    Kind.DATETIME: "a time as ISO 8601 text, or as in the table; without a zone it is UTC",
    Kind.TEXT: "a text in words of any language",
    Kind.CATEGORY: "one of the known categories; any other text is answered as unseen",
}


def request_columns(schema: Schema) -> list[dict[str, Any]]:
    """One JSON Schema per column that a row must have, with its name under ``title``.

    >>> request_columns(Schema((Column("age", Kind.INTEGER, minimum=17.0, maximum=90.0),)))[0]
    {'title': 'age', 'description': 'a whole number, or text as in the table; null or a word such as
    NA if missing; 17 to 90 in training', 'type': ['integer', 'string', 'null'], 'example': 53}
    """
    return [_column(column) for column in schema.features]


def _column(column: Column) -> dict[str, Any]:
    description = [_WORDS.get(column.kind, "text"), "null or a word such as NA if missing"]
    if column.form.unit:
        share = column.form.unit == "%"
        description.insert(1, "a share: 0.12 for 12 %" if share else f"in {column.form.unit}")
    if column.kind in (Kind.NUMBER, Kind.INTEGER) and None not in (column.minimum, column.maximum):
        description.append(f"{column.minimum:.10g} to {column.maximum:.10g} in training")
    domain = column.domain or ()
    if domain:
        shown = ", ".join(domain[:MAX_ENUM])
        more = f" and {len(domain) - MAX_ENUM} more" if len(domain) > MAX_ENUM else ""
        description.append(f"known: {shown}{more}")
    return {
        "title": column.name,
        "description": "; ".join(description),
        **_TYPES.get(column.kind, _TEXT),
        "example": _example(column),
    }


def example_row(schema: Schema) -> dict[str, Any]:
    """A row that the model answers: the middle of each range, the first category.

    >>> example_row(Schema((Column("sex", Kind.CATEGORY, domain=("f", "m")),)))
    {'sex': 'f'}
    """
    return {column.name: _example(column) for column in schema.features}


def _example(column: Column) -> Any:
    middle = _middle(column)
    if column.kind is Kind.NUMBER:
        return float(f"{middle:.4g}")
    if column.kind is Kind.INTEGER:
        return int(middle)
    if column.kind is Kind.BOOLEAN:
        return True
    if column.kind is Kind.DATETIME:
        try:
            return datetime.fromtimestamp(int(middle), UTC).isoformat()
        except (ValueError, OverflowError, OSError):
            return "2031-05-04T13:30:00+00:00"
    if column.kind is Kind.TEXT:
        return "some words of text"
    return column.domain[0] if column.domain else "text"


def _middle(column: Column) -> float:
    known = [value for value in (column.minimum, column.maximum) if value is not None]
    return sum(value / len(known) for value in known) if known else 0.0


def openapi_components(manifest: Manifest) -> dict[str, Any]:
    """The schemas of the JSON doors (OpenAPI 3.1): ``Row``, ``PredictRequest``, ``Prediction`` and
    ``PredictResponse``; ``Columns``, ``PredictColumnsRequest`` and ``PredictColumnsResponse``.

    Args:
        manifest: of the model that answers.

    Returns:
        What belongs under ``components.schemas``; both requests hold an example that runs.
    """
    schema = manifest.schema
    columns = {str(column["title"]): column for column in request_columns(schema)}
    row = {
        "type": "object",
        "properties": columns,
        "required": list(columns),
        "additionalProperties": False,
    }
    # Columns that the schema knows and the model does not read (a key, an ignored one) may be sent.
    unread = [c for c in schema.columns if c.name not in columns and c is not schema.target]
    row["properties"] = columns | {
        c.name: {"title": c.name, "description": "not read by the model"} for c in unread
    }
    return {
        "Row": row,
        "PredictRequest": {
            "type": "object",
            "properties": {"rows": {"type": "array", "minItems": 1, "items": _ref("Row")}},
            "required": ["rows"],
            "additionalProperties": False,
            "example": {"rows": [example_row(schema)]},
        },
        "Columns": _columns(row),
        "PredictColumnsRequest": {
            "type": "object",
            "properties": {"columns": _ref("Columns")},
            "required": ["columns"],
            "additionalProperties": False,
            "description": "all columns have one length",
            "example": {"columns": {k: [v] for k, v in example_row(schema).items()}},
        },
        "Prediction": _prediction(manifest),
        "PredictResponse": _response("predictions", {"type": "array", "items": _ref("Prediction")}),
        "PredictColumnsResponse": _response("columns", _answer_columns(manifest)),
    }


def _response(name: str, answers: dict[str, Any]) -> dict[str, Any]:
    properties = {
        "model": {"type": "string", "description": "name of the project"},
        "version": {"type": "integer"},
        "digest": {"type": "string", "description": "of the model that answered"},
        "arm": {"type": "string", "description": "champion or challenger"},
        name: answers,
    }
    asked = {
        "level": {"type": "number", "description": "of intervals or sets, if they were asked for"},
        "method": {"type": "string", "description": "of explanations, if they were asked for"},
        "unit": {"type": "string", "description": "of explanations, if they were asked for"},
    }
    required = list(properties)
    return {"type": "object", "properties": properties | asked, "required": required}


def _columns(row: dict[str, Any]) -> dict[str, Any]:
    """A row's schema, each value made a list."""
    return {
        **row,
        "properties": {
            name: {
                "type": "array",
                "items": {k: v for k, v in column.items() if k != "title"},
                "minItems": 1,
            }
            for name, column in row["properties"].items()
        },
    }


def _answer_columns(manifest: Manifest) -> dict[str, Any]:
    one = _prediction(manifest)
    properties: dict[str, Any] = {
        name: {"type": "array", "items": part}
        for name, part in one["properties"].items()
        if name != "probabilities"
    }
    if manifest.classes:
        properties["probabilities"] = {
            "type": "object",
            "properties": {
                name: {"type": "array", "items": {"type": "number"}} for name in manifest.classes
            },
        }
    return {"type": "object", "properties": properties, "required": one["required"]}


_WARNING: dict[str, Any] = {
    "type": "object",
    "properties": {
        "column": {"type": "string"},
        "reason": {
            "enum": ["unseen category", "below the training range", "above the training range"]
        },
    },
    "required": ["column", "reason"],
}


def _prediction(manifest: Manifest) -> dict[str, Any]:
    value: dict[str, Any] = {"type": "number"}
    properties: dict[str, Any] = {
        "id": {"type": "string", "description": "send it back with the label to /feedback"}
    }
    required = ["id", "value"]
    if manifest.classes:
        value = {"type": "string", "enum": list(manifest.classes)}
        properties["probabilities"] = {
            "type": "object",
            "properties": {name: {"type": "number"} for name in manifest.classes},
        }
        required.append("probabilities")
    properties["value"] = value
    properties["warnings"] = {
        "type": "array",
        "items": _WARNING,
        "description": "if they were asked for: ?with=warnings",
    }
    properties |= _asked(manifest)
    return {"type": "object", "properties": properties, "required": required}


def _asked(manifest: Manifest) -> dict[str, Any]:
    """What an answer holds for who asks: interval or set, and explanation."""
    number = {"type": "number"}
    asked: dict[str, Any] = {}
    if CONFORMAL_FILE in manifest.files and manifest.classes:
        asked["set"] = {
            "type": "array",
            "items": {"enum": list(manifest.classes)},
            "minItems": 1,
            "description": "the classes that it may be at the level: ?with=set",
        }
    elif CONFORMAL_FILE in manifest.files:
        asked["interval"] = {
            "type": "array",
            "items": number,
            "minItems": 2,
            "maxItems": 2,
            "description": "where the truth lies at the level: ?with=interval",
        }
    columns = [column.name for column in manifest.schema.features]
    explanation: dict[str, Any] = {
        "base": number,
        "raw": {**number, "description": "base and all contributions"},
        "contributions": {
            "type": "object",
            "properties": dict.fromkeys(columns, number),
            "required": columns,
        },
    }
    required = list(explanation)
    if manifest.classes:
        explanation["of"] = {"enum": list(manifest.classes)}
        required.append("of")
    asked["explanation"] = {
        "type": "object",
        "properties": explanation,
        "required": required,
        "description": "what each column adds: ?with=explanation",
    }
    return asked


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
