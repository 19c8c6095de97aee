"""File order: told where it is there, silent where there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from tenfold.profile.course import Axis
from tenfold.profile.distinct import hash_numbers
from tenfold.profile.finding import Law, Level
from tenfold.profile.order import (
    category_neighbors,
    number_neighbors,
    order_findings,
    order_of,
)
from tenfold.profile.runs import Runs, Windows
from tenfold.profile.sample import hash_limit
from tenfold.profile.survey import Survey
from tenfold.schema import Column, Kind, Role, Schema

N = 1500
RNG = np.random.default_rng(0)
NOISE = RNG.normal(size=N)
WALK = np.cumsum(RNG.normal(size=N))
PLACES = np.repeat(RNG.normal(size=N // 5), 5) + 0.3 * NOISE
CLASSES = Column("y", Kind.CATEGORY, Role.TARGET, domain=("no", "yes"))
COST = Column("y", Kind.NUMBER, Role.TARGET)


def survey(*columns: tuple[Column, object], axis: Axis | None = None) -> Survey:
    schema = Schema(tuple(column for column, _ in columns))
    arrays = [
        pa.array(values).cast(field.type)
        for (_, values), field in zip(columns, schema.arrow_schema(), strict=True)
    ]
    positions = np.arange(N)
    return Survey.from_table(
        pa.table(arrays, schema=schema.arrow_schema()),
        schema,
        axis=axis or Axis.of_rows(N),
        hashes=hash_numbers(positions.astype(np.float64)),
        positions=positions,
    )


X = Column("x", Kind.NUMBER)
DATE = Column("on", Kind.DATETIME)
SHUFFLED = RNG.permutation(N) * 86_400_000_000


def long_survey(n_rows: int, *, seed: int, group_rows: int = 1, block_rows: int = 10**6) -> Survey:
    """Of a table too long to hold: only the rows that a survey keeps have values that count."""
    rng = np.random.default_rng(seed)
    schema = Schema((X, Column("city", Kind.CATEGORY, domain=("a", "b", "c")), CLASSES))
    windows = Windows.of(n_rows)
    parts = []
    for start in range(0, n_rows, block_rows):
        positions = np.arange(start, min(n_rows, start + block_rows))
        hashes = hash_numbers(positions.astype(np.float64))
        kept = windows.holds(positions) | (hashes <= np.uint64(hash_limit(n_rows)))
        positions, hashes = positions[kept], hashes[kept]
        owner = hash_numbers((positions // group_rows + seed * n_rows).astype(np.float64))
        own = owner.astype(np.float64) / 2.0**64
        same = rng.random((3, len(positions))) < (0.5 if group_rows > 1 else 0.0)
        x, y, z = np.where(same, own, rng.random((3, len(positions))))
        table = pa.table(
            [x, np.array(list("abc"))[(3 * z).astype(int)], np.where(y < 0.3, "yes", "no")],
            schema=schema.arrow_schema(),
        )
        parts.append(
            Survey.from_table(
                table,
                schema,
                axis=Axis.of_rows(n_rows),
                hashes=hashes,
                positions=positions,
                limit=hash_limit(n_rows),
                windows=windows,
            )
        )
    return Survey.merge_all(parts)


@pytest.mark.parametrize("group_rows", [2, 5, 1000])
def test_groups_of_a_few_rows_are_told_in_a_table_of_many_millions(group_rows: int) -> None:
    found = long_survey(20_000_000, seed=1, group_rows=group_rows)
    nothing = Runs(found.runs.positions[:0], found.runs.table.slice(0, 0))
    spread = replace(found, runs=nothing)
    assert told(spread) == []  # two rows of the sample are 2,000 rows apart
    assert told(found) == [(Level.WARNING, "y", "file order carries time or groups")]
    assert {one.column.name for one in order_of(found) if one.tells} == {"x", "city", "y"}


def test_a_long_table_in_random_order_is_told_to_be_one_as_seldom_as_promised() -> None:
    n_told = sum(
        any(abs(one.alike) > one.chance for one in order_of(long_survey(10**6, seed=seed)))
        for seed in range(30)
    )
    assert n_told <= 1  # 0.03 are expected


def test_a_run_counts_no_step_into_the_next_one_nor_over_a_missing_value() -> None:
    values = np.repeat(np.arange(40.0), 2)
    together = np.arange(79) % 2 == 0
    alike, error, _ = number_neighbors(values, together)
    assert alike == 1.0
    assert error == pytest.approx(1 / np.sqrt(40))
    assert category_neighbors(values.astype(int), together)[0] == 1.0
    assert number_neighbors(values, together & (np.arange(79) < 40)) is None


def told(found: Survey, *, ordered: bool = False) -> list[tuple[Level, str | None, str]]:
    findings = order_findings(found, order_of(found), ordered=ordered)
    assert all(f.law is Law.ROW_ORDER for f in findings)
    return [(f.level, f.column, f.message.split(":")[0]) for f in findings]


def test_rows_in_random_order_have_none() -> None:
    labels = np.where(RNG.random(N) < 0.1, "yes", "no")
    assert told(survey((X, NOISE), (CLASSES, labels))) == []
    assert told(survey((X, NOISE), (COST, RNG.normal(size=N)))) == []
    assert told(survey((X, NOISE))) == []


def test_random_order_is_told_to_be_one_as_seldom_as_promised() -> None:
    rng = np.random.default_rng(5)
    n_told = 0
    for _ in range(300):
        flags = np.where(rng.random(N) < 0.03, "yes", "no")
        skewed = np.exp(3 * rng.normal(size=N))
        n_told += any(
            abs(one.alike) > one.chance
            for one in order_of(survey((X, skewed), (CLASSES, flags), (DATE, SHUFFLED)))
        )
    assert n_told <= 3  # 0.3 are expected


def test_time_groups_and_sorting_are_told_apart() -> None:
    assert told(survey((X, NOISE), (COST, WALK))) == [
        (Level.WARNING, "y", "file order carries time")
    ]
    assert told(survey((X, NOISE), (COST, PLACES))) == [
        (Level.WARNING, "y", "file order carries time or groups")
    ]
    assert told(survey((X, NOISE), (COST, PLACES), (DATE, SHUFFLED))) == [
        (Level.WARNING, "y", "file order carries groups")
    ]
    owner = Column("owner", Kind.CATEGORY, Role.GROUP)
    assert told(survey((X, NOISE), (COST, PLACES), (owner, ["a"] * N))) == [
        (Level.NOTE, "y", "file order carries groups")
    ]
    assert told(survey((X, NOISE), (COST, np.sort(NOISE)))) == [
        (Level.NOTE, None, "the file is sorted by 'y'")
    ]
    assert told(survey((X, np.sort(NOISE)))) == [(Level.NOTE, None, "the file is sorted by 'x'")]
    assert told(survey((X, WALK)))[0][2].startswith("rows that stand together are alike in 'x'")


def test_a_file_in_order_of_its_dates_is_told_with_the_remedy() -> None:
    dated = survey((DATE, np.sort(SHUFFLED)), (COST, WALK))
    (found,) = order_findings(dated, order_of(dated), ordered=False)
    assert found.level is Level.WARNING and "data.time: {column: on}" in found.message


def test_what_is_declared_is_confirmed_or_doubted() -> None:
    assert told(survey((X, WALK), (COST, WALK)), ordered=True) == [
        (Level.NOTE, None, "file order carries time, as declared")
    ]
    random = survey((X, NOISE), (COST, NOISE[::-1]))
    (doubted,) = order_findings(random, order_of(random), ordered=True)
    assert doubted.level is Level.WARNING and "in none of 2 columns" in doubted.message
    when = Column("at", Kind.DATETIME, Role.TIME)
    by_time = survey((when, SHUFFLED), (COST, WALK), axis=Axis.of_times("at", SHUFFLED / 1e6))
    assert told(by_time, ordered=True) == []


def test_neighbors_of_numbers_and_categories() -> None:
    alike, error, is_sorted = number_neighbors(np.tile([0.0, 1.0], 100)) or (0, 0, False)
    assert alike == pytest.approx(-1.0, abs=0.02) and not is_sorted
    assert error == pytest.approx(200**-0.5)
    assert number_neighbors(np.ones(100)) is None
    assert number_neighbors(np.arange(5.0)) is None
    assert category_neighbors(np.zeros(100, dtype=np.int64)) is None
    parts = np.concatenate([np.sort(NOISE[:700]), np.sort(NOISE[700:])])
    assert (number_neighbors(parts) or (0, 0, False))[2]
    runs = category_neighbors(np.repeat([2, 0, 1], 50))
    assert runs is not None and runs[0] > 0.95 and runs[2]


def test_its_error_is_that_of_shuffled_rows() -> None:
    rng = np.random.default_rng(9)
    codes = rng.choice(4, size=400, p=[0.7, 0.2, 0.05, 0.05])
    found = [category_neighbors(rng.permutation(codes)) for _ in range(800)]
    alike = np.array([one[0] for one in found if one is not None])
    error = found[0][1] if found[0] is not None else 0.0
    assert float(alike.std()) == pytest.approx(error, rel=0.1)
    assert abs(float(alike.mean())) < 4 * error / 800**0.5 + 1 / 400
