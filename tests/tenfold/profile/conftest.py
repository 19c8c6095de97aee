"""Tables with known kinds for the tests of profiles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from tenfold.schema import Column, Kind, Role, Schema

MakeTable = Callable[..., pa.Table]


def _schema(target: Column | None) -> Schema:
    features = (
        Column("age", Kind.INTEGER),
        Column("pay", Kind.NUMBER),
        Column("member", Kind.BOOLEAN),
        Column("since", Kind.DATETIME),
        Column("city", Kind.CATEGORY, domain=("Bonn", "Lyon", "Oslo", "Turin")),
    )
    ignored = Column("row", Kind.IDENTIFIER, Role.IGNORED, evidence="100 % unique strings")
    return Schema((ignored, *features) if target is None else (ignored, *features, target))


@pytest.fixture(scope="session")
def class_schema() -> Schema:
    return _schema(Column("left", Kind.CATEGORY, Role.TARGET, domain=("no", "yes")))


@pytest.fixture(scope="session")
def number_schema() -> Schema:
    return _schema(Column("cost", Kind.NUMBER, Role.TARGET))


@pytest.fixture(scope="session")
def bare_schema() -> Schema:
    return _schema(None)


@pytest.fixture(scope="session")
def make_table() -> MakeTable:
    """``make_table(schema, n_rows, seed=0)``: every column with some nulls."""

    def make(schema: Schema, n_rows: int, *, seed: int = 0) -> pa.Table:
        rng = np.random.default_rng(seed)
        age = rng.integers(18, 90, n_rows)
        pay = rng.lognormal(10.0, 1.0, n_rows)
        late = rng.random(n_rows) < 0.5
        cities = np.array(["Bonn", "Lyon", "Oslo", "Turin"])[rng.integers(0, 4, n_rows)]
        columns = {
            "row": [f"r{i}" for i in range(n_rows)],
            "age": age,
            "pay": pay,
            "member": late,
            "since": rng.integers(0, 2**50, n_rows),
            "city": cities,
            "left": np.where((pay > 25_000) ^ (rng.random(n_rows) < 0.2), "yes", "no"),
            "cost": 3.0 * age + rng.normal(0.0, 5.0, n_rows),
        }
        arrays = []
        for field in schema.arrow_schema():
            null = rng.random(n_rows) < (0.1 if field.name not in ("row", "left", "cost") else 0)
            values = pa.array(columns[field.name], mask=null)
            arrays.append(values.cast(field.type))
        return pa.table(arrays, schema=schema.arrow_schema())

    return make
