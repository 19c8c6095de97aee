"""What is worth constructing, told from a profile: planted truths are found, noise is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from tenfold.features.construct import MAX_CONSTRUCTED, Candidates, choose_candidates
from tenfold.features.construct.candidates import (
    MAX_CROSSES,
    MAX_DIFFERENCES,
    MAX_GROUPED,
    MAX_RATIOS,
    MAX_SHARES,
)
from tenfold.profile import Profile, merge_profiles
from tenfold.schema import Column, Kind, Role, Schema
from tenfold.testing.mixed import mixed_schema, mixed_table

N_ROWS = 2000
YES_NO = Column("y", Kind.CATEGORY, Role.TARGET, domain=("no", "yes"))
NUMBER = Column("y", Kind.NUMBER, Role.TARGET)


def chosen(data: dict[str, object], target: Column = YES_NO) -> Candidates:
    kinds = dict.fromkeys(data, Kind.NUMBER)
    columns = []
    for name, values in data.items():
        if name == "y":
            continue
        domain = None
        if isinstance(values, list) and isinstance(values[0], str):
            kinds[name], domain = Kind.CATEGORY, tuple(sorted(set(values)))
        elif isinstance(values, list) and isinstance(values[0], datetime):
            kinds[name] = Kind.DATETIME
        columns.append(Column(name, kinds[name], domain=domain))
    schema = Schema((*columns, target))
    return choose_candidates(schema, Profile.from_table(pa.table(data), schema))


def truth(signal: np.ndarray, target: Column) -> object:
    return signal if target is NUMBER else np.where(signal > np.median(signal), "yes", "no")


@pytest.mark.parametrize("target", [YES_NO, NUMBER], ids=["classes", "number"])
def test_a_difference_of_columns_that_move_together_is_found(target: Column) -> None:
    rng = np.random.default_rng(0)
    base = 100 + 20 * rng.normal(size=N_ROWS)
    a, b = base + rng.normal(size=N_ROWS), base + rng.normal(size=N_ROWS)
    found = chosen(
        {"noise": rng.normal(size=N_ROWS), "a": a, "b": b, "y": truth(a - b, target)}, target
    )
    assert found.differences[0] == (1, 2)
    assert not found.groups
    assert not found.crosses


@pytest.mark.parametrize("target", [YES_NO, NUMBER], ids=["classes", "number"])
def test_a_ratio_is_found_and_the_steadier_column_divides(target: Column) -> None:
    rng = np.random.default_rng(1)
    size = np.exp(0.2 * rng.normal(size=N_ROWS)) * 50
    price = size * np.exp(0.3 * rng.normal(size=N_ROWS)) * 7
    found = chosen({"size": size, "price": price, "y": truth(price / size, target)}, target)
    assert found.ratios == ((1, 0),)


def test_a_column_with_both_signs_divides_nothing() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(2, N_ROWS))
    assert chosen({"a": a, "b": b, "y": truth(a - b, NUMBER)}, NUMBER).ratios == ()


def test_noise_is_not_worth_a_pair() -> None:
    rng = np.random.default_rng(3)
    data: dict[str, object] = {f"x{k}": 5 + rng.normal(size=N_ROWS) for k in range(12)}
    found = chosen(data | {"y": rng.choice(["no", "yes"], N_ROWS)})
    assert (found.differences, found.ratios) == ((), ())


def test_times_are_subtracted_from_times_only() -> None:
    rng = np.random.default_rng(4)
    start = rng.integers(0, 10**8, N_ROWS)
    spent = rng.integers(1, 10**6, N_ROWS)
    zero = datetime(2031, 1, 1, tzinfo=UTC)
    begin = [zero + timedelta(seconds=int(s)) for s in start]
    end = [zero + timedelta(seconds=int(s)) for s in start + spent]
    y = truth(spent.astype(float), YES_NO)
    found = chosen({"begin": begin, "end": end, "n": spent + 5.0 * start, "y": y})
    assert found.differences == ((0, 1),)
    assert found.ratios == ()


def test_twins_and_constants_make_no_pair() -> None:
    rng = np.random.default_rng(5)
    a = 5 + rng.normal(size=N_ROWS)
    data = {"a": a, "twin": a, "constant": np.full(N_ROWS, 3.0), "y": truth(a, YES_NO)}
    assert chosen(data) == Candidates()


def test_groups_and_crosses_go_with_the_target_and_need_enough_rows() -> None:
    rng = np.random.default_rng(6)
    shop = rng.integers(0, 20, N_ROWS)
    name = [f"n{k}" for k in range(N_ROWS)]
    color = rng.choice(["blue", "red"], N_ROWS)
    x = rng.normal(size=N_ROWS)
    y = truth(x + (shop % 3) + (color == "red"), YES_NO)
    data = {"x": x, "shop": [f"s{k}" for k in shop], "name": name, "color": color.tolist(), "y": y}
    found = chosen(data)
    assert found.groups == ((1, 0),)  # too few colors, too many names
    assert (1, 3) in found.crosses
    assert all(2 not in pair or N_ROWS * 20 <= 40_000 for pair in found.crosses)


def test_there_are_caps() -> None:
    rng = np.random.default_rng(7)
    base = 50 + 5 * rng.normal(size=N_ROWS)
    data: dict[str, object] = {f"x{k}": base + rng.normal(size=N_ROWS) for k in range(20)}
    y = sum((-1) ** k * np.asarray(data[f"x{k}"]) for k in range(20))
    data |= {f"c{k}": [f"v{v}" for v in rng.integers(0, 5, N_ROWS)] for k in range(8)}
    found = chosen(data | {"y": truth(np.asarray(y), YES_NO)})
    assert len(found.differences) == MAX_DIFFERENCES
    assert len(found.ratios) == MAX_RATIOS
    assert len(found.groups) == MAX_GROUPED
    assert len(found.crosses) == MAX_CROSSES
    assert MAX_CONSTRUCTED == 8 + 3 * MAX_GROUPED + MAX_SHARES + MAX_CROSSES == 24


def test_without_a_target_or_rows_nothing_is_chosen() -> None:
    schema = mixed_schema()
    bare = Schema(schema.features)
    table = mixed_table(300)
    assert not choose_candidates(bare, Profile.from_table(table, bare))
    assert not choose_candidates(schema, Profile.from_table(table.slice(0, 0), schema))


def test_huge_and_missing_values_are_no_obstacle() -> None:
    rng = np.random.default_rng(8)
    a = np.where(rng.random(N_ROWS) < 0.5, 1e308, -1e308)
    b = np.where(rng.random(N_ROWS) < 0.9, np.nan, 1.0)
    data = {"a": a, "b": b, "c": rng.normal(size=N_ROWS), "y": truth(np.sign(a), YES_NO)}
    assert isinstance(chosen(data), Candidates)


def test_the_order_of_blocks_does_not_matter() -> None:
    schema, table = mixed_schema(), mixed_table(3000)
    parts = [Profile.from_table(table.slice(k, 100), schema) for k in range(0, 3000, 100)]
    expected = choose_candidates(schema, merge_profiles(parts))
    assert expected
    random = np.random.default_rng(0)
    for _ in range(5):
        order = random.permutation(len(parts))
        assert choose_candidates(schema, merge_profiles([parts[k] for k in order])) == expected
