"""The page on the project file, made from the models: ``python -m tenfold.project.reference``.

Every field's own docstring is what the page says, so the page cannot lag behind the code; a test
holds the committed page to what this module writes.
"""

from __future__ import annotations

import sys
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tenfold.project.project import Project

__all__ = ["reference_page"]

_INTRO = """\
# The project file

One YAML file describes the whole. `tenfold init TABLE --target COLUMN` writes a first one with what
it found in the table as comments; `tenfold check` names the line of every mistake, the law it
breaks and the remedy. Unknown fields are refused. Times are `90`, `60s`, `10m` or `1h30m`. This
page is made from the code (`python -m tenfold.project.reference`).
"""


def reference_page() -> str:
    """The page as Markdown: one table for each section, in the order of the file."""
    parts = [_INTRO]
    seen: set[type[BaseModel]] = set()
    _add(parts, "", Project, seen)
    return "\n".join(parts)


def _add(parts: list[str], path: str, model: type[BaseModel], seen: set[type[BaseModel]]) -> None:
    if model in seen:
        return
    seen.add(model)
    parts.append(f"## `{path}`{_kind(model)}\n" if path else "## The whole\n")
    parts.append(f"{' '.join((model.__doc__ or '').split('>>>')[0].split())}\n")
    parts += ["| Field | Default | Meaning |", "|---|---|---|"]
    parts += [
        f"| `{name}` | {_default(field)} | {_cell(field.description or '')} |"
        for name, field in model.model_fields.items()
    ]
    parts.append("")
    for name, field in model.model_fields.items():
        for inner, many in _models_of(field.annotation):
            below = f"{path}.{name}" if path else name
            _add(parts, below + ("[]" if many else ""), inner, seen)


def _kind(model: type[BaseModel]) -> str:
    """`` of type `sql` `` where a field called type tells sections of one place apart."""
    field = model.model_fields.get("type")
    if field is None:
        return ""
    named = get_args(field.annotation)
    return f" of type `{named[0]}`" if named else " of a plug-in's type"


def _models_of(annotation: Any, *, many: bool = False) -> list[tuple[type[BaseModel], bool]]:
    """The section models inside a type, with whether there may be several."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [(annotation, many)]
    several = many or get_origin(annotation) not in (None, Union, UnionType)
    return [found for inner in get_args(annotation) for found in _models_of(inner, many=several)]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default_factory is not None:  # a default that hangs on other fields is explained
        return "see there"
    value = field.default
    if isinstance(value, BaseModel):
        return "see below"
    if value is None or value == ():
        return "none"
    if isinstance(value, tuple):
        return ", ".join(f"`{item}`" for item in value)
    return f"`{value}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(reference_page())
