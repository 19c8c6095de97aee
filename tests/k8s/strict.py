"""Strict validation against a CustomResourceDefinition: what the server would prune is an error."""

from __future__ import annotations

from typing import Any

import jsonschema

__all__ = ["closed", "faults"]


def closed(schema: Any) -> Any:
    """A copy of an OpenAPI schema in which every object refuses fields that it does not name."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {
        key: {name: closed(part) for name, part in value.items()}
        if key == "properties"
        else closed(value)
        for key, value in schema.items()
    }
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields") or (
        "additionalProperties" in schema
    )
    if "properties" in schema and not open_ended:
        made["additionalProperties"] = False
    return made


def faults(manifest: dict[str, Any], schema: dict[str, Any]) -> list[str]:
    """Every fault of a manifest, as ``path: message``."""
    validator = jsonschema.Draft202012Validator(closed(schema))
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(manifest)]
