"""YAML as values that remember their lines: safe, small, without surprises.

Stricter than YAML 1.1: only ``true`` and ``false`` are truth values (``yes`` stays text), dates
and ``1:30`` stay text, keys are text, and anchors' aliases, tags, duplicate keys and several
documents in one file are refused. So a file means what it seems to mean.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tenfold.errors import ProjectError

__all__ = ["Document", "read_document"]

Place = tuple[str | int, ...]

MAX_FILE_BYTES = 1024 * 1024
"""A project file is written by hand; a megabyte is a table given by mistake."""
MAX_DEPTH = 16
"""The deepest law is five levels down; deeper nesting only serves to exhaust the reader."""
MAX_INTEGER_DIGITS = 18
"""Fits 64 bits; Python's own conversion of longer ones takes quadratic time."""

_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


@dataclass(frozen=True, slots=True)
class Document:
    """The values of a file and where each one stands.

    Attributes:
        name: the file as the user named it.
        value: dicts with text keys, lists, text, numbers, truth values, None.
        lines: the line (from 1) of each key and list item, by its path.
    """

    name: str
    value: Any
    lines: dict[Place, int]

    def line(self, place: Place) -> int:
        """The line of a path, or of the nearest thing around it that is there."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)


def read_document(path: Path, *, name: str | None = None) -> Document:
    """Read a YAML file.

    Args:
        path: the file.
        name: how messages call it; the path by default.

    Raises:
        ProjectError: it is missing, a folder, empty, too large, not UTF-8 or not such YAML.
    """
    name = str(path) if name is None else name
    text = _text(path, name)
    try:
        _scan(text, name)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ProjectError(_syntax(error, name)) from None
    if node is None:
        raise ProjectError(f"{name}: must not be empty; write one with: tenfold init TABLE")
    lines: dict[Place, int] = {(): _line(node.start_mark)}
    return Document(name, _value(node, (), lines, name), lines)


def _text(path: Path, name: str) -> str:
    if path.is_dir():
        raise ProjectError(f"{name}: must be a project file and is a folder; name the file in it")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        remedy = "check the path, or write one with: tenfold init TABLE"
        raise ProjectError(f"{name}: there is no such file; {remedy}") from None
    except OSError as error:
        raise ProjectError(f"{name}: cannot be read ({error.strerror}); check its rights") from None
    if len(data) > MAX_FILE_BYTES:
        law = "must be a project file of at most 1 MiB and is larger"
        raise ProjectError(f"{name}: {law}; is it the table? name the YAML file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        law = f"must be UTF-8; byte {error.start} is 0x{data[error.start]:02x}"
        raise ProjectError(f"{name}:{line}: {law}; save the file as UTF-8") from None


def _scan(text: str, name: str) -> None:
    """Refuse what would be costly or surprising, before any value is built."""
    depth = documents = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = _line(event.start_mark)
        if isinstance(event, yaml.AliasEvent):
            law = f"must not use aliases; found '*{event.anchor}'"
            raise ProjectError(f"{name}:{line}: {law}; write the value out")
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                law = "must hold one document; a second starts here"
                raise ProjectError(f"{name}:{line}: {law}; remove the '---' or split the file")
        if (tag := getattr(event, "tag", None)) is not None:
            law = f"must not use tags; found '{tag}'"
            raise ProjectError(f"{name}:{line}: {law}; write the plain value")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                law = f"must not be nested deeper than {MAX_DEPTH} levels"
                raise ProjectError(f"{name}:{line}: {law}; flatten it")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _line(mark: Any) -> int:
    """The line of one of PyYAML's marks, from 1."""
    return 1 if mark is None else int(mark.line) + 1


def _value(node: yaml.Node, place: Place, lines: dict[Place, int], name: str) -> Any:
    if isinstance(node, yaml.ScalarNode):
        if not _is_unicode(node.value):
            law = "must not hold half of a surrogate pair"
            raise ProjectError(
                f"{name}:{_line(node.start_mark)}: {law}; write the character itself"
            )
        return _scalar(node)
    if isinstance(node, yaml.SequenceNode):
        items = []
        for index, item in enumerate(node.value):
            lines[(*place, index)] = _line(item.start_mark)
            items.append(_value(item, (*place, index), lines, name))
        return items
    values: dict[str, Any] = {}
    for key, item in node.value:
        line = _line(key.start_mark)
        if not isinstance(key, yaml.ScalarNode) or not _is_unicode(key.value):
            raise ProjectError(f"{name}:{line}: a key must be text; write 'key: value'")
        here = (*place, key.value)
        if key.value in values:
            first = f"the key '{key.value}' stands on line {lines[here]} already"
            raise ProjectError(f"{name}:{line}: {first}; keep one of the two")
        lines[here] = line
        values[key.value] = _value(item, here, lines, name)
    return values


def _scalar(node: yaml.ScalarNode) -> Any:
    """The value of a plain word by YAML 1.2's core schema; quoted text stays text."""
    text: str = node.value
    if node.style is not None:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text) if len(text) <= MAX_INTEGER_DIGITS else float(text)
    if _FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    return text


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _syntax(error: yaml.YAMLError, name: str) -> str:
    """One line out of PyYAML's paragraph."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be read"
    where = name if mark is None else f"{name}:{_line(mark)}"
    hint = "check the indentation and the quotes here and on the line above"
    if "\\t" in problem:
        hint = "indent with blanks, not tabs"
    return f"{where}: must be YAML; {problem}; {hint}"
