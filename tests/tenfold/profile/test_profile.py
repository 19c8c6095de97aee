from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.errors import DataError
from tenfold.profile import Profile, merge_profiles, profiled_columns
from tenfold.schema import Column, Kind, Role, Schema

MakeTable = Callable[..., pa.Table]


def exact_parts(profile: Profile) -> list[object]:
    """What must not depend on the order of merging at all."""
    found: list[object] = [profile.n_rows, profile.comoments.n.tolist()]
    for number in profile.numbers.values():
        found += [number.count, number.nulls, number.values.tobytes(), number.counts.tobytes()]
        found += [repr(number.mean), repr(number.variance), repr(number.quantile(0.3))]
    for category in profile.categories.values():
        found += [category.count, category.nulls, dict(category.counts)]
    return found


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=5),
    seed=st.integers(0, 999),
    shuffle=st.randoms(),
)
def test_any_order_and_any_tree_gives_the_profile_of_the_whole(
    class_schema: Schema, make_table: MakeTable, sizes: list[int], seed: int, shuffle: object
) -> None:
    table = make_table(class_schema, sum(sizes), seed=seed)
    starts = np.cumsum([0, *sizes])
    parts = [
        Profile.from_table(table.slice(int(at), size), class_schema)
        for at, size in zip(starts, sizes, strict=False)
    ]
    whole = Profile.from_table(table, class_schema)
    assert merge_profiles(parts).to_bytes() == merge_profiles(list(parts)).to_bytes()
    shuffle.shuffle(parts)  # type: ignore[attr-defined]
    at_once = merge_profiles(parts)
    stepwise = parts[0]
    for part in parts[1:]:
        stepwise = part.merge(stepwise)
    for merged in (at_once, stepwise):
        assert exact_parts(merged) == exact_parts(whole)
        for name, association in whole.associations.items():
            found = merged.associations[name].stats.arrays()["counts"]
            assert np.array_equal(found, association.stats.arrays()["counts"])
        assert merged.comoments.m2 == pytest.approx(whole.comoments.m2, rel=1e-9, abs=1e-9)


def test_updating_is_merging(number_schema: Schema, make_table: MakeTable) -> None:
    one, two = (make_table(number_schema, 50, seed=seed) for seed in (1, 2))
    updated = Profile.from_table(one, number_schema).update(two)
    merged = merge_profiles([Profile.from_table(t, number_schema) for t in (one, two)])
    assert updated.to_bytes() == merged.to_bytes()


def test_inputs_are_left_alone(class_schema: Schema, make_table: MakeTable) -> None:
    part = Profile.from_table(make_table(class_schema, 30), class_schema)
    before = part.to_bytes()
    part.merge(part).update(make_table(class_schema, 10))
    assert part.to_bytes() == before


def test_numbers_are_those_of_pandas(number_schema: Schema, make_table: MakeTable) -> None:
    table = make_table(number_schema, 400)
    profile = Profile.from_table(table, number_schema)
    frame = table.to_pandas()
    for name in ("age", "pay", "cost"):
        number, column = profile.numbers[name], frame[name].astype("float64")
        assert number.nulls == column.isna().sum()
        assert number.mean == pytest.approx(column.mean(), rel=1e-9)
        assert number.std == pytest.approx(column.std(ddof=0), rel=1e-9)
        assert number.quantile(0.9) == column.quantile(0.9)
    assert profile.categories["city"].counts == frame["city"].value_counts().sort_index().to_dict()
    per_city = frame.groupby("city")["cost"].agg(["count", "mean"])
    stats = profile.associations["city"].stats.arrays()
    assert stats["n"][:4].tolist() == per_city["count"].tolist()
    assert stats["mean"][:4] == pytest.approx(per_city["mean"].to_numpy(), rel=1e-9)
    r = frame[["cost", "pay"]].corr().iloc[0, 1]
    at = profile.comoments.names.index("pay")
    assert profile.comoments.names[0] == "cost"
    assert profile.comoments.pearson()[0, at] == pytest.approx(r, abs=1e-9)


def test_ignored_columns_are_not_covered(bare_schema: Schema, make_table: MakeTable) -> None:
    profile = Profile.from_table(make_table(bare_schema, 5), bare_schema)
    assert [c.name for c in profiled_columns(bare_schema)] == [
        "age", "pay", "member", "since", "city",
    ]  # fmt: skip
    assert "row" not in profile.categories
    assert profile.associations == {}


def test_other_schemas_are_refused(class_schema: Schema, make_table: MakeTable) -> None:
    profile = Profile.from_table(make_table(class_schema, 5), class_schema)
    columns = (*class_schema.columns[:-1], Column("left", Kind.NUMBER, Role.TARGET))
    other = Schema(columns)
    with pytest.raises(DataError, match=r"columns \['left'\] differ"):
        profile.merge(Profile.from_table(make_table(class_schema, 0).drop(["left"]).append_column(
            "left", pa.array([], pa.float64())), other))  # fmt: skip
    with pytest.raises(DataError, match="needs at least one profile"):
        merge_profiles([])


def test_a_missing_column_is_refused(class_schema: Schema, make_table: MakeTable) -> None:
    with pytest.raises(DataError, match="column 'age' must be in the table"):
        Profile.from_table(make_table(class_schema, 5).drop(["age"]), class_schema)


def test_importing_it_is_light() -> None:
    heavy = (
        "{'ray', 'torch', 'xgboost', 'pandas', 'sklearn', 'mlflow', 'jinja2', 'matplotlib', "
        "'scipy'}"
    )
    code = (
        "import sys, tenfold.profile, tenfold.profile.survey, tenfold.profile.report;"
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
