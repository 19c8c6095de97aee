"""The pages made from a model's schema: OpenAPI and a docs page that needs no network."""

from __future__ import annotations

import html
import json
from typing import Any, Final

from tenfold.artifact import Manifest
from tenfold.inference import openapi_components

__all__ = ["docs_page", "openapi"]


def openapi(manifest: Manifest, *, project: str, version: int, max_rows: int) -> dict[str, Any]:
    """The OpenAPI 3.1 document of one model, with its real column names and an example."""
    schemas = openapi_components(manifest)
    schemas["PredictRequest"]["properties"]["rows"]["maxItems"] = max_rows
    schemas["Error"] = _ERROR
    paths: dict[str, Any] = {
        "/predict": {"post": _post("Predict", "PredictRequest", "200", "PredictResponse")},
        "/healthz": {"get": _get("Whether the process lives")},
        "/readyz": {"get": _get("Whether a model answers, and why not")},
        "/metrics": {"get": _get("Totals of all replicas, for Prometheus")},
    }
    if manifest.schema.target is not None:
        schemas |= _feedback_schemas(schemas["Prediction"]["properties"]["value"])
        paths["/feedback"] = {
            "post": _post("Send labels", "FeedbackRequest", "202", "FeedbackResponse")
        }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": project,
            "version": str(version),
            "description": f"Version {version}, model digest {manifest.model_digest}.",
        },
        "servers": [{"url": f"/{project}"}],
        "paths": paths,
        "components": {"schemas": schemas},
    }


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
        "FeedbackResponse": _object(
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
p, td {{ overflow-wrap: anywhere }}
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
    schemas = document["components"]["schemas"]
    required = schemas["Row"]["required"]
    cells = "".join(
        f"<tr><td><code>{html.escape(name)}</code></td>"
        f"<td>{html.escape(_type(prop) if name in required else 'optional')}</td>"
        f'<td class="muted">{html.escape(prop.get("description", ""))}</td></tr>'
        for name, prop in schemas["Row"]["properties"].items()
    )
    feedback = ""
    if "/feedback" in document["paths"]:
        label = schemas["Label"]["properties"]["label"]
        shown = label["enum"][0] if "enum" in label else 1.0
        body = json.dumps({"labels": [{"id": "…", "label": shown}]}, indent=2, ensure_ascii=False)
        feedback = _FEEDBACK.format(project=html.escape(project), body=html.escape(body))
    example = json.dumps(schemas["PredictRequest"]["example"], indent=2, ensure_ascii=False)
    return _PAGE.format(
        title=html.escape(project),
        project=html.escape(project),
        description=html.escape(document["info"]["description"]),
        body=html.escape(example),
        rows=cells,
        feedback=feedback,
    ).encode()


def _type(prop: dict[str, Any]) -> str:
    kind = prop.get("type", "any")
    return str(kind[0] if isinstance(kind, list) else kind)
