"""A table with one column of every kind and every trouble, made from a seed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from tenfold.schema import Column, Kind, Role, Schema

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["json_rows", "mixed_schema", "mixed_table", "wide_schema", "wide_table"]

COLORS = ("blue", "green", "red", "violet")
WORDS = ("Quiet", "room", "two-bed", "near", "the", "river,", "sunny!", "Zürich", "no", "7")
CITIES = tuple(f"city {k:03d}" for k in range(120))


def mixed_schema() -> Schema:
    """Numbers, integers, booleans, categories (few and many), a time, and columns that are useless.

    ``constant`` always holds 7, ``void`` is always missing; ``id`` is ignored; ``label`` is the
    target. All but ``id`` and ``label`` are features.
    """
    return Schema(
        (
            Column("id", Kind.IDENTIFIER, Role.IGNORED),
            Column("amount", Kind.NUMBER, minimum=-1e3, maximum=1e3),
            Column("age", Kind.INTEGER, minimum=18.0, maximum=90.0),
            Column("member", Kind.BOOLEAN),
            Column("color", Kind.CATEGORY, domain=COLORS),
            Column("city", Kind.CATEGORY, domain=CITIES),
            Column("since", Kind.DATETIME),
            Column("constant", Kind.NUMBER, nullable=False),
            Column("void", Kind.NUMBER),
            Column("label", Kind.CATEGORY, Role.TARGET, nullable=False, domain=("no", "yes")),
        )
    )


def mixed_table(n_rows: int = 200, *, seed: int = 0) -> pa.Table:
    """A cleaned table for `mixed_schema`, about a tenth of most columns missing.

    ``violet`` is in no row, so it is a category that no fit has met; ``label`` follows ``age`` and
    ``color`` with some noise.

    >>> mixed_table(3).schema.equals(mixed_schema().arrow_schema())
    True
    """
    import pyarrow as pa

    rng = np.random.default_rng(seed)
    age = rng.integers(18, 90, n_rows)
    color = rng.choice(3, n_rows, p=[0.6, 0.3, 0.1])
    start = datetime(2019, 1, 1, tzinfo=UTC)
    score = (age - 50) / 20 + (color == 2) + rng.normal(0, 0.5, n_rows)
    columns: dict[str, list[Any]] = {
        "id": [f"row {k}" for k in range(n_rows)],
        "amount": (rng.normal(0, 100, n_rows) ** 3 / 1e4).tolist(),
        "age": age.tolist(),
        "member": (rng.random(n_rows) < 0.3).tolist(),
        "color": [COLORS[k] for k in color],
        "city": [CITIES[min(k, 119)] for k in rng.geometric(0.05, n_rows) - 1],
        "since": [start + timedelta(seconds=int(s)) for s in rng.integers(0, 10**8, n_rows)],
    }
    for name in ("amount", "age", "member", "color", "city", "since"):
        gone = rng.random(n_rows) < 0.1
        columns[name] = [None if g else v for g, v in zip(gone, columns[name], strict=True)]
    columns["constant"] = [7.0] * n_rows
    columns["void"] = [None] * n_rows
    columns["label"] = ["yes" if s > 0 else "no" for s in score]
    return pa.table(columns, schema=mixed_schema().arrow_schema())


def wide_schema() -> Schema:
    """The mixed table's, with texts, an identifier that is a feature, and a second time."""
    more = (
        Column("note", Kind.TEXT),
        Column("ticket", Kind.IDENTIFIER),
        Column("until", Kind.DATETIME),
        Column("part", Kind.TEXT, grams="chars"),
    )
    return Schema((*mixed_schema().columns, *more))


def wide_table(n_rows: int = 200, *, seed: int = 0) -> pa.Table:
    """A cleaned table for `wide_schema`: `mixed_table` and the further columns, a tenth missing.

    >>> wide_table(3).schema.equals(wide_schema().arrow_schema())
    True
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    rng = np.random.default_rng(seed)
    table = mixed_table(n_rows, seed=seed)
    later = pc.add(table["since"], pa.array(rng.integers(0, 10**13, n_rows), pa.duration("us")))
    columns = {
        "note": [" ".join(rng.choice(WORDS, rng.integers(0, 12))) for _ in range(n_rows)],
        "ticket": [f" ticket {k} " for k in rng.integers(0, 10**6, n_rows)],
        "until": later.to_pylist(),
        "part": [f"{'AX'[k % 2]}-{k // 10}/Ü {k}" for k in range(seed, seed + n_rows)],
    }
    for name, values in columns.items():
        gone = rng.random(n_rows) < 0.1
        kept = [None if g else v for g, v in zip(gone, values, strict=True)]
        table = table.append_column(
            name, pa.array(kept, wide_schema().arrow_schema().field(name).type)
        )
    return table


def json_rows(schema: Schema, table: pa.Table) -> list[dict[str, Any]]:
    """The feature columns of a table as a client would send them: JSON values only.

    >>> rows = json_rows(mixed_schema(), mixed_table(2))
    >>> rows[0]["since"]
    '2021-02-15T11:27:34+00:00'
    """
    names = [column.name for column in schema.features]
    return [
        {k: v.isoformat() if isinstance(v, datetime) else v for k, v in row.items()}
        for row in table.select(names).to_pylist()
    ]
