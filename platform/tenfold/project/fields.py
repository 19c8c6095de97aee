"""The ground of every section of the project file: frozen, closed, strict about types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

from tenfold.project.duration import parse_duration
from tenfold.project.gates import Gate

__all__ = ["ColumnName", "Duration", "Flag", "GateText", "Real", "Section", "Text", "Whole"]

T = TypeVar("T")


def _law(parse: Callable[[object], T]) -> Callable[[Any], T]:
    """Let a parser's ValueError reach the reader as one sentence, without pydantic's prefix."""

    def checked(value: Any) -> T:
        try:
            return parse(value)
        except ValueError as error:
            raise PydanticCustomError("law", "{law}", {"law": str(error)}) from None

    return checked


class Section(BaseModel):
    """A part of the project file. Unknown keys are refused; a value never changes after loading."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        validate_default=True,
        arbitrary_types_allowed=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, raw: Any) -> Any:
        """A key without a value means its default: all lines below it may be comments."""
        if isinstance(raw, dict):
            return {key: value for key, value in raw.items() if value is not None}
        return raw


Text = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=4096)]
"""Text that says something."""

ColumnName = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=1024)]
"""The name of a column, as in the table's header."""

Whole = Annotated[int, Field(strict=True)]
"""A whole number; neither ``true`` nor ``"5"`` nor ``5.0``."""

Real = Annotated[float, Field(strict=True)]
"""A number; neither ``true`` nor ``"0.5"``."""

Flag = Annotated[bool, Field(strict=True)]
"""``true`` or ``false``."""

Duration = Annotated[float, BeforeValidator(_law(parse_duration))]
"""Seconds, written ``60s``, ``10m``, ``1h30m`` or as a bare number."""

GateText = Annotated[Gate, BeforeValidator(_law(Gate.parse)), PlainSerializer(str, return_type=str)]
"""A success gate, written ``roc_auc >= 0.92``."""
