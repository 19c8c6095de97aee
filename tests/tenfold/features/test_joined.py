"""Several preprocessors as one: the whole conformance suite, and what only the joined one does."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tenfold.canonical import canonical_json
from tenfold.errors import ArtifactError, RequestError
from tenfold.features import Preprocessor, Recipe, encode_table
from tenfold.features.joined import Joined, join_preprocessors, read_preprocessor
from tenfold.features.second import narrow_profile
from tenfold.profile import Profile
from tenfold.schema import Role, Schema
from tenfold.testing.mixed import json_rows, mixed_schema, mixed_table
from tenfold.testing.preprocessing import PreprocessingConformance, same_bits

TREES = Recipe()
LINEAR = Recipe(numbers="standard", categories="onehot", missing_indicator=True)


def without(schema: Schema, *names: str) -> Schema:
    return Schema(
        tuple(replace(c, role=Role.IGNORED) if c.name in names else c for c in schema.columns)
    )


def fit(recipe: Recipe, profile: Profile, *dropped: str) -> Preprocessor:
    schema = without(mixed_schema(), *dropped)
    return Preprocessor.fit(schema, narrow_profile(profile, schema), recipe=recipe)


def joined(profile: Profile) -> Joined:
    made = join_preprocessors(
        [fit(TREES, profile, "void", "amount"), fit(LINEAR, profile, "constant", "city")]
    )
    assert isinstance(made, Joined)
    return made


class TestJoined(PreprocessingConformance):
    recipe = TREES

    def fit_profile(self, profile: Profile) -> Preprocessor | Joined:
        return joined(profile)


def profile_of() -> Profile:
    return Profile.from_table(mixed_table(), mixed_schema())


def test_the_matrix_is_the_parts_side_by_side() -> None:
    profile, table = profile_of(), mixed_table(50, seed=3)
    trees, linear = fit(TREES, profile, "void", "amount"), fit(LINEAR, profile, "constant", "city")
    whole = join_preprocessors([trees, linear])
    assert same_bits(
        whole.transform(table), np.hstack([p.transform(table) for p in (trees, linear)])
    )
    assert whole.feature_names[0].startswith("0.")
    assert whole.feature_names[-1].startswith("1.")


def test_a_request_holds_the_union_of_what_the_parts_ask_for() -> None:
    profile = profile_of()
    one = fit(TREES, profile, "void", "amount", "constant")
    two = fit(LINEAR, profile, "void", "city", "constant")
    whole = join_preprocessors([one, two])
    names = [column.name for column in whole.schema.features]
    assert names == ["amount", "age", "member", "color", "city", "since"]
    row = {k: v for k, v in json_rows(mixed_schema(), mixed_table(1))[0].items() if k in names}
    assert whole.transform_row(row).shape == (whole.n_features,)
    with pytest.raises(RequestError, match="'amount': the column is missing"):
        whole.transform_row({k: v for k, v in row.items() if k != "amount"})


def test_one_part_is_itself() -> None:
    only = fit(TREES, profile_of())
    assert join_preprocessors([only]) is only
    assert isinstance(read_preprocessor(only.to_dict()), Preprocessor)


def test_parts_over_other_tables_are_refused() -> None:
    made, schema = fit(TREES, profile_of()), mixed_schema()
    more = tuple(
        replace(c, domain=(*(c.domain or ()), "gold")) if c.name == "color" else c
        for c in schema.columns
    )
    other = Preprocessor.fit(Schema(more), profile_of(), recipe=TREES)
    with pytest.raises(ArtifactError, match="joined over the columns of one table"):
        join_preprocessors([made, other])


BROKEN: list[dict[str, Any]] = [
    {"parts": []},
    {"parts": 3},
    {"places": []},
    {"places": [[0], [1]]},
    {"places": [[999] * 9, [0] * 9]},
    {"more": 1},
    {"schema": {}},
]


@pytest.mark.parametrize("change", BROKEN)
def test_broken_json_is_refused(change: dict[str, Any]) -> None:
    body = json.loads(canonical_json(joined(profile_of()).to_dict()))
    with pytest.raises(ArtifactError):
        read_preprocessor(body | change)


def test_a_part_reads_only_its_own_columns() -> None:
    whole, table = joined(profile_of()), mixed_table(20, seed=1)
    codes = encode_table(whole.schema, table)
    first = whole.parts[0].n_features
    amount = [c.name for c in whole.schema.features].index("amount")
    changed = codes.copy()
    changed[:, amount] += 1.0
    one, two = whole.transform_codes(codes), whole.transform_codes(changed)
    assert same_bits(one[:, :first], two[:, :first])
    assert not same_bits(one[:, first:], two[:, first:])
