"""Real public tables: what a client sends gets the bits that training saw."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tenfold.data import Hints, clean_table, infer_schema, read_batches
from tenfold.features import Preprocessor, Recipe, encode_table
from tenfold.profile import Profile
from tenfold.testing.mixed import json_rows, mixed_schema, mixed_table
from tenfold.testing.preprocessing import same_bits

TABLES = {
    "adult": "salary",
    "bike": "cnt",
    "diamonds": "price",
    "german-credit": None,
    "king-county": None,
    "penguins": None,
    "telco-churn": None,
}
RECIPES = [
    Recipe(),
    Recipe(numbers="standard", categories="onehot", missing_indicator=True),
    Recipe(numbers="quantile", categories="frequency"),
    Recipe(numbers="power", categories="hashed", winsorize=0.01, dates="elapsed"),
    Recipe(impute="mode", dates="elapsed"),
    Recipe(categories="native"),
]


@pytest.mark.parametrize("name", TABLES)
def test_rows_equal_batches_bit_for_bit(name: str, data_folder: Path) -> None:
    batches = list(read_batches(data_folder / f"{name}.csv"))
    schema = infer_schema(batches, Hints(target=TABLES[name]))
    table, problems = clean_table(batches[0], schema)
    assert problems.num_rows < table.num_rows / 100
    codes = encode_table(schema, table)
    rows = json_rows(schema, table.slice(0, 300))
    profile = Profile.from_table(table, schema)
    by_target = [] if TABLES[name] is None else [Recipe(categories="target")]
    for recipe in RECIPES + by_target:
        fitted = Preprocessor.fit(schema, profile, recipe=recipe)
        matrix = fitted.transform_codes(codes)
        assert np.isfinite(matrix).any(axis=0).all()
        assert same_bits(fitted.encoder.encode_rows(rows), codes[:300])
        assert same_bits(np.stack([fitted.transform_row(row) for row in rows]), matrix[:300])


def test_profile_and_codes_agree_on_values() -> None:
    """One table, two readers: the summary that is fitted from and the codes that are scored."""
    schema, table = mixed_schema(), mixed_table(500)
    codes, profile = encode_table(schema, table), Profile.from_table(table, schema)
    for index, column in enumerate(schema.features):
        values = codes[:, index]
        if column.name in profile.numbers:
            numbers = profile.numbers[column.name]
            assert numbers.nulls == np.isnan(values).sum()
            known = values[~np.isnan(values)]
            assert same_bits(numbers.values, np.unique(known))
        else:
            seen = profile.categories[column.name]
            for code, text in enumerate(column.domain or ()):
                assert seen.counts.get(text, 0) == (values == code).sum()
