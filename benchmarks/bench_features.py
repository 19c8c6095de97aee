"""What one JSON row costs from the request's dictionary to the model's features, recipe by recipe.

``make bench-features``; about ten seconds. Tables of 20 and of 100 columns, a fifth of them
categories, one column in twenty missing; the budgets are 30 and 120 us a row. The rival is what
hand-written services do: a data frame of one row through scikit-learn's imputer, scaler and
encoder.

The least of many rounds is told, not the median: it is what the code costs, the others are what the
machine did meanwhile.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from _form import Form
from tenfold.features import Preprocessor, Recipe
from tenfold.models import FAMILIES, Traits
from tenfold.profile import Profile
from tenfold.schema import Column, Kind, Role, Schema
from tenfold.testing.mixed import json_rows

BUDGETS_US = {20: 30.0, 100: 120.0}
_N_ROWS = 4000
_CALLS = 100
_ROUNDS = 40
_TRAITS = Traits(n_categories=200, skewed=True)


def make_table(n_columns: int) -> tuple[Schema, pa.Table]:
    """Four numbers to a category; every other category column has 200 values, else 8."""
    rng = np.random.default_rng(n_columns)
    columns: list[Column] = []
    data: dict[str, Any] = {}
    for k in range(n_columns):
        gone = rng.random(_N_ROWS) < 0.05
        if k % 5 == 4:
            domain = tuple(f"{k} {j:03d}" for j in range(200 if k % 10 == 9 else 8))
            columns.append(Column(f"c{k}", Kind.CATEGORY, domain=domain))
            values = np.array(domain)[rng.integers(0, len(domain), _N_ROWS)]
            data[f"c{k}"] = pa.array(values.tolist(), mask=gone)
        else:
            columns.append(Column(f"x{k}", Kind.NUMBER))
            data[f"x{k}"] = pa.array(np.exp(rng.normal(size=_N_ROWS)), mask=gone)
    columns.append(Column("y", Kind.CATEGORY, Role.TARGET, domain=("no", "yes")))
    data["y"] = np.array(["no", "yes"])[rng.integers(0, 2, _N_ROWS)]
    return Schema(tuple(columns)), pa.table(data)


def recipes() -> dict[str, Recipe]:
    """What the families propose for such a table, first bets and others; and each scale alone."""
    found: dict[str, Recipe] = {}
    for name in ("boosting", "linear", "network"):
        family = FAMILIES[name]
        params = dict(family.defaults("binary")[0])
        found[name] = Recipe(**family.recipe(params))
        for field, values in family.choices(_TRAITS).items():
            for value in values:
                found[f"{name} {field}={value}"] = Recipe(**family.recipe({**params, field: value}))
    found["quantile"] = Recipe(numbers="quantile", categories="frequency")
    found["hashed"] = Recipe(categories="hashed")
    return found


def least_us(work: Callable[[], object]) -> float:
    """The least of many rounds, microseconds a call."""
    return min(timeit.repeat(work, number=_CALLS, repeat=_ROUNDS)) / _CALLS * 1e6


def text_us() -> float:
    """One text of twenty words, alone in its row: cut, counted, weighted."""
    rng = np.random.default_rng(0)
    words = [f"word{k}" for k in range(500)]
    notes = [" ".join(rng.choice(words, 20)) for _ in range(1000)]
    schema = Schema((Column("note", Kind.TEXT),))
    profile = Profile.from_table(pa.table({"note": notes}), schema)
    fitted = Preprocessor.fit(schema, profile, recipe=Recipe())
    return least_us(partial(fitted.transform_row, {"note": notes[0]}))


def rival(schema: Schema, table: pa.Table, row: dict[str, Any]) -> Callable[[], object]:
    """The same preparation by a column transformer over a data frame of one row."""
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = [c.name for c in schema.features if c.kind is Kind.NUMBER]
    texts = [c.name for c in schema.features if c.domain]
    made = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), numbers),
            ("texts", OneHotEncoder(handle_unknown="ignore", max_categories=65), texts),
        ]
    )
    made.fit(table.to_pandas())
    return lambda: made.transform(pd.DataFrame([row]))


def main() -> None:
    """Measure and write the file."""
    form = Form("features")
    lines: dict[str, list[str]] = {}
    for n_columns, budget in BUDGETS_US.items():
        schema, table = make_table(n_columns)
        profile = Profile.from_table(table, schema)
        row = json_rows(schema, table.slice(0, 1))[0]
        worst = 0.0
        for name, recipe in recipes().items():
            fitted = Preprocessor.fit(schema, profile, recipe=recipe)
            us = least_us(partial(fitted.transform_row, row))
            form.add(f"row_us_{n_columns}.{name.replace(' ', '.').replace('=', '.')}", us)
            lines.setdefault(name, [name]).append(f"{us:.1f}")
            worst = max(worst, us)
        form.add(f"row_us_{n_columns}.dearest", worst)
        form.add(f"row_us_{n_columns}.budget", budget)
        form.add(f"row_us_{n_columns}.within_budget", worst <= budget)
        work = rival(schema, table, row)
        theirs = min(timeit.repeat(work, number=1, repeat=20)) * 1e6
        form.add(f"rival.row_us_{n_columns}", theirs)
        lines.setdefault("rival", ["scikit-learn over pandas"]).append(f"{theirs:.0f}")
    form.add("text_us_20_words", text_us())
    headings = ["recipe", *(f"us a row, {n} columns" for n in BUDGETS_US)]
    form.table("One JSON row to features", headings, list(lines.values()))
    form.finish(libraries=["numpy", "scikit-learn", "pandas"])


if __name__ == "__main__":
    main()
