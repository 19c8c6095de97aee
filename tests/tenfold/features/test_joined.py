from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from tenfold.canonical import canonical_json
from tenfold.errors import ArtifactError
from tenfold.features import Preprocessor, Recipe, encode_table
from tenfold.features.joined import Joined, join_preprocessors, read_preprocessor
from tenfold.profile import Profile
from tenfold.schema import Role, Schema
from tenfold.testing.mixed import json_rows, mixed_schema, mixed_table

TREES = Recipe(numbers="raw", categories="ordinal")
LINES = Recipe(numbers="standard", categories="onehot")


def ignoring(schema: Schema, *names: str) -> Schema:
    columns = (replace(c, role=Role.IGNORED) if c.name in names else c for c in schema.columns)
    return Schema(tuple(columns))


def fitted(schema: Schema, recipe: Recipe) -> Preprocessor:
    return Preprocessor.fit(schema, Profile.from_table(mixed_table(300), schema), recipe=recipe)


def make_joined() -> tuple[Joined, list[Preprocessor]]:
    """Two parts that ask for different columns of one table; neither for ``since``."""
    parts = [
        fitted(ignoring(mixed_schema(), "since", "age"), TREES),
        fitted(ignoring(mixed_schema(), "since", "color", "city"), LINES),
    ]
    made = join_preprocessors(parts)
    assert isinstance(made, Joined)
    return made, parts


def test_the_matrix_is_the_parts_side_by_side_and_asks_for_their_columns_once() -> None:
    joined, parts = make_joined()
    table = mixed_table(100, seed=4)
    expected = np.hstack([part.transform(table) for part in parts])
    assert joined.transform(table).tobytes() == expected.tobytes()
    asked = {c.name for part in parts for c in part.schema.features}
    assert {c.name for c in joined.schema.features} == asked
    assert "since" not in asked
    assert len(joined.feature_names) == joined.n_features == expected.shape[1]


def test_a_row_gets_the_bits_of_the_batch() -> None:
    joined, _parts = make_joined()
    table = mixed_table(50, seed=5)
    batch = joined.transform(table)
    for place, row in enumerate(json_rows(joined.schema, table)):
        assert joined.transform_row(row).tobytes() == batch[place].tobytes()


def test_json_out_and_in() -> None:
    joined, _parts = make_joined()
    again = read_preprocessor(json.loads(canonical_json(joined.to_dict())))
    codes = encode_table(joined.schema, mixed_table(50, seed=6))
    assert again.digest() == joined.digest()
    assert again.transform_codes(codes).tobytes() == joined.transform_codes(codes).tobytes()


def test_one_part_is_itself() -> None:
    part = fitted(mixed_schema(), TREES)
    assert join_preprocessors([part]) is part
    assert isinstance(read_preprocessor(part.to_dict()), Preprocessor)


@pytest.mark.parametrize(
    "change",
    [
        {"places": [[0, 1]]},
        {"places": []},
        {"parts": []},
        {"parts": [{}]},
        {"places": [[10_000] * 6, [0] * 5]},
        {"schema": {}},
        {"more": 1},
        {"places": "all"},
    ],
)
def test_broken_json_is_refused(change: dict[str, object]) -> None:
    joined, _parts = make_joined()
    with pytest.raises(ArtifactError, match=r"preprocess\.json"):
        read_preprocessor(joined.to_dict() | change)


def test_parts_of_different_tables_do_not_join() -> None:
    other = Schema(mixed_schema().columns[1:])
    with pytest.raises(ArtifactError, match="fit them on one snapshot"):
        join_preprocessors([fitted(mixed_schema(), TREES), fitted(other, TREES)])
