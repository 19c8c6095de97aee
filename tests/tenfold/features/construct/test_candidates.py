"""What is worth constructing, told from a profile: planted truths are found, noise is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from tenfold.features import encode_table
from tenfold.features.construct import MAX_CONSTRUCTED, Candidates, choose_candidates
from tenfold.features.construct.candidates import (
    MAX_CROSSES,
    MAX_DIFFERENCES,
    MAX_GROUPED,
    MAX_RATIOS,
    MAX_SHARES,
    MIN_ROWS,
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
    return of_table(Schema((*columns, target)), pa.table(data))


def of_table(schema: Schema, table: pa.Table) -> Candidates:
    truth = table[schema.target.name].to_numpy() if schema.target else np.zeros(table.num_rows)
    if truth.dtype == object:
        truth = np.unique(truth, return_inverse=True)[1]
    profile = Profile.from_table(table, schema)
    return choose_candidates(schema, profile, encode_table(schema, table), truth)


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


def shops(rng: np.random.Generator, n_levels: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Shops, and a number whose level is the shop's."""
    shop = rng.integers(0, n_levels, N_ROWS)
    return shop, 40 * rng.normal(size=n_levels)[shop] + rng.normal(size=N_ROWS)


def named(prefix: str, values: np.ndarray) -> list[str]:
    return [f"{prefix}{value}" for value in values]


def test_a_distance_to_ones_group_is_found_and_needs_enough_rows() -> None:
    rng = np.random.default_rng(6)
    shop, pay = shops(rng)
    level = np.array([pay[shop == k].mean() for k in range(20)])[shop]
    color = rng.choice(["blue", "red"], N_ROWS)
    y = truth(np.abs(pay - level) + 0.2 * (color == "red"), YES_NO)
    name, far = named("n", np.arange(N_ROWS)), rng.normal(size=N_ROWS)
    data = {"far": far, "pay": pay, "shop": named("s", shop), "name": name, "color": color.tolist()}
    found = chosen(data | {"y": y})
    assert found.groups[0] == (2, 1)
    assert all(place == 2 for place, _ in found.groups)  # too few colors, too many names


def test_there_are_caps() -> None:
    rng = np.random.default_rng(7)
    base = 50 + 5 * rng.normal(size=N_ROWS)
    numbers = [base + rng.normal(size=N_ROWS) for _ in range(20)]
    codes = rng.integers(0, 3, (8, N_ROWS))
    data: dict[str, object] = {f"x{k}": x for k, x in enumerate(numbers)}
    data |= {f"c{k}": named("v", c) for k, c in enumerate(codes)}
    signal = sum((-1) ** k * x for k, x in enumerate(numbers))
    only = chosen(data | {"y": truth(np.asarray(signal), NUMBER)}, NUMBER)
    assert len(only.differences) == MAX_DIFFERENCES
    assert len(only.ratios) == MAX_RATIOS
    tables = rng.normal(size=(6, 3, 3))
    crossed = sum(table[codes[k], codes[k + 1]] for k, table in enumerate(tables))
    grouped = sum(np.where(codes[6] == k, 1.0, -1.0) * (numbers[k] - base) for k in range(2))
    grouped = grouped + sum((codes[7] - 1.0) * (numbers[k] - base) for k in range(4, 8))
    both = chosen(data | {"y": truth(np.asarray(crossed + grouped), NUMBER)}, NUMBER)
    assert len(both.groups) <= MAX_GROUPED
    assert len(both.crosses) == MAX_CROSSES
    assert MAX_CONSTRUCTED == 8 + 3 * MAX_GROUPED + MAX_SHARES + MAX_CROSSES == 24


def strong_and_weak(
    rng: np.random.Generator, n_rows: int
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Eight numbers of noise and four columns that are strong alone, which add up."""
    strong = {f"strong{k}": 5 + rng.normal(size=n_rows) for k in range(2)}
    levels = {f"level{k}": rng.integers(0, 6, n_rows) for k in range(2)}
    noise = {f"noise{k}": 5 + rng.normal(size=n_rows) for k in range(8)}
    signal = sum(x - 5 for x in strong.values()) + sum(0.6 * (v - 2.5) for v in levels.values())
    return strong | noise | levels, np.asarray(signal)


def columns_of(numbers: dict[str, np.ndarray]) -> dict[str, object]:
    return {k: named("v", v) if v.dtype.kind == "i" else v for k, v in numbers.items()}


def answered(signal: np.ndarray, target: Column, rng: np.random.Generator) -> object:
    """Labels that are drawn with the logit; numbers with noise."""
    if target is NUMBER:
        return signal + rng.normal(size=len(signal))
    return np.where(signal + rng.logistic(size=len(signal)) > 0, "yes", "no")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("target", [YES_NO, NUMBER], ids=["classes", "number"])
def test_a_ratio_is_preferred_to_pairs_that_are_merely_strong(target: Column, seed: int) -> None:
    rng = np.random.default_rng(seed)
    data, signal = strong_and_weak(rng, 4000)
    size = np.exp(0.4 * rng.normal(size=4000)) * 50
    price = size * np.exp(0.3 * rng.normal(size=4000)) * 7
    y = answered(signal + 3 * (price / size - 7), target, rng)
    found = chosen({"size": size, "price": price, **columns_of(data), "y": y}, target)
    assert found.ratios[0] == (1, 0)
    assert not found.crosses


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("target", [YES_NO, NUMBER], ids=["classes", "number"])
def test_a_cross_is_preferred_to_pairs_that_are_merely_strong(target: Column, seed: int) -> None:
    rng = np.random.default_rng(seed)
    data, signal = strong_and_weak(rng, 4000)
    left, right = rng.integers(0, 4, 4000), rng.integers(0, 5, 4000)
    table = 2 * rng.normal(size=(4, 5))
    table -= table.mean(axis=0)
    table -= table.mean(axis=1)[:, None]  # neither side says anything alone
    y = answered(signal + table[left, right], target, rng)
    found = chosen({"a": named("a", left), "b": named("b", right), **columns_of(data), "y": y},
                   target)  # fmt: skip
    assert found.crosses[0] == (0, 1)
    assert (2 + 10, 2 + 11) not in found.crosses  # the two strong categories


@pytest.mark.parametrize("target", [YES_NO, NUMBER], ids=["classes", "number"])
def test_of_columns_that_only_add_up_nearly_none_is_tried(target: Column) -> None:
    n_tried = 0
    for seed in range(5):
        rng = np.random.default_rng(100 + seed)
        data, signal = strong_and_weak(rng, 4000)
        found = chosen(columns_of(data) | {"y": answered(2 * signal, target, rng)}, target)
        n_tried += sum(map(len, (found.differences, found.ratios, found.groups, found.crosses)))
    assert n_tried <= 10  # of 45 differences, 45 ratios, 20 groups and a cross each time


def test_several_classes_and_one_that_never_varies() -> None:
    rng = np.random.default_rng(9)
    left, right = rng.integers(0, 3, N_ROWS), rng.integers(0, 3, N_ROWS)
    y = Column("y", Kind.CATEGORY, Role.TARGET, domain=tuple("abc"))
    label = np.array(list("abc"))[(left + right) % 3]
    data = {"x": rng.normal(size=N_ROWS), "l": named("l", left), "r": named("r", right)}
    assert chosen(data | {"y": label}, y).crosses == ((1, 2),)
    assert chosen(data | {"y": np.full(N_ROWS, "a")}, y) == Candidates()
    assert chosen(data | {"y": np.full(N_ROWS, 2.0)}, NUMBER) == Candidates()


def test_without_a_target_or_with_few_rows_nothing_is_chosen() -> None:
    schema, table = mixed_schema(), mixed_table(3000)

    def found(schema: Schema, n_rows: int) -> Candidates:
        some = table.slice(0, n_rows)
        profile, codes = Profile.from_table(some, schema), encode_table(schema, some)
        return choose_candidates(schema, profile, codes, odd_pairs(codes))

    assert found(schema, 3000).crosses == ((3, 4),)
    assert not found(Schema(schema.features), 3000)
    assert not found(schema, MIN_ROWS - 1)
    assert not found(schema, 0)


def odd_pairs(codes: np.ndarray) -> np.ndarray:
    """A truth of the mixed table's color and city together."""
    return np.nan_to_num(codes[:, 3] + codes[:, 4]).astype(np.int64) % 2


def test_huge_and_missing_values_are_no_obstacle() -> None:
    rng = np.random.default_rng(8)
    a = np.where(rng.random(N_ROWS) < 0.5, 1e308, -1e308)
    b = np.where(rng.random(N_ROWS) < 0.9, np.nan, 1.0)
    data = {"a": a, "b": b, "c": rng.normal(size=N_ROWS), "y": truth(np.sign(a), YES_NO)}
    assert isinstance(chosen(data), Candidates)


def test_the_order_of_blocks_does_not_matter() -> None:
    schema, table = mixed_schema(), mixed_table(3000)
    parts = [Profile.from_table(table.slice(k, 100), schema) for k in range(0, 3000, 100)]
    codes = encode_table(schema, table)
    truth = odd_pairs(codes)
    expected = choose_candidates(schema, merge_profiles(parts), codes, truth)
    assert expected
    random = np.random.default_rng(0)
    for _ in range(5):
        order = random.permutation(len(parts))
        profile = merge_profiles([parts[k] for k in order])
        assert choose_candidates(schema, profile, codes, truth) == expected
