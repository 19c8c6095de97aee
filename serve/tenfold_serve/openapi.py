"""The OpenAPI 3.1 document of one model: every door, with the model's own column names."""

from __future__ import annotations

from typing import Any, Final

from tenfold.artifact import CONFORMAL_FILE, Manifest
from tenfold.inference import openapi_components
from tenfold.schema import Schema
from tenfold_serve.doors.tensors import NUMBERS
from tenfold_serve.doors.v2_answer import datatype_of
from tenfold_serve.doors.v2_request import OUTPUTS
from tenfold_serve.doors.wants import DEFAULT_LEVEL

__all__ = ["openapi"]

_ARROW: Final = "application/vnd.apache.arrow.stream"
_OCTETS: Final = "application/octet-stream"
_BINARY: Final[dict[str, Any]] = {"type": "string", "format": "binary"}

_REFUSALS: Final = {
    "400": "The request breaks a law",
    "401": "A valid key is needed",
    "403": "The key has other roles",
    "404": "There is no such thing",
    "406": "No answer has an accepted type",
    "408": "The body did not arrive in time",
    "413": "The body is too large",
    "415": "The body is of another type",
    "429": "Too busy: ask again after Retry-After seconds",
    "503": "Not ready or too busy: ask again after Retry-After seconds",
    "507": "Labels cannot be kept",
}


def openapi(manifest: Manifest, *, project: str, version: int, max_rows: int) -> dict[str, Any]:
    """The document.

    Args:
        manifest: of the model that answers.
        project: its name, the first part of every path.
        version: of the model.
        max_rows: most rows of a request.
    """
    asking = _asking(manifest)
    schemas = openapi_components(manifest)
    schemas["PredictRequest"]["properties"]["rows"]["maxItems"] = max_rows
    for column in schemas["Columns"]["properties"].values():
        column["maxItems"] = max_rows
    schemas |= _v2_schemas(manifest, project)
    schemas["Error"] = _ERROR
    paths: dict[str, Any] = {
        "/predict": {"post": _predict(asking)},
        "/healthz": {"get": _get("Whether the process lives")},
        "/readyz": {"get": _get("Whether a model answers, and why not", "503")},
        "/metrics": {
            "get": _get("Totals of all replicas, for Prometheus", "401", "403", "503", kind=_TEXT)
        },
        **_v2_paths(project, asking),
    }
    if manifest.schema.target is not None:
        schemas |= _feedback_schemas(schemas["Prediction"]["properties"]["value"])
        paths["/feedback"] = {"post": _feedback()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": project,
            "version": str(version),
            "description": f"Version {version}, model digest {manifest.model_digest}.",
        },
        "servers": [{"url": f"/{project}"}],
        # Keys are needed where the project has some; an endpoint without is open, on loopback.
        "security": [{}, {"key": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


_TEXT: Final = "text/plain"
_KEY: Final[list[dict[str, Any]]] = [
    {
        "name": "X-Tenfold-Key",
        "in": "header",
        "description": "whoever sends the same stays with one model during a canary; the first "
        "256 characters count",
        "schema": {"type": "string"},
    },
]


def _asking(manifest: Manifest) -> list[dict[str, Any]]:
    """Parameters of a prediction; words that this model has an answer to."""
    has_limits = CONFORMAL_FILE in manifest.files
    limits = ["set" if manifest.classes else "interval"] if has_limits else []
    words = {"type": "string", "enum": ["warnings", *limits, "explanation"]}
    asking: list[dict[str, Any]] = [
        {
            "name": "with",
            "in": "query",
            "description": "what else is asked for, with commas between; also as X-Tenfold-With",
            "style": "form",
            "explode": False,
            "schema": {"type": "array", "items": words, "uniqueItems": True},
        }
    ]
    if has_limits:
        level = {"type": "number", "minimum": 0.5, "maximum": 0.995, "default": DEFAULT_LEVEL}
        words_of_it = f"of the {limits[0]}; also as X-Tenfold-Level"
        asking.append({"name": "level", "in": "query", "description": words_of_it, "schema": level})
    return [*asking, *_KEY]


def _predict(asking: list[dict[str, Any]]) -> dict[str, Any]:
    body = {"oneOf": [_ref("PredictRequest"), _ref("PredictColumnsRequest")]}
    answer = {"oneOf": [_ref("PredictResponse"), _ref("PredictColumnsResponse")]}
    stream = {
        "schema": {
            **_BINARY,
            "description": "an Arrow IPC stream, uncompressed, with one flat column per name",
        }
    }
    return {
        "summary": "Predict",
        "operationId": "predict",
        "parameters": asking,
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": body}, _ARROW: stream},
        },
        "responses": {
            "200": {
                "description": "One answer per row, in their order",
                "content": {"application/json": {"schema": answer}, _ARROW: {"schema": _BINARY}},
            },
            **_refused("400", "401", "403", "406", "408", "413", "415", "429", "503"),
        },
    }


def _feedback() -> dict[str, Any]:
    return {
        "summary": "Send labels",
        "operationId": "feedback",
        "requestBody": {"required": True, **_json(_ref("FeedbackRequest"))},
        "responses": {
            "202": {"description": "Kept", **_json(_ref("FeedbackResponse"))},
            **_refused("400", "401", "403", "408", "413", "415", "429", "503", "507"),
        },
    }


def _v2_paths(project: str, asking: list[dict[str, Any]]) -> dict[str, Any]:
    infer = {
        "summary": "Infer (Open Inference Protocol V2)",
        "parameters": asking,
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": _ref("InferRequest")},
                _OCTETS: {
                    "schema": {
                        **_BINARY,
                        "description": "the JSON, Inference-Header-Content-Length bytes of it, "
                        "then the binary tensors in their order",
                    }
                },
            },
        },
        "responses": {
            "200": {
                "description": "One element per row in every tensor",
                "content": {
                    "application/json": {"schema": _ref("InferResponse")},
                    _OCTETS: {"schema": _BINARY},
                },
            },
            **_refused(
                "400", "401", "403", "404", "408", "413", "415", "429", "503", form="V2Error"
            ),
        },
    }
    closed = ("401", "403", "404", "503")
    paths: dict[str, Any] = {
        "/v2": {"get": _get("The server's metadata", "401", "403", form="V2Error")},
        "/v2/health/live": {"get": _get("Whether the server lives")},
        "/v2/health/ready": {"get": _get("Whether a model answers", "503", form="V2Error")},
    }
    number = {
        "name": "version",
        "in": "path",
        "required": True,
        "schema": {"type": "integer", "minimum": 1, "maximum": 999_999_999},
    }
    for base, own in (
        (f"/v2/models/{project}", []),
        (f"/v2/models/{project}/versions/{{version}}", [number]),
    ):
        for path, method, operation in (
            (base, "get", _get("The model's metadata", *closed, form="V2Error")),
            (f"{base}/ready", "get", _get("Whether it answers", *closed, form="V2Error")),
            (f"{base}/infer", "post", infer),
        ):
            parameters = [*own, *operation.get("parameters", [])]
            paths[path] = {method: {**operation, "parameters": parameters}}
    return paths


_NULLABLE: Final[dict[str, Any]] = {"type": ["object", "null"]}


def _v2_schemas(manifest: Manifest, project: str) -> dict[str, Any]:
    shape = {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 2}
    tensor = _object(
        {
            "name": {"type": "string", "description": "of the column, or {column}.missing"},
            "shape": shape,
            "datatype": {"enum": [*NUMBERS, "BYTES"]},
            "parameters": _NULLABLE,
            "data": {"type": "array"},
        },
        required=["name", "shape", "datatype"],
    )
    output = _object({"name": {"enum": list(OUTPUTS)}, "parameters": _NULLABLE}, required=["name"])
    request = _object(
        {
            "id": {"type": ["string", "null"], "maxLength": 256},
            "parameters": _NULLABLE,
            "inputs": {"type": "array", "items": _ref("Tensor"), "minItems": 1},
            "outputs": {"type": ["array", "null"], "items": output, "maxItems": len(OUTPUTS)},
        },
        required=["inputs"],
    )
    request["description"] = "one tensor of the shape [n] or [n, 1] for each column"
    request["example"] = {"inputs": _example_inputs(manifest.schema)}
    answer = _object(
        {
            "model_name": {"const": project},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "parameters": _NULLABLE,
            "outputs": {"type": "array", "items": _ref("Tensor")},
        },
        required=["model_name", "model_version", "outputs"],
    )
    return {
        "Tensor": tensor,
        "InferRequest": request,
        "InferResponse": answer,
        "V2Error": _object({"error": {"type": "string"}}),
    }


def _example_inputs(schema: Schema) -> list[dict[str, Any]]:
    from tenfold.inference import example_row

    row = example_row(schema)
    return [
        {
            "name": column.name,
            "shape": [1],
            "datatype": datatype_of(column),
            "data": [row[column.name]],
        }
        for column in schema.features
    ]


def _feedback_schemas(value: dict[str, Any]) -> dict[str, Any]:
    label = _object(
        {
            "id": {"type": "string"},
            "label": value,  # the champion's: while a canary answers its classes are taken, too
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
    labels = {"type": "array", "items": _ref("Label"), "minItems": 1, "maxItems": 10_000}
    return {
        "Label": label,
        "FeedbackRequest": {**_object({"labels": labels}), "additionalProperties": False},
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


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}


def _refused(*codes: str, form: str = "Error") -> dict[str, Any]:
    return {code: {"description": _REFUSALS[code], **_json(_ref(form))} for code in codes}


def _get(
    summary: str, *codes: str, form: str = "Error", kind: str = "application/json"
) -> dict[str, Any]:
    schema = {"type": "object"} if kind == "application/json" else {"type": "string"}
    return {
        "summary": summary,
        "responses": {
            "200": {"description": "OK", "content": {kind: {"schema": schema}}},
            **{code: _refused(code, form=form)[code] for code in codes},
        },
    }
