"""The pages made from a model's schema: OpenAPI and a docs page that needs no network."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from typing import Any, Final

from tenfold.schema import Column, Kind, Schema

__all__ = ["docs_page", "example_row", "openapi"]

_TYPES: Final[dict[Kind, list[str]]] = {
    Kind.NUMBER: ["number", "null"],
    Kind.INTEGER: ["integer", "null"],
    Kind.BOOLEAN: ["boolean", "null"],
}
_EXAMPLE_TIME: Final = "2031-05-04T13:30:00Z"
_SHOWN_CATEGORIES: Final = 50


def example_row(columns: Sequence[Column]) -> dict[str, Any]:
    """A row that the model accepts.

    >>> example_row([Column("age", Kind.INTEGER, minimum=17.0, maximum=90.0),
    ...              Column("sex", Kind.CATEGORY, domain=("f", "m"))])
    {'age': 53, 'sex': 'f'}
    """
    return {column.name: _example(column) for column in columns}


def _example(column: Column) -> Any:
    if column.kind is Kind.BOOLEAN:
        return True
    if column.kind is Kind.DATETIME:
        return _EXAMPLE_TIME
    if column.kind in (Kind.NUMBER, Kind.INTEGER):
        low = 0.0 if column.minimum is None else column.minimum
        high = low if column.maximum is None else column.maximum
        middle = (low + high) / 2
        return int(middle) if column.kind is Kind.INTEGER else round(middle, 6)
    return column.domain[0] if column.domain else "text"


def openapi(
    schema: Schema, *, project: str, version: int, digest: str, max_rows: int
) -> dict[str, Any]:
    """The OpenAPI 3.1 document of one model, with its real column names and an example."""
    example = example_row(schema.features)
    target = schema.target
    classes = None if target is None else target.domain
    value: dict[str, Any] = (
        {"type": "string", "enum": list(classes)} if classes else {"type": "number"}
    )
    prediction: dict[str, Any] = {
        "id": {"type": "string", "description": "Send it back with the label."},
        "value": value,
    }
    if classes:
        prediction["probabilities"] = {
            "type": "object",
            "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1},
        }
    schemas: dict[str, Any] = {
        "Row": {
            "type": "object",
            "additionalProperties": False,
            "required": [column.name for column in schema.features],
            "properties": {column.name: _property(column) for column in schema.features},
            "example": example,
        },
        "PredictRequest": _object(
            {
                "rows": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": max_rows,
                    "items": _ref("Row"),
                }
            }
        ),
        "Prediction": _object(prediction, required=["id", "value"]),
        "PredictAnswer": _object(
            {
                "model": {"type": "string"},
                "version": {"type": "integer"},
                "digest": {"type": "string"},
                "predictions": {"type": "array", "items": _ref("Prediction")},
            }
        ),
        "Error": _ERROR,
        **_feedback_schemas(value),
    }
    paths: dict[str, Any] = {
        "/predict": {"post": _post("Predict", "PredictRequest", "200", "PredictAnswer")},
        "/healthz": {"get": _get("Whether the process lives")},
        "/readyz": {"get": _get("Whether a model answers, and why not")},
        "/metrics": {"get": _get("Totals of all replicas, for Prometheus")},
    }
    if target is not None:
        paths["/feedback"] = {
            "post": _post("Send labels", "FeedbackRequest", "202", "FeedbackAnswer")
        }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": project,
            "version": str(version),
            "description": f"Model {project}, version {version}, digest {digest}.",
        },
        "servers": [{"url": f"/{project}"}],
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _property(column: Column) -> dict[str, Any]:
    if column.kind is Kind.DATETIME:
        return {"type": ["string", "null"], "format": "date-time"}
    made: dict[str, Any] = {"type": _TYPES.get(column.kind, ["string", "null"])}
    if column.domain:
        shown = ", ".join(column.domain[:_SHOWN_CATEGORIES])
        more = len(column.domain) - _SHOWN_CATEGORIES
        made["description"] = f"Known: {shown}" + (f" and {more} more" if more > 0 else "")
    elif column.minimum is not None and column.maximum is not None:
        made["description"] = f"Seen: {column.minimum:g} to {column.maximum:g}"
    return made


def _feedback_schemas(value: dict[str, Any]) -> dict[str, Any]:
    label = _object(
        {
            "id": {"type": "string"},
            "label": value,
            "observed_at": {"type": "string", "format": "date-time"},
            "source": {"type": "string", "maxLength": 100},
        },
        required=["id", "label"],
    )
    item = _object(
        {
            "id": {"type": "string"},
            "status": {"enum": ["accepted", "duplicate", "unknown", "malformed"]},
            "reason": {"type": "string"},
        },
        required=["id", "status"],
    )
    return {
        "Label": label,
        "FeedbackRequest": _object({"labels": {"type": "array", "items": _ref("Label")}}),
        "FeedbackAnswer": _object(
            {"accepted": {"type": "integer"}, "items": {"type": "array", "items": item}}
        ),
    }


def _object(properties: dict[str, Any], *, required: list[str] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(properties) if required is None else required,
        "properties": properties,
    }


_ERROR: Final = _object(
    {
        "error": _object(
            {
                "law": {"type": "string"},
                "message": {"type": "string"},
                "items": {"type": "array", "items": {"type": "object"}},
            },
            required=["law", "message"],
        )
    }
)


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(name: str) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": _ref(name)}}}


def _post(summary: str, request: str, status: str, answer: str) -> dict[str, Any]:
    responses: dict[str, Any] = {status: {"description": "Done", **_json(answer)}}
    for code, reason in (
        ("400", "The request breaks a law"),
        ("413", "The body is too large"),
        ("503", "Not ready or too busy"),
        ("507", "Labels cannot be kept"),
    ):
        if code != "507" or request == "FeedbackRequest":
            responses[code] = {"description": reason, **_json("Error")}
    return {
        "summary": summary,
        "operationId": request.removesuffix("Request").lower(),
        "requestBody": {"required": True, **_json(request)},
        "responses": responses,
    }


def _get(summary: str) -> dict[str, Any]:
    return {"summary": summary, "responses": {"200": {"description": "OK"}}}


_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: #1d2733; background: #fff }}
pre, textarea {{ font: 13px/1.4 ui-monospace, monospace; background: #f4f6f8; padding: .8rem;
  border: 1px solid #d8dee4; border-radius: 6px; overflow: auto; width: 100%;
  box-sizing: border-box }}
table {{ border-collapse: collapse; width: 100% }}
td, th {{ text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #e3e8ee;
  vertical-align: top }}
button {{ font: inherit; padding: .4rem 1.2rem; border-radius: 6px; border: 1px solid #2458a8;
  background: #2f6fd0; color: #fff }}
code {{ background: #f4f6f8; padding: 0 .25rem }} .muted {{ color: #5b6773 }}
</style></head><body>
<h1>{title}</h1><p class="muted">{description}</p>
<h2>POST /{project}/predict</h2>
<textarea id="body" rows="14" spellcheck="false" aria-label="request body">{body}</textarea>
<p><button id="go">Predict</button> <span id="status" class="muted"></span></p>
<pre id="answer" hidden></pre>
<h3>Columns</h3>
<table><tr><th>Column</th><th>Type</th><th></th></tr>{rows}</table>
<p>A missing value is <code>null</code>; a column left out is an error.</p>
{feedback}
<h2>More</h2>
<ul><li><a href="openapi.json">openapi.json</a></li><li><a href="readyz">readyz</a></li>
<li><a href="metrics">metrics</a></li></ul>
<script>
document.getElementById('go').onclick = async () => {{
  const field = (name) => document.getElementById(name);
  const status = field("status"), answer = field("answer"), bodyField = field("body");
  const start = performance.now();
  try {{
    const reply = await fetch('predict', {{method: 'POST', body: bodyField.value,
      headers: {{'content-type': 'application/json'}}}});
    const text = await reply.text();
    status.textContent = reply.status + ' in ' + Math.round(performance.now() - start) + ' ms';
    try {{ answer.textContent = JSON.stringify(JSON.parse(text), null, 2); }}
    catch {{ answer.textContent = text; }}
  }} catch (error) {{ status.textContent = ''; answer.textContent = String(error); }}
  answer.hidden = false;
}};
</script></body></html>
"""

_FEEDBACK: Final = """<h2>POST /{project}/feedback</h2>
<p>Send the truth back by prediction id, now or weeks later; it is on disk before the answer.</p>
<pre>{body}</pre>"""


def docs_page(document: dict[str, Any]) -> bytes:
    """A page for people, made from the OpenAPI document alone, with nothing from elsewhere."""
    project = document["info"]["title"]
    row = document["components"]["schemas"]["Row"]
    cells = "".join(
        f"<tr><td><code>{html.escape(name)}</code></td>"
        f"<td>{html.escape(str(prop['type'][0]))}{_format(prop)}</td>"
        f'<td class="muted">{html.escape(prop.get("description", ""))}</td></tr>'
        for name, prop in row["properties"].items()
    )
    feedback = ""
    if "/feedback" in document["paths"]:
        label = document["components"]["schemas"]["Label"]["properties"]["label"]
        shown = label["enum"][0] if "enum" in label else 1.0
        body = json.dumps({"labels": [{"id": "…", "label": shown}]}, indent=2, ensure_ascii=False)
        feedback = _FEEDBACK.format(project=html.escape(project), body=html.escape(body))
    example = json.dumps({"rows": [row["example"]]}, indent=2, ensure_ascii=False)
    return _PAGE.format(
        title=html.escape(project),
        project=html.escape(project),
        description=html.escape(document["info"]["description"]),
        body=html.escape(example),
        rows=cells,
        feedback=feedback,
    ).encode()


def _format(prop: dict[str, Any]) -> str:
    return f" ({html.escape(prop['format'])})" if "format" in prop else ""
