"""Which nodes of a cluster are meant: conditions on their labels, in Ray's own words.

A condition is a value, or ``in(a, b)`` for one of several; ``!`` before either means the opposite,
which a node without the label fulfills, too. That is what Ray 2.60 does with a ``label_selector``,
except that it takes a blank behind a comma for a part of the value: a selector is kept without
blanks. A test holds this reading to a real cluster's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

__all__ = ["NodeSelector", "in_selector_words", "selects"]

_NAME = r"[a-zA-Z0-9](?:[a-zA-Z0-9_.-]{0,61}[a-zA-Z0-9])?"
_KEY = re.compile(rf"(?:{_NAME}/)?{_NAME}")
_ONE = re.compile(rf"!?{_NAME}")
_SEVERAL = re.compile(rf"!?in\({_NAME}(?:, ?{_NAME})*\)")
MAX_LABELS = 16
"""More conditions than labels that anybody gives a node are a mistake."""


@dataclass(frozen=True, slots=True)
class _Condition:
    values: frozenset[str]
    negated: bool

    def holds(self, value: str | None) -> bool:
        return (value in self.values) != self.negated


def _parse(text: str) -> _Condition | None:
    """A condition; None for text that is none."""
    body = text.removeprefix("!")
    if _SEVERAL.fullmatch(text):
        inside = body.removeprefix("in(").removesuffix(")")
        return _Condition(frozenset(inside.replace(", ", ",").split(",")), body != text)
    if _ONE.fullmatch(text):
        return _Condition(frozenset({body}), body != text)
    return None


def _selector(value: Mapping[str, str]) -> dict[str, str]:
    for key, text in value.items():
        if not _KEY.fullmatch(key):
            law = (
                f"must have labels of letters, digits, '-', '_' and '.', at most 63, perhaps with "
                f"a prefix before '/'; found {key!r}"
            )
            raise PydanticCustomError("law", "{law}", {"law": law})
        if _parse(text) is None:
            law = (
                "must have a label's value, 'in(a, b)' for one of several, or either behind '!' "
                f"for none of them; found {text!r} for {key}"
            )
            raise PydanticCustomError("law", "{law}", {"law": law})
    return {key: text.replace(", ", ",") for key, text in value.items()}


NodeSelector = Annotated[
    dict[str, Annotated[str, StringConstraints(strict=True, max_length=4096)]],
    Field(min_length=1, max_length=MAX_LABELS),
    AfterValidator(_selector),
]
"""Conditions on the labels of nodes, by label; all must hold."""


def selects(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Whether a node with these labels is meant.

    Args:
        selector: a `NodeSelector`; an empty one means every node.
        labels: of the node.

    >>> selects({"pool": "in(a, b)"}, {"pool": "a"}), selects({"pool": "!a"}, {"pool": "a"})
    (True, False)
    >>> selects({"pool": "!a"}, {}), selects({"pool": "a"}, {}), selects({}, {"pool": "a"})
    (True, False, True)
    """
    conditions = {key: _parse(text) for key, text in selector.items()}
    return all(one is not None and one.holds(labels.get(key)) for key, one in conditions.items())


def in_selector_words(selector: Mapping[str, str]) -> str:
    """A selector for people, as the project file has it.

    >>> in_selector_words({"pool": "a", "zone": "!in(x, y)"})
    'pool: a, zone: !in(x, y)'
    """
    return ", ".join(f"{key}: {text}" for key, text in selector.items())
