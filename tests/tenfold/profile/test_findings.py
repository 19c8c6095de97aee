from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from tenfold.profile import Profile
from tenfold.profile.findings import Finding, Law, Level, findings
from tenfold.schema import Column, Kind, Role, Schema

N = 400
RNG = np.random.default_rng(0)
CODES = RNG.integers(0, 2, N)
LABELS = Column("y", Kind.CATEGORY, Role.TARGET, domain=("no", "yes"))
COST = Column("y", Kind.NUMBER, Role.TARGET)
NOISE = RNG.normal(size=N)


def find(values: object, kind: Kind, *, target: Column | None = LABELS) -> list[Finding]:
    """The findings about one column ``x`` beside a target."""
    column = Column("x", kind)
    schema = Schema((column,) if target is None else (column, target))
    columns = {"x": pa.array(values, type=schema.arrow_schema().field("x").type)}
    if target is not None:
        columns["y"] = pa.array(np.where(CODES, "yes", "no") if target is LABELS else NOISE)
    return findings(schema, Profile.from_table(pa.table(columns), schema))


def laws(found: list[Finding]) -> set[tuple[Level, Law]]:
    return {(f.level, f.law) for f in found}


def nulls(share: float) -> list[float | None]:
    return [None if i < share * N else float(v) for i, v in enumerate(NOISE)]


@pytest.mark.parametrize(
    "values, kind, level, law",
    [
        (nulls(0.1), Kind.NUMBER, Level.NOTE, Law.MISSING),
        (nulls(0.5), Kind.NUMBER, Level.WARNING, Law.MISSING),
        (nulls(1.0), Kind.NUMBER, Level.WARNING, Law.MISSING),
        ([7] * N, Kind.INTEGER, Level.WARNING, Law.CONSTANT),
        (["a"] * N, Kind.CATEGORY, Level.WARNING, Law.CONSTANT),
        (["b"] + ["a"] * (N - 1), Kind.CATEGORY, Level.NOTE, Law.CONSTANT),
        ([f"id{i}" for i in range(N)], Kind.CATEGORY, Level.WARNING, Law.NEAR_UNIQUE),
        (list(RNG.permutation(N)), Kind.INTEGER, Level.WARNING, Law.NEAR_UNIQUE),
        ([f"c{i % 80}" for i in range(N)], Kind.CATEGORY, Level.NOTE, Law.HIGH_CARDINALITY),
        (list(np.exp(3 * NOISE)), Kind.NUMBER, Level.NOTE, Law.SKEW),
        ([*NOISE[:-1], 9.0], Kind.NUMBER, Level.NOTE, Law.OUTLIERS),
        (list(CODES + 0.01 * NOISE), Kind.NUMBER, Level.ERROR, Law.LEAKAGE),
        (list(np.where(CODES, "p", "q")), Kind.CATEGORY, Level.ERROR, Law.LEAKAGE),
        ([bool(c) for c in CODES], Kind.BOOLEAN, Level.ERROR, Law.LEAKAGE),
        ([None if c else float(v) for c, v in zip(CODES, NOISE, strict=True)],
         Kind.NUMBER, Level.ERROR, Law.MISSING_IS_TARGET),
    ],
)  # fmt: skip
def test_each_law_is_found(values: object, kind: Kind, level: Level, law: Law) -> None:
    assert (level, law) in laws(find(values, kind))


def test_a_healthy_column_has_no_finding() -> None:
    assert find(list(NOISE), Kind.NUMBER) == []
    assert find([f"c{i % 5}" for i in range(N)], Kind.CATEGORY) == []
    assert find(list(RNG.integers(0, 10**6, N)), Kind.INTEGER) == []
    assert find([f"said {i} times" for i in range(N)], Kind.TEXT) == []


def test_a_numeric_target_is_leaked_by_a_multiple_and_by_a_sum() -> None:
    assert (Level.ERROR, Law.LEAKAGE) in laws(find(list(3 * NOISE + 1), Kind.NUMBER, target=COST))
    parts = {"a": RNG.normal(size=N), "b": RNG.normal(size=N), "c": RNG.normal(size=N)}
    schema = Schema((*(Column(name, Kind.NUMBER) for name in parts), COST))
    table = pa.table(parts | {"y": parts["a"] + 2 * parts["b"]})
    (found,) = findings(schema, Profile.from_table(table, schema))
    assert found.message == (
        "'y' is a weighted sum of the columns ['a', 'b'] (r2 1.000000): the answer is in the "
        "question; leave at least one of them out"
    )


def test_a_rare_class_is_told() -> None:
    schema = Schema((LABELS,))
    table = pa.table({"y": ["yes"] * 10 + ["no"] * 990})
    (found,) = findings(schema, Profile.from_table(table, schema))
    assert found.to_dict() == {
        "level": "warning",
        "column": "y",
        "law": "imbalance",
        "message": "class 'yes' has 10 of 1000 rows (1.0%): intervals of its metrics will be "
        "wide; judge by average precision or costs, not by accuracy",
    }


def test_twins_and_columns_left_out_are_told() -> None:
    schema = Schema((
        Column("a", Kind.NUMBER), Column("b", Kind.NUMBER),
        Column("key", Kind.IDENTIFIER, Role.IGNORED, evidence="100 % unique strings"),
    ))  # fmt: skip
    table = pa.table({"a": NOISE, "b": -NOISE, "key": ["k"] * N})
    found = findings(schema, Profile.from_table(table, schema))
    assert laws(found) == {(Level.NOTE, Law.TWINS), (Level.NOTE, Law.IDENTIFIER)}
    assert "column 'key' is left out (100 % unique strings)" in {f.message for f in found}


def test_the_gravest_comes_first_and_a_tiny_table_is_not_judged_for_leaks() -> None:
    found = find([None if c else 1.0 for c in CODES], Kind.NUMBER)
    assert [f.level for f in found] == sorted((f.level for f in found), key=list(Level).index)
    schema = Schema((Column("x", Kind.NUMBER), LABELS))
    tiny = pa.table({"x": [0.0, 1.0], "y": ["no", "yes"]})
    assert Law.LEAKAGE not in {f.law for f in findings(schema, Profile.from_table(tiny, schema))}
    assert findings(schema, Profile.from_table(tiny.slice(0, 0), schema)) == []
