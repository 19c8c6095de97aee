"""A scan block by block against the merge of block summaries, and against plain counting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import chain

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.errors import DataError
from tenfold.features import encode_table
from tenfold.profile import (
    MAX_CATEGORIES,
    MAX_EXACT,
    ClassStats,
    NumberAssociation,
    NumberProfile,
    NumberStats,
    Profile,
    ProfileScan,
    merge_profiles,
)
from tenfold.profile.association import Target
from tenfold.profile.category_scan import CategoryScan
from tenfold.profile.counted import GridTable
from tenfold.profile.course import Axis
from tenfold.profile.distinct import fewest_distinct, hash_numbers
from tenfold.profile.grid import fitting_level, grid_counts, snap, weighted_unique
from tenfold.profile.grid_scan import scan_on_grid
from tenfold.profile.number_scan import NumberScan
from tenfold.profile.survey import Survey
from tenfold.profile.value_table import ValueTable
from tenfold.schema import Schema

MakeTable = Callable[..., pa.Table]
Random = np.random.Generator

BLOCK = 65_536
N_BLOCKS = 24
"""More than a million rows and a half: measured numbers come onto a grid on the way."""

SHAPES: dict[str, Callable[[Random, int], np.ndarray]] = {
    "measured": lambda random, n: random.normal(size=n),
    "positive": lambda random, n: np.exp(random.normal(size=n)),
    "of few values": lambda random, n: random.normal(size=n).round(2),
    "mostly zero": lambda random, n: np.where(random.random(n) < 0.6, -0.0, random.normal(size=n)),
    "of huge range": lambda random, n: (
        random.standard_cauchy(n) * 10.0 ** random.integers(-290, 280, n)
    ),
    "of many integers": lambda random, n: random.integers(0, 400_000, n).astype(float),
    "close together": lambda random, n: 1e9 + random.random(n),
    "all missing": lambda random, n: np.full(n, np.nan),
    "in order": lambda random, n: np.sort(random.normal(size=n)) + random.integers(99),
}


def blocks(shape: str, *, numeric: bool = False) -> list[tuple[np.ndarray, Target]]:
    random = np.random.default_rng(5)
    made = []
    for _ in range(N_BLOCKS):
        values = SHAPES[shape](random, BLOCK)
        values[random.random(BLOCK) < 0.01] = np.nan
        values[:2] = (np.inf, -np.inf)
        codes = (random.random(BLOCK) < 0.3).astype(np.intp)
        target = Target((), codes + values) if numeric else Target(("no", "yes"), codes)
        made.append((values, target))
    return made


def same_number(found: NumberProfile, wanted: NumberProfile) -> None:
    for name in ("count", "nulls", "level", "is_exact", "n_distinct"):
        assert getattr(found, name) == getattr(wanted, name), name
    for name in ("minimum", "maximum"):
        assert np.array_equal(getattr(found, name), getattr(wanted, name), equal_nan=True)
    assert np.array_equal(found.values, wanted.values)
    assert np.array_equal(found.counts, wanted.counts)
    assert found.mean == pytest.approx(wanted.mean, rel=1e-9, nan_ok=True)
    assert found.variance == pytest.approx(wanted.variance, rel=1e-9, nan_ok=True)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_scanned_column_is_the_merge_of_its_blocks(shape: str) -> None:
    scan, numbers, associations = NumberScan(), [], []
    for values, target in blocks(shape):
        scan.add(values, target)
        numbers.append(NumberProfile.from_values(values))
        associations.append(NumberAssociation.from_values(values, target))
    found, association = scan.results()
    same_number(found, NumberProfile.merge_all(numbers))
    wanted = NumberAssociation.merge_all(associations)
    assert association is not None
    assert association.level == wanted.level
    assert np.array_equal(association.cells, wanted.cells)
    assert isinstance(association.stats, ClassStats) and isinstance(wanted.stats, ClassStats)
    assert np.array_equal(association.stats.counts, wanted.stats.counts)


@pytest.mark.parametrize("shape", ["measured", "of few values"])
def test_a_numeric_target_with_gaps_is_summed_in_the_same_cells(shape: str) -> None:
    scan, associations = NumberScan(), []
    for values, target in blocks(shape, numeric=True):
        scan.add(values, target)
        associations.append(NumberAssociation.from_values(values, target))
    _, association = scan.results()
    wanted = NumberAssociation.merge_all(associations)
    assert association is not None
    assert np.array_equal(association.cells, wanted.cells)
    assert isinstance(association.stats, NumberStats) and isinstance(wanted.stats, NumberStats)
    assert np.array_equal(association.stats.n, wanted.stats.n)
    assert association.stats.mean == pytest.approx(wanted.stats.mean, rel=1e-9)
    assert association.stats.m2 == pytest.approx(wanted.stats.m2, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("shape", ["measured", "positive", "of huge range", "close together"])
@pytest.mark.parametrize("numeric", [False, True])
def test_blocks_on_a_grid_are_the_rows_in_one_piece(shape: str, numeric: bool) -> None:
    parts = blocks(shape, numeric=numeric)
    parts[3][0][:9] = 0.0
    found = scan_on_grid(parts)
    values = np.concatenate([values for values, _ in parts])
    wanted = NumberProfile.from_values(values)
    assert found is not None
    number, association = found
    same_number(number, wanted)
    target = Target.concat([target for _, target in parts])
    whole = NumberAssociation.from_values(values, target, cells=(wanted.values, wanted.level))
    assert association is not None
    assert association.level == whole.level
    assert np.array_equal(association.cells, whole.cells)
    assert np.array_equal(association.stats.n, whole.stats.n)


@pytest.mark.parametrize(
    "shape", ["of few values", "of many integers", "mostly zero", "in order", "all missing"]
)
def test_blocks_that_may_be_kept_exact_or_fit_no_table_are_left_to_a_sort(shape: str) -> None:
    assert scan_on_grid(blocks(shape)) is None


def test_rows_without_a_class_are_left_out_of_the_target_alone() -> None:
    scan, associations = NumberScan(), []
    for values, target in blocks("of few values")[:4]:
        codes = np.array(target.values)
        codes[::7] = -1
        gaps = Target(target.classes, codes)
        scan.add(values, target)
        scan.add(values, gaps)
        associations += [NumberAssociation.from_values(values, t) for t in (target, gaps)]
    _, association = scan.results()
    wanted = NumberAssociation.merge_all(associations)
    assert association is not None
    assert isinstance(association.stats, ClassStats) and isinstance(wanted.stats, ClassStats)
    assert np.array_equal(association.stats.counts, wanted.stats.counts)


finite = st.floats(allow_nan=False, allow_infinity=False).map(lambda value: value + 0.0)
columns = st.lists(st.lists(st.floats(), max_size=20), min_size=1, max_size=6)


@given(columns, st.integers(0, 3))
def test_any_floats_in_any_blocks_are_counted_exactly(parts: list[list[float]], spare: int) -> None:
    scan = NumberScan(spare=spare)
    for part in parts:
        scan.add(np.array(part))
    same_number(scan.results()[0], NumberProfile.from_values(np.array([*chain(*parts)])))


@given(st.lists(finite, min_size=1, max_size=60), st.integers(2, 40), st.integers(30, 52))
def test_a_grid_table_finds_the_cell_that_snap_names(
    values: list[float], cap: int, level: int
) -> None:
    cells, counts = weighted_unique(snap(np.array(values), level=level))
    table = GridTable.over(cells, counts, level=level)
    if table is None:
        return
    places, known = table.places(np.array(values))
    assert np.array_equal(table.values[places[known]], snap(np.array(values)[known], level=level))
    assert known.mean() > 0.9


@given(st.lists(finite, min_size=1, max_size=300, unique=True), st.integers(5, 60))
def test_counting_by_bits_is_what_a_sort_finds(values: list[float], cap: int) -> None:
    column = np.array(values)
    found = grid_counts(column, cap=cap)
    unique, counts = weighted_unique(column)
    level = fitting_level(unique, floor=0, cap=cap)
    if found is None:
        return
    assert found[2] == level
    cells, begins = np.unique(snap(unique, level=level), return_index=True)
    assert np.array_equal(found[0], cells)
    assert np.array_equal(found[1], np.add.reduceat(counts, begins))


@given(st.lists(finite, min_size=1, max_size=200, unique=True), st.lists(finite, max_size=50))
def test_a_value_table_knows_its_values_and_no_other(
    known: list[float], asked: list[float]
) -> None:
    values = np.sort(np.array(known))
    table = ValueTable.of(values)
    assert table is not None
    rows = np.array([*known, *asked])
    places, found = table.places(rows)
    assert found.tolist() == [value in set(known) for value in rows]
    assert np.array_equal(values[places[found]], rows[found])


def test_thousands_of_values_share_slots_and_are_told_apart() -> None:
    values = np.sort(np.random.default_rng(0).normal(size=30_000))
    table = ValueTable.of(values)
    assert table is not None
    assert table.below is not None
    places, known = table.places(values)
    assert known.all()
    assert np.array_equal(places, np.arange(len(values)))
    assert ValueTable.of(np.arange(40_000.0)) is None
    assert ValueTable.of(np.empty(0)) is None


def test_marks_never_tell_more_values_than_there_are() -> None:
    values = np.random.default_rng(0).normal(size=MAX_EXACT)
    assert 0.96 * MAX_EXACT < fewest_distinct(hash_numbers(values)) <= MAX_EXACT
    assert fewest_distinct(hash_numbers(np.repeat(values[:9], 9))) <= 9


words = st.lists(st.one_of(st.none(), st.sampled_from(["a", "b", "é", "", "zz"])), max_size=9)


@given(st.lists(words, min_size=1, max_size=5))
def test_strings_are_counted_whatever_the_blocks(parts: list[list[str | None]]) -> None:
    scan = CategoryScan()
    for part in parts:
        codes = np.array([len(word or "") % 2 for word in part], dtype=np.intp)
        scan.add(pa.array(part, pa.string()), Target(("even", "odd"), codes))
    profile, association = scan.results()
    rows = [*chain(*parts)]
    assert profile.counts == dict(sorted(Counter(w for w in rows if w is not None).items()))
    assert (profile.count, profile.nulls) == (len(rows) - rows.count(None), rows.count(None))
    assert association is not None
    assert association.categories == tuple(profile.counts)
    assert isinstance(association.stats, ClassStats)
    assert association.stats.counts[:-2].sum(axis=1).tolist() == list(profile.counts.values())
    assert association.stats.counts[-1].tolist() == [rows.count(None), 0]


def test_beyond_the_cap_the_frequent_strings_stay() -> None:
    scan, names = CategoryScan(domain=["n1"]), [f"n{i}" for i in range(3 * MAX_CATEGORIES)]
    for start in range(0, len(names), 9000):
        scan.add(pa.array([*names[start : start + 9000], *["often"] * 50]))
    profile, _ = scan.results()
    assert not profile.is_exact
    assert len(profile.counts) == MAX_CATEGORIES
    assert profile.counts["often"] == 350
    assert profile.counts["n1"] == 1
    assert profile.n_distinct == pytest.approx(len(names) + 1, rel=0.1)


@settings(max_examples=20, deadline=None)
@given(sizes=st.lists(st.integers(0, 40), min_size=1, max_size=5), seed=st.integers(0, 99))
def test_a_scan_is_the_profile_of_the_rows(
    class_schema: Schema, make_table: MakeTable, sizes: Sequence[int], seed: int
) -> None:
    table = make_table(class_schema, sum(sizes), seed=seed)
    scan = ProfileScan(class_schema)
    starts = np.cumsum([0, *sizes])
    parts = [table.slice(int(at), size) for at, size in zip(starts, sizes, strict=False)]
    for part in parts:
        scan.add(part)
    found = scan.profile()
    merged = merge_profiles([Profile.from_table(part, class_schema) for part in parts])
    assert found.to_bytes() == merged.to_bytes()


def as_dictionaries(table: pa.Table) -> pa.Table:
    for place, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            coded = table.column(place).combine_chunks().dictionary_encode()
            table = table.set_column(place, field.name, coded)
    return table


@settings(max_examples=20, deadline=None)
@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_texts_may_come_as_dictionaries(
    class_schema: Schema, make_table: MakeTable, sizes: Sequence[int], seed: int
) -> None:
    table = make_table(class_schema, sum(sizes), seed=seed)
    plain, coded = ProfileScan(class_schema), ProfileScan(class_schema)
    surveys: list[list[Survey]] = [[], []]
    for number, (at, size) in enumerate(zip(np.cumsum([0, *sizes]), sizes, strict=False)):
        part = table.slice(int(at), size)
        mixed = part if number % 3 == 1 else as_dictionaries(part)
        for scan, rows, parts in ((plain, part, surveys[0]), (coded, mixed, surveys[1])):
            scan.add(rows)
            positions = np.arange(at, at + size)
            parts.append(
                Survey.from_table(
                    rows,
                    class_schema,
                    axis=Axis.of_rows(len(table)),
                    positions=positions,
                    hashes=hash_numbers(positions.astype(np.float64)),
                )
            )
    assert coded.profile().to_bytes() == plain.profile().to_bytes()
    one, other = (Survey.merge_all(parts) for parts in surveys)
    assert one.to_bytes() == other.to_bytes()
    whole = as_dictionaries(table.combine_chunks())
    assert np.array_equal(
        encode_table(class_schema, whole), encode_table(class_schema, table), equal_nan=True
    )


def test_a_scan_of_nothing_is_refused(class_schema: Schema) -> None:
    with pytest.raises(DataError, match="needs at least one block"):
        ProfileScan(class_schema).profile()
