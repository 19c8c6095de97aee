"""Each maker: its numbers by hand, what is missing or unseen, and the same bits for any batch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tenfold.features.construct.base import Maker
from tenfold.features.construct.crosses import MAX_CELLS, Cross
from tenfold.features.construct.groups import Aggregate, Deviation
from tenfold.features.construct.pairs import Difference, Ratio
from tenfold.schema import Column, Kind
from tenfold.testing.preprocessing import same_bits

NAN = float("nan")
SIZES = (0, 0, 3, 2)
"""Codes of two numbers and two categories."""

MAKERS: list[Maker] = [
    Difference((0, 1), others=(1, 0)),
    Ratio((0, 1), others=(1, 0)),
    Aggregate((2, 3), tables=((0.5, NAN, 1.0, 2.0, 3.0), (9.0, 8.0, 7.0, 6.0))),
    Deviation((2,), tables=((0.5, 4.0, 1.0, 2.0, 3.0),), numbers=(0,)),
    Cross((2,), others=(3,), heights=(3,), widths=(2,), pairs=((5, 0, 3),)),
]
IDS = [maker.kind for maker in MAKERS]


def apply(maker: Maker, *rows: list[float]) -> list[list[float]]:
    codes = np.array(rows, dtype=np.float64)
    codes.flags.writeable = False
    out = np.full((len(rows), maker.n_outputs), -99.0)
    maker.apply(codes, out)
    return [[None if np.isnan(v) else v for v in row] for row in out.tolist()]  # type: ignore[misc]


def test_differences_and_ratios() -> None:
    difference, ratio = MAKERS[:2]
    assert apply(difference, [6.0, 4.0, 0, 0], [NAN, 1.0, 0, 0]) == [[2.0, -2.0], [None, None]]
    assert apply(ratio, [6.0, 4.0, 0, 0]) == [[1.5, 4.0 / 6.0]]
    assert apply(ratio, [0.0, 4.0, 0, 0], [0.0, 0.0, 0, 0]) == [[0.0, None], [None, None]]


def test_what_leaves_float64_is_missing() -> None:
    assert apply(MAKERS[0], [1.7e308, -1.7e308, 0, 0]) == [[None, None]]
    assert apply(MAKERS[1], [1e308, 1e-308, 0, 0]) == [[None, 0.0]]
    assert apply(MAKERS[1], [1.0, -0.0, 0, 0]) == [[None, -0.0]]


def test_statistics_of_groups_and_distances_to_them() -> None:
    aggregate, deviation = MAKERS[2:4]
    rows = [[10.0, 0, 2.0, 1.0], [10.0, 0, NAN, NAN], [10.0, 0, -1.0, -1.0]]
    assert apply(aggregate, *rows) == [[3.0, 6.0], [0.5, 9.0], [None, 8.0]]
    assert apply(deviation, *rows) == [[7.0], [9.5], [6.0]]
    assert apply(deviation, [NAN, 0, 0.0, 0.0]) == [[None]]


def test_crosses_know_frequent_pairs_only() -> None:
    cells = {
        (a, b): apply(MAKERS[4], [0, 0, a, b])[0][0] for a in (-1, 0, 1, 2) for b in (-1, 0, 1)
    }
    known = {(2, 1): 0.0, (0, 0): 1.0, (1, 1): 2.0}
    assert cells == {pair: known.get(pair, -1.0) for pair in cells}
    assert apply(MAKERS[4], [0, 0, NAN, 0.0], [0, 0, 0.0, NAN], [0, 0, -1.0, NAN]) == [[None]] * 3


def test_categories_of_a_cross_are_told_apart_and_sorted() -> None:
    columns = [
        Column("a", Kind.CATEGORY, domain=("x", "x & y")),
        Column("b", Kind.CATEGORY, domain=("y & z", "z")),
    ]
    cross = Cross((0,), others=(1,), heights=(2,), widths=(2,), pairs=((3, 2, 1, 0),))
    made = cross.sorted_by_text(columns)
    (column,) = made.describe(["a & b"], columns)
    assert column.domain == tuple(sorted(column.domain or ()))
    assert len(set(column.domain or ())) == 4
    assert "'x' & 'y & z'" in (column.domain or ())
    assert set(made.pairs[0]) == {0, 1, 2, 3}


codes = arrays(
    np.float64,
    st.tuples(st.integers(1, 40), st.just(2)),
    elements=st.floats(allow_infinity=False, width=64),
)


@pytest.mark.parametrize("maker", MAKERS, ids=IDS)
@given(numbers=codes, seed=st.integers(0, 99))
def test_a_row_has_the_same_bits_alone_and_in_a_batch(
    maker: Maker, numbers: np.ndarray, seed: int
) -> None:
    random = np.random.default_rng(seed)
    places = [random.choice([NAN, *range(-1, size)], len(numbers)) for size in SIZES[2:]]
    table = np.column_stack([numbers, *places])
    whole = np.empty((len(table), maker.n_outputs))
    maker.apply(table, whole)
    assert not np.isinf(whole).any()
    for index in range(len(table)):
        alone = np.empty((1, maker.n_outputs))
        maker.apply(table[index : index + 1], alone)
        assert same_bits(alone[0], whole[index])


@pytest.mark.parametrize("maker", MAKERS, ids=IDS)
def test_a_maker_survives_json_and_can_be_narrowed(maker: Maker) -> None:
    again = type(maker).from_dict(maker.to_dict(), sizes=SIZES)
    row = np.array([[3.0, 2.0, 1.0, 1.0]])
    out, same, last = (np.empty((1, maker.n_outputs)) for _ in range(3))
    maker.apply(row, out)
    again.apply(row, same)
    assert same_bits(out, same)
    # Behind a column more, the last output alone.
    k = maker.n_outputs - 1
    places = {place: place + 1 for place in maker.inputs(k)}
    one = maker.narrow([k], places)
    last = np.empty((1, 1))
    one.apply(np.array([[9.9, 3.0, 2.0, 1.0, 1.0]]), last)
    assert same_bits(last[0], out[0, k:])


@pytest.mark.parametrize(
    ("maker", "fault"),
    [
        (Difference((0,), others=(1, 0)), "as many entries"),
        (Difference((), others=()), "at least one"),
        (Ratio((0,), others=(9,)), "reads columns below 4"),
        (Aggregate((0,), tables=((1.0, 2.0),)), "each category of the domain"),
        (Aggregate((3,), tables=((1.0, 2.0),)), "each category of the domain"),
        (Cross((2,), others=(3,), heights=(2,), widths=(2,), pairs=((0,),)), "stated sizes"),
        (Cross((0,), others=(3,), heights=(0,), widths=(2,), pairs=((0,),)), "stated sizes"),
        (Cross((2,), others=(3,), heights=(3,), widths=(2,), pairs=((6,),)), "below 6"),
        (Cross((2,), others=(3,), heights=(3,), widths=(2,), pairs=((-1,),)), "from 0"),
        (Cross((2,), others=(3,), heights=(3,), widths=(2,), pairs=((1, 1),)), "distinct"),
        (Cross((2,), others=(3,), heights=(3,), widths=(2,), pairs=((),)), "at least one"),
    ],
)
def test_numbers_that_do_not_fit_are_named(maker: Maker, fault: str) -> None:
    assert fault in (maker.check(SIZES) or "")


def test_a_cross_cannot_ask_for_much_memory() -> None:
    side = int(MAX_CELLS**0.5) + 1
    cross = Cross((0,), others=(1,), heights=(side,), widths=(side,), pairs=((0,),))
    assert f"at most {MAX_CELLS} cells" in (cross.check((side, side)) or "")
