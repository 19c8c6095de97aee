from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.errors import ArtifactError
from tenfold.features import Preprocessor, Recipe, encode_table
from tenfold.profile import Profile
from tenfold.testing.fuzz import damaged
from tenfold.testing.mixed import wide_schema, wide_table

TABLE = wide_table(50)
CODES = encode_table(wide_schema(), TABLE)


def fitted(recipe: Recipe) -> dict[str, Any]:
    schema = wide_schema()
    made = Preprocessor.fit(schema, Profile.from_table(TABLE, schema), recipe=recipe)
    value: dict[str, Any] = json.loads(json.dumps(made.to_dict()))
    return value


VALUES = [
    fitted(Recipe(missing_indicator=True)),
    fitted(Recipe(numbers="standard", categories="onehot", clip=3.0)),
    fitted(Recipe(numbers="quantile", categories="frequency")),
    fitted(Recipe(categories="ordinal", many="target")),
    fitted(Recipe(numbers="power", winsorize=0.1)),
    fitted(Recipe(numbers="minmax", categories="hashed", dates="elapsed", slots=4)),
    fitted(Recipe(categories="native")),
]


@pytest.mark.parametrize(
    "value", VALUES, ids=["trees", "scaled", "quantile", "target", "power", "hashed", "native"]
)
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_file_is_refused_or_harmless(value: dict[str, Any], data: st.DataObject) -> None:
    """It never crashes, hangs or asks for much memory, and what loads still makes a matrix."""
    bad = data.draw(damaged({"ops": value["ops"], "recipe": value["recipe"]}))
    if not isinstance(bad, dict):
        bad = {"ops": bad}
    try:
        loaded = Preprocessor.from_dict(value | bad)
    except ArtifactError as error:
        assert str(error)
        return
    with np.errstate(all="ignore"):
        matrix = loaded.transform_codes(CODES)
    assert matrix.shape == (50, loaded.n_features)


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_schema_is_refused_or_still_one(data: st.DataObject) -> None:
    value = VALUES[0]
    bad = data.draw(damaged({"schema": value["schema"], "feature_names": value["feature_names"]}))
    if not isinstance(bad, dict):
        bad = {"schema": bad}
    try:
        loaded = Preprocessor.from_dict(value | bad)
    except ArtifactError as error:
        assert str(error)
    else:
        assert loaded.n_features == len(loaded.feature_names)
