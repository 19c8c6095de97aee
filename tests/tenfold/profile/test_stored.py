from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.errors import ArtifactError
from tenfold.profile import MAX_CATEGORIES, MAX_EXACT, Profile
from tenfold.profile.codec import decode, encode
from tenfold.profile.stored import FORMAT, load
from tenfold.schema import Column, Kind, Schema

MakeTable = Callable[..., pa.Table]


@settings(max_examples=15, deadline=None)
@given(n_rows=st.integers(0, 60), seed=st.integers(0, 999))
@pytest.mark.parametrize("which", ["class_schema", "number_schema", "bare_schema"])
def test_a_round_trip_changes_no_bit(
    request: pytest.FixtureRequest, make_table: MakeTable, which: str, n_rows: int, seed: int
) -> None:
    schema: Schema = request.getfixturevalue(which)
    profile = Profile.from_table(make_table(schema, n_rows, seed=seed), schema)
    again = Profile.from_bytes(profile.to_bytes())
    assert again.to_bytes() == profile.to_bytes()
    assert again.schema == schema
    assert again.merge(profile).to_bytes() == profile.merge(profile).to_bytes()
    for name, number in profile.numbers.items():
        assert np.array_equal(
            again.numbers[name].quantile(0.4), number.quantile(0.4), equal_nan=True
        )


def test_summaries_beyond_the_caps_survive() -> None:
    schema = Schema((Column("x", Kind.NUMBER), Column("t", Kind.TEXT)))
    rng = np.random.default_rng(0)
    n_rows = MAX_EXACT + 10_000
    text = pa.array(np.arange(n_rows) % (MAX_CATEGORIES + 9)).cast(pa.string())
    profile = Profile.from_table(pa.table({"x": rng.normal(size=n_rows), "t": text}), schema)
    assert not profile.numbers["x"].is_exact and not profile.categories["t"].is_exact
    again = Profile.from_bytes(profile.to_bytes())
    assert again.to_bytes() == profile.to_bytes()
    assert again.numbers["x"].mean == profile.numbers["x"].mean
    assert again.numbers["x"].n_distinct == profile.numbers["x"].n_distinct
    assert again.categories["t"].error == profile.categories["t"].error


def test_another_format_says_what_to_do(bare_schema: Schema, make_table: MakeTable) -> None:
    head, arrays = decode(Profile.from_table(make_table(bare_schema, 3), bare_schema).to_bytes())
    with pytest.raises(ArtifactError, match=f"must have format {FORMAT}, this one has 99"):
        load(encode(head | {"format": 99}, arrays))


def test_a_lost_part_is_refused(bare_schema: Schema, make_table: MakeTable) -> None:
    head, arrays = decode(Profile.from_table(make_table(bare_schema, 3), bare_schema).to_bytes())
    del arrays["n0.values"]
    with pytest.raises(ArtifactError, match="must hold all its parts"):
        load(encode(head, arrays))


def test_nothing_is_pickled(bare_schema: Schema, make_table: MakeTable) -> None:
    data = Profile.from_table(make_table(bare_schema, 3), bare_schema).to_bytes()
    assert data.startswith(b"TFPROF01")
    with pytest.raises(ArtifactError):
        Profile.from_bytes(b"\x80\x04K\x01.")
