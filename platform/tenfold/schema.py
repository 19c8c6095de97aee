"""The schema: a frozen value that travels from the raw table to the endpoint and the monitor."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tenfold.canonical import canonical_json, sha256_hex

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "FALSE_WORDS",
    "MAX_DOMAIN",
    "MISSING_MARKERS",
    "SHEET_ERRORS",
    "TRUE_WORDS",
    "Column",
    "Form",
    "Kind",
    "Missing",
    "Role",
    "Schema",
]

TRUE_WORDS: tuple[str, ...] = ("true", "yes", "t", "y", "1")
"""Texts, in any case, that a declared boolean reads as true."""
FALSE_WORDS: tuple[str, ...] = ("false", "no", "f", "n", "0")
"""Texts, in any case, that a declared boolean reads as false."""
MAX_DOMAIN = 10_000
"""Most categories that a domain holds, the most frequent first to be kept; the rest is unseen."""
SHEET_ERRORS: tuple[str, ...] = (
    *("#N/A", "#DIV/0!", "#REF!", "#VALUE!", "#NAME?", "#NUM!", "#NULL!"),
)
"""What a spreadsheet shows where a formula failed."""
MISSING_MARKERS: tuple[str, ...] = (
    *("", "?", "NA", "NULL", "null", "NaN", "nan", "-", "N/A"),
    *SHEET_ERRORS,
)
"""What exports of databases, spreadsheets, pandas and R write for "not there": texts that mean
"missing" unless the project names others; compared after trimming."""


class Kind(StrEnum):
    """What the values of a column mean."""

    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    CATEGORY = "category"
    DATETIME = "datetime"
    TEXT = "text"
    IDENTIFIER = "identifier"
    CONSTANT = "constant"


class Role(StrEnum):
    """What a column is for."""

    FEATURE = "feature"
    TARGET = "target"
    KEY = "key"
    GROUP = "group"
    TIME = "time"
    WEIGHT = "weight"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class Form:
    """How the texts of a column are written: decided once, from the whole column, and kept.

    It speaks of text, in files and in requests: a number that comes as one is in the unit that the
    model was taught (a percentage as its fraction).

    Attributes:
        unit: ``""`` for bare numbers, ``"%"`` (read as a hundredth), or a currency's sign or code.
        decimal: ``"point"``, ``"comma"``, or ``"undecided"``: then ``1.234`` is refused, which
            could be a fraction or a thousand.
        dates: ``"day_first"``, ``"month_first"``, ``"excel"`` (serial day numbers), or
            ``"undecided"``: then ``3/4/2021`` is refused.
    """

    unit: str = ""
    decimal: str = "point"
    dates: str = "undecided"

    def to_dict(self) -> dict[str, str]:
        """What differs from bare numbers with a point and dates that need no order."""
        return {key: value for key, value in asdict(self).items() if value != _PLAIN[key]}


_PLAIN = {"unit": "", "decimal": "point", "dates": "undecided"}


@dataclass(frozen=True, slots=True)
class Missing:
    """How the texts of a request are told from those that mean a missing value: as in the files
    that the model was trained from.

    Attributes:
        markers: those that mean it.
        trim: whether blanks around a text count for nothing.

    >>> Missing().read(" a "), Missing().read(" NA "), Missing(trim=False).read(" NA ")
    ('a', None, ' NA ')
    """

    markers: frozenset[str] = frozenset(MISSING_MARKERS)
    trim: bool = True

    def read(self, text: str) -> str | None:
        """The text, trimmed if it should be; None where it means a missing value."""
        read = text.strip() if self.trim else text
        return None if read in self.markers else read


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        name: as in the source.
        kind: what the values mean.
        role: what the column is for.
        nullable: whether a missing value was seen or is allowed.
        domain: the categories, sorted (classes for a class target); None for other kinds.
        minimum: smallest value seen or declared; None where it has no meaning.
        maximum: largest value seen or declared.
        evidence: why this kind, in words, e.g. ``"99.8 % unique strings"``.
        form: how its texts are written, in files and requests.
        grams: what a text is counted by: ``words`` (and pairs of them) or ``chars`` (runs of three
            and four characters); without meaning for other kinds.
        missing: how its texts are told from those that mean a missing value; None where they were
            told apart before, as in a cleaned table. What the data says it is not: no part of the
            digest.
    """

    name: str
    kind: Kind
    role: Role = Role.FEATURE
    nullable: bool = True
    domain: tuple[str, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None
    evidence: str = ""
    form: Form = Form()
    grams: str = "words"
    missing: Missing | None = field(default=None, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """The column as JSON values.

        A plain form and words are left out, so that schemas from before keep their digest.
        """
        form = self.form.to_dict()
        return {
            "name": self.name,
            "kind": self.kind.value,
            "role": self.role.value,
            "nullable": self.nullable,
            "domain": None if self.domain is None else list(self.domain),
            "minimum": self.minimum,
            "maximum": self.maximum,
            "evidence": self.evidence,
            **({"form": form} if form else {}),
            **({"grams": self.grams} if self.grams != "words" else {}),
        }

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Column:
        """The inverse of `to_dict`.

        Raises:
            ValueError: a limit is not finite, which JSON reads from ``1e999``.
        """
        domain = value["domain"]
        for limit in (value["minimum"], value["maximum"]):
            if limit is not None and not math.isfinite(limit):
                raise ValueError(f"the limits of {value['name']!r} must be finite; one is {limit}")
        return cls(
            name=value["name"],
            kind=Kind(value["kind"]),
            role=Role(value["role"]),
            nullable=value["nullable"],
            domain=None if domain is None else tuple(domain),
            minimum=value["minimum"],
            maximum=value["maximum"],
            evidence=value["evidence"],
            form=Form(**value.get("form", {})),
            grams=value.get("grams", "words"),
        )


@dataclass(frozen=True)
class Schema:
    """Ordered columns.

    >>> schema = Schema((Column("age", Kind.NUMBER),
    ...                  Column("y", Kind.CATEGORY, Role.TARGET, domain=("no", "yes"))))
    >>> schema.names, [c.name for c in schema.features], schema.target.domain
    (('age', 'y'), ['age'], ('no', 'yes'))
    >>> Schema.from_dict(schema.to_dict()) == schema
    True
    """

    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def features(self) -> tuple[Column, ...]:
        """The columns that a model may use, in order."""
        return tuple(column for column in self.columns if column.role is Role.FEATURE)

    @cached_property
    def target(self) -> Column | None:
        """The target column, or None for clustering."""
        return next((column for column in self.columns if column.role is Role.TARGET), None)

    @cached_property
    def _by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.columns}

    def column(self, name: str) -> Column:
        """One column.

        Raises:
            KeyError: there is no such column.
        """
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def as_machines_write(self) -> Schema:
        """The same columns in the plain form, to read back what a program wrote as text.

        What an endpoint recorded of a percentage is its fraction, whatever the first file had.
        """
        return Schema(tuple(replace(column, form=Form()) for column in self.columns))

    def of_requests(self, missing: Missing) -> Schema:
        """The same columns, to read texts as they come."""
        return Schema(tuple(replace(column, missing=missing) for column in self.columns))

    def to_dict(self) -> dict[str, Any]:
        """The schema as JSON values."""
        return {"columns": [column.to_dict() for column in self.columns]}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Schema:
        """The inverse of `to_dict`."""
        return cls(tuple(Column.from_dict(column) for column in value["columns"]))

    def digest(self) -> str:
        """SHA-256 over the canonical JSON, without the words of evidence."""
        bare = [{k: v for k, v in c.to_dict().items() if k != "evidence"} for c in self.columns]
        return sha256_hex(canonical_json(bare))

    def agrees(self, other: Schema) -> bool:
        """Whether both have the same digest; mostly told without one.

        >>> from dataclasses import replace
        >>> age = Column("age", Kind.INTEGER)
        >>> Schema((age,)).agrees(Schema((replace(age, evidence="all are whole"),)))
        True
        """
        return self is other or self == other or self.digest() == other.digest()

    def arrow_schema(self) -> pa.Schema:
        """The Arrow types of a cleaned table, all nullable."""
        import pyarrow as pa

        types = {
            Kind.NUMBER: pa.float64(),
            Kind.INTEGER: pa.int64(),
            Kind.BOOLEAN: pa.bool_(),
            Kind.DATETIME: pa.timestamp("us", tz="UTC"),
        }
        return pa.schema(
            [pa.field(column.name, types.get(column.kind, pa.string())) for column in self.columns]
        )
