"""From a file to a `Project`; every error names the file, the line, the law and the remedy."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from tenfold.canonical import canonical_json
from tenfold.errors import ProjectError, UserError
from tenfold.project.document import Document, Place, read_document
from tenfold.project.project import Project
from tenfold.project.sources import SOURCE_TYPES, PluginSource
from tenfold.project.work import Budget

__all__ = ["load_project", "read_budget"]

_TYPES = {
    "string_type": ("must be text", "put it in quotes"),
    "int_type": ("must be a whole number", "write digits without quotes"),
    "float_type": ("must be a number", "write it without quotes"),
    "bool_type": ("must be true or false", "write one of the two"),
    "tuple_type": ("must be a list", "write [a, b] or one '- item' a line"),
    "dict_type": ("must be a section of 'key: value' lines", "indent its keys below it"),
    "model_type": ("must be a section of 'key: value' lines", "indent its keys below it"),
    "string_too_short": ("must not be empty", "write a value or remove the line"),
    "string_too_long": ("must be shorter", "shorten it"),
    "string_pattern_mismatch": (
        "must be 1 to 40 small letters, digits and hyphens",
        "write a name like 'adult-income'",
    ),
    "too_short": ("must have at least one entry", "add one"),
    "finite_number": ("must be a finite number", "write one"),
}
_BOUNDS = {
    "greater_than": ("must be above {gt}", "choose a larger value"),
    "greater_than_equal": ("must be at least {ge}", "choose a larger value"),
    "less_than": ("must be below {lt}", "choose a smaller value"),
    "less_than_equal": ("must be at most {le}", "choose a smaller value"),
}
_TAGS: dict[str, type[BaseModel]] = {**SOURCE_TYPES, "plugin": PluginSource}
"""Kinds of source, as pydantic puts them into the place of an error."""
_OF_SECRETS = {"url", "path", "params", "headers", "options", "catalog"}
"""Fields of a source that may hold a secret, so that no message repeats what stands there."""
FOUND_LENGTH = 60
"""How much of a wrong value a message repeats, in characters."""


def load_project(path: Path | str) -> Project:
    """Read, check and freeze a project file.

    Args:
        path: the YAML file; relative paths in it start in its folder.

    Returns:
        The project.

    Raises:
        ProjectError: one line per broken law: ``file:line: field: law; found; remedy``.
    """
    document = read_document(Path(path), name=str(path))
    try:
        project = Project.model_validate_json(canonical_json(document.value))
    except ValidationError as error:
        faults = [fault for detail in _own_errors(error) for fault in _faults(document, detail)]
        lines = [f"{document.name}:{line}: {text}" for line, text in sorted(set(faults))]
        raise ProjectError("\n".join(lines)) from None
    return project.at(Path(path).resolve().parent)


def read_budget(text: str, *, name: str = "--budget") -> float:
    """The time of a search that stands on a command line, by the law of ``train.budget``.

    Args:
        text: a duration, ``"60s"``.
        name: what a message calls it.

    Returns:
        Seconds, from 1.

    Raises:
        UserError: it is no duration or too short.

    >>> read_budget("1m30s")
    90.0
    >>> read_budget("0s")
    Traceback (most recent call last):
    tenfold.errors.UserError: --budget: must be at least 1; found '0s'; choose a larger value
    """
    try:
        seconds: float = TypeAdapter(Budget).validate_python(text)
    except ValidationError as error:
        detail = error.errors()[0]
        sentence = _sentence(detail, (name,), detail["type"], detail.get("ctx", {}))
        raise UserError(sentence) from None
    return seconds


def _own_errors(error: ValidationError) -> list[ErrorDetails]:
    """Pydantic's errors without those that only follow from another one.

    A list whose only entry is wrong counts as too short; a default that hangs on a wrong field
    is not made, nor the name that is taken from a wrong path.
    """
    details = error.errors()
    places = [detail["loc"] for detail in details]

    def follows(detail: ErrorDetails) -> bool:
        place, kind = detail["loc"], detail["type"]
        if kind == "too_short":
            return any(len(o) > len(place) and o[: len(place)] == place for o in places)
        unnamed = kind == "missing" and place == ("name",) and len(details) > 1
        return unnamed or kind == "default_factory_not_called"

    return [detail for detail in details if not follows(detail)]


def _faults(document: Document, detail: ErrorDetails) -> Iterator[tuple[int, str]]:
    """The lines of text that one of pydantic's errors becomes."""
    place, kind, context = _written(detail["loc"]), detail["type"], detail.get("ctx", {})
    if kind == "laws":
        for broken in context["violations"]:
            found = _found(_at(document.value, broken.path))
            text = f"{_dotted(broken.path)}: {broken.law}{found}; {broken.remedy}"
            yield document.line(broken.path), text
        return
    yield document.line(place), _sentence(detail, place, kind, context)


def _sentence(detail: ErrorDetails, place: Place, kind: str, context: dict[str, Any]) -> str:
    name, found = _dotted(place) or "the file", _found(detail["input"])
    if place[:2] == ("data", "sources") and not _OF_SECRETS.isdisjoint(place):
        found = ""
    if kind == "missing":
        return f"{name}: must be there; add '{place[-1]}:'"
    if kind == "extra_forbidden":
        return _unknown_key(detail["loc"])
    if kind in ("enum", "literal_error"):
        choices = re.findall(r"'([^']*)'", context["expected"])
        near = difflib.get_close_matches(str(detail["input"]), choices, n=1)
        remedy = f"did you mean '{near[0]}'?" if near else "choose one of these"
        return f"{name}: must be one of {', '.join(choices)}{found}; {remedy}"
    if kind == "law":
        return f"{name}: {context['law']}{found}"
    if kind == "law_alone":  # the value stays where it is
        return f"{name}: {context['law']}"
    if kind in _BOUNDS:
        law, remedy = _BOUNDS[kind]
        shown = {key: f"{value:g}" for key, value in context.items()}
        return f"{name}: {law.format(**shown)}{found}; {remedy}"
    law, remedy = _TYPES.get(kind, ("breaks a law: " + detail["msg"], "correct it"))
    return f"{name}: {law}{found}; {remedy}"


def _written(place: Place) -> Place:
    """The place as it stands in the file: without the type by which a source was told apart."""
    if place[:2] == ("data", "sources") and len(place) > 3 and place[3] in _TAGS:
        return (*place[:3], *place[4:])
    return place


def _unknown_key(tagged: Place) -> str:
    place, known = _written(tagged), list(_section_at(tagged[:-1]).model_fields)
    near = difflib.get_close_matches(str(place[-1]), known, n=1)
    remedy = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(known)}"
    where = f"in '{_dotted(place[:-1])}'" if place[:-1] else "at the top"
    return f"{_dotted(place)}: must be a known key {where}; {remedy}"


def _section_at(place: Place) -> type[BaseModel]:
    """The model that describes a place of the file."""
    section: type[BaseModel] = Project
    for step in place:
        if step in _TAGS:
            section = _TAGS[str(step)]
            continue
        field = section.model_fields.get(str(step))
        if field is not None and (inner := _model_in(field.annotation)):
            section = inner
    return section


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)


def _at(value: Any, place: Place) -> Any:
    """The raw value at a place, None where there is none."""
    for step in place:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _found(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict | list):
        return f"; found a {'section' if isinstance(value, dict) else 'list'}"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return f"; found {text if len(text) <= FOUND_LENGTH else text[:FOUND_LENGTH] + '...'}"


def _dotted(place: Place) -> str:
    """``data.sources[0].path``."""
    text = ""
    for step in place:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text
