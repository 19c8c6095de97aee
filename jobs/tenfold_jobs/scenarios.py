"""Changes that are injected into a replayed table, as pure functions of it.

======== ================================================================================
none      the rows as they are
covariate the stream moves to one end of a number column: rows are drawn with weights that grow
          with that column's rank; every label stays true
concept   the world changes and the rows stay as they are: of several classes three in five trade
          names; of two, and for numbers, what lies in the upper part of that column becomes the
          other class or moves by one standard deviation of the target
broken    the pipeline breaks: one number column arrives empty, another in other units, one
          category column as an unknown word
======== ================================================================================
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tenfold.errors import DataError
from tenfold.schema import Kind, Role, Schema

__all__ = ["SCENARIOS", "Stream", "make_stream", "rows_of"]

SCENARIOS = ("none", "covariate", "concept", "broken")

CONCEPT_SHARE = 0.6
"""Share of the classes, or of the rows, that change: proven within some hundred labels."""

COVARIATE_TILT = 3.0
"""Weights run from 1 to exp(3) over the ranks: the mean moves by about 0.8 standard deviations."""

UNIT_FACTOR = 1000.0
"""A number in other units, as when grams arrive for kilograms."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Rows in the order in which they are sent, with the labels that will be sent for them.

    Attributes:
        rows: (n_rows) features only, as a cleaned Arrow table.
        labels: n_rows values: class names, or numbers; all None without a target.
        text: what was done, in words.
    """

    rows: pa.Table
    labels: list[Any]
    text: str


def make_stream(
    table: pa.Table, schema: Schema, *, scenario: str, n_rows: int, seed: int
) -> Stream:
    """Draw rows of a cleaned table and inject a change.

    Rows are drawn without replacement until all were used, then again in another order.

    Raises:
        DataError: the table is empty, has no number column to work on, or no labels to change.
    """
    target = schema.target
    if target is None and scenario == "concept":
        raise DataError("a concept is a change of labels, and clustering projects have none")
    if table.num_rows == 0:
        raise DataError("there are no rows to replay; prepare the project again")
    random = np.random.default_rng(seed)
    driver = None if scenario == "none" else _driver(table, schema)
    if scenario == "covariate":
        order = _tilted(table, driver, n_rows, random)
    else:
        passes = -(-n_rows // table.num_rows)
        order = np.concatenate([random.permutation(table.num_rows) for _ in range(passes)])[:n_rows]
    drawn = table.take(pa.array(order))
    labels = [None] * n_rows if target is None else drawn.column(target.name).to_pylist()
    features = drawn.select([column.name for column in schema.features])
    if scenario == "concept":
        changed, text = _changed(table, drawn, labels, schema, str(driver))
        return Stream(features, changed, text)
    if scenario == "broken":
        features, text = _broken(features, schema, driver)
        return Stream(features, labels, text)
    text = f"rows drawn toward high {driver}" if scenario == "covariate" else "rows as they are"
    return Stream(features, labels, text)


def rows_of(table: pa.Table) -> Iterator[dict[str, Any]]:
    """The rows as JSON-ready values: moments as ISO 8601 text, the rest as they are."""
    for row in table.to_pylist():
        yield {
            name: value.isoformat() if hasattr(value, "isoformat") else value
            for name, value in row.items()
        }


def _driver(table: pa.Table, schema: Schema) -> str:
    """The number column with the most distinct values; the first of them in case of a tie."""
    numbers = [c.name for c in schema.features if c.kind in (Kind.NUMBER, Kind.INTEGER)]
    if not numbers:
        raise DataError("this scenario changes a number column, and the table has none")
    return max(numbers, key=lambda name: pc.count_distinct(table.column(name)).as_py())


def _ranks(table: pa.Table, name: str | None) -> np.ndarray:
    """(n_rows,) ranks in [0, 1); missing values rank lowest."""
    values = _numbers(table, str(name))
    filled = np.where(np.isnan(values), -np.inf, values)
    return np.argsort(np.argsort(filled, kind="stable"), kind="stable") / max(len(values), 1)


def _tilted(
    table: pa.Table, driver: str | None, n_rows: int, random: np.random.Generator
) -> np.ndarray:
    weights = np.exp(COVARIATE_TILT * _ranks(table, driver))
    return random.choice(table.num_rows, size=n_rows, p=weights / weights.sum())


def _changed(
    table: pa.Table, drawn: pa.Table, labels: list[Any], schema: Schema, driver: str
) -> tuple[list[Any], str]:
    """Labels of the new world: a function of the row alone, so equal rows stay equal."""
    target = next(column for column in schema.columns if column.role is Role.TARGET)
    if target.domain is not None and len(target.domain) > 2:
        moved = list(target.domain[: math.ceil(CONCEPT_SHARE * len(target.domain))])
        follows = dict(zip(moved, moved[1:] + moved[:1], strict=True))
        text = f"{', '.join(moved)} trade names"
        return [follows.get(label, label) for label in labels], text
    bound = np.nanquantile(_numbers(table, driver), 1.0 - CONCEPT_SHARE)
    high = _numbers(drawn, driver) >= bound
    if target.domain is not None:
        one, two = target.domain
        other = {one: two, two: one, None: None}
        text = f"{one} and {two} trade names where {driver} is at least {bound:g}"
        pairs = zip(labels, high, strict=True)
        return [other[label] if is_high else label for label, is_high in pairs], text
    spread = float(np.nanstd(_numbers(table, target.name)))
    text = f"{target.name} is {spread:.4g} larger where {driver} is at least {bound:g}"
    pairs = zip(labels, high, strict=True)
    return [x + spread if is_high and x is not None else x for x, is_high in pairs], text


def _numbers(table: pa.Table, name: str) -> np.ndarray:
    return np.asarray(
        table.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64
    )


def _broken(features: pa.Table, schema: Schema, driver: str | None) -> tuple[pa.Table, str]:
    said = [f"{driver} empty"]
    changes: dict[str, pa.Array] = {
        str(driver): pa.nulls(features.num_rows, features.schema.field(driver).type)
    }
    kinds = {column.name: column.kind for column in schema.features}
    other = next((n for n, k in kinds.items() if k is Kind.NUMBER and n != driver), None)
    if other is not None:
        changes[other] = pc.multiply(features.column(other), UNIT_FACTOR)
        said.append(f"{other} times {UNIT_FACTOR:g}")
    word = next((n for n, k in kinds.items() if k is Kind.CATEGORY), None)
    if word is not None:
        changes[word] = pa.array(["?unknown?"] * features.num_rows)
        said.append(f"{word} an unknown word")
    for name, values in changes.items():
        features = features.set_column(features.schema.get_field_index(name), name, values)
    return features, "; ".join(said)
