"""File order: told where it is there, silent where there is none."""

from __future__ import annotations

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
