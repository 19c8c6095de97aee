from __future__ import annotations

import dataclasses

import pyarrow as pa
import pytest

from tenfold.schema import Column, Kind, Role, Schema

SCHEMA = Schema(
    (
        Column("age", Kind.INTEGER, minimum=17.0, maximum=90.0, evidence="whole numbers"),
        Column("job", Kind.CATEGORY, domain=("a", "b")),
        Column("seen", Kind.DATETIME, Role.TIME),
        Column("y", Kind.CATEGORY, Role.TARGET, nullable=False, domain=("no", "yes")),
    )
)


def test_evidence_does_not_change_the_digest_and_everything_else_does() -> None:
    first, *rest = SCHEMA.columns
    reworded = Schema((dataclasses.replace(first, evidence="other words"), *rest))
    widened = Schema((dataclasses.replace(first, maximum=91.0), *rest))
    assert reworded.digest() == SCHEMA.digest()
    assert widened.digest() != SCHEMA.digest()
    assert Schema((*rest, first)).digest() != SCHEMA.digest()


def test_look_ups() -> None:
    assert "job" in SCHEMA
    assert "none" not in SCHEMA
    assert SCHEMA.column("seen").role is Role.TIME
    with pytest.raises(KeyError):
        SCHEMA.column("none")


def test_arrow_types_are_those_of_a_cleaned_table() -> None:
    types = [field.type for field in SCHEMA.arrow_schema()]
    assert types == [pa.int64(), pa.string(), pa.timestamp("us", tz="UTC"), pa.string()]


@pytest.mark.parametrize("name", ["minimum", "maximum"])
def test_a_limit_that_is_not_finite_is_refused(name: str) -> None:
    value = SCHEMA.to_dict()
    value["columns"][0][name] = float("inf")
    with pytest.raises(ValueError, match="the limits of 'age' must be finite"):
        Schema.from_dict(value)
