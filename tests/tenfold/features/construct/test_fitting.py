"""The fit of the makers: numbers by hand, shrunk, and from the given rows alone."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tenfold.canonical import canonical_json
from tenfold.features import encode_table
from tenfold.features.construct import Candidates, Construction, fit_construction
from tenfold.features.construct.tables import CROSS_CATEGORIES, CROSS_ROWS, SHRINK_ROWS
from tenfold.schema import Column, Kind, Schema
from tenfold.testing.mixed import mixed_schema, mixed_table

NAN = float("nan")
SHOP = Column("shop", Kind.CATEGORY, domain=("a", "b", "c"))
SCHEMA = Schema((Column("x", Kind.NUMBER), SHOP))


def fit(codes: list[list[float]]) -> Construction:
    made = fit_construction(SCHEMA, Candidates(groups=((1, 0),)), np.array(codes))
    assert made is not None
    return made


def test_statistics_of_groups_are_shrunk_toward_all_rows() -> None:
    rows = [[1.0, 0.0], [3.0, 0.0], [8.0, 1.0], [NAN, 1.0], [4.0, NAN]]
    made = fit(rows)
    assert made.names == ("mean(x) by shop", "std(x) by shop", "share by shop", "x - mean by shop")
    center, variance = 4.0, (9 + 1 + 16 + 0) / 4
    got = made.apply(np.array([[2.0, 0.0], [2.0, 1.0], [2.0, 2.0], [2.0, -1.0], [2.0, NAN]]))
    n = np.array([2.0, 1.0, 0.0, 0.0, 1.0])
    own = np.array([2.0, 8.0, 4.0, 4.0, 4.0])
    squares = np.array([2.0, 0.0, 0.0, 0.0, 0.0])
    mean = (n * own + SHRINK_ROWS * center) / (n + SHRINK_ROWS)
    np.testing.assert_allclose(got[:, 2], mean)
    std = np.sqrt((squares + SHRINK_ROWS * variance) / (n + SHRINK_ROWS))
    np.testing.assert_allclose(got[:, 3], std)
    np.testing.assert_allclose(got[:, 4], [0.4, 0.4, 0.0, 0.0, 0.2])
    np.testing.assert_allclose(got[:, 5], 2.0 - mean)


def test_a_category_of_the_domain_that_no_row_has_stands_for_all_rows_like_an_unseen_one() -> None:
    rng = np.random.default_rng(0)
    made = fit(np.column_stack([rng.normal(size=50), rng.integers(0, 2, 50)]).tolist())
    never, unseen = made.apply(np.array([[1.0, 2.0], [1.0, -1.0]]))
    assert never[2:].tolist() == unseen[2:].tolist()


@pytest.mark.parametrize("value", [NAN, 1e308, -1e308])
def test_numbers_without_statistics_still_fit_into_json(value: float) -> None:
    made = fit([[value, 0.0], [-value, 1.0], [value, NAN]])
    again = Construction.from_dict(json.loads(canonical_json(made.to_dict())), schema=SCHEMA)
    assert not np.isinf(again.apply(np.array([[1.0, 0.0], [value, 2.0]]))).any()


def test_crosses_hold_the_frequent_pairs() -> None:
    columns = (SHOP, Column("sex", Kind.CATEGORY, domain=("f", "m")))
    rows = [[0.0, 0.0]] * CROSS_ROWS + [[2.0, 1.0]] * 50 + [[1.0, 1.0]] * (CROSS_ROWS - 1)
    odd = [[NAN, 0.0], [-1.0, 1.0]] * 20
    made = fit_construction(Schema(columns), Candidates(crosses=((0, 1),)), np.array(rows + odd))
    assert made is not None
    (column,) = made.made(columns)
    assert (column.name, column.kind) == ("shop & sex", Kind.CATEGORY)
    assert column.domain == ("'a' & 'f'", "'c' & 'm'")


def test_a_cross_has_a_cap_and_one_category_is_none() -> None:
    big = tuple(f"v{k:03d}" for k in range(100))
    columns = (Column("a", Kind.CATEGORY, domain=big), Column("b", Kind.CATEGORY, domain=big))
    cells = np.repeat(np.arange(300), CROSS_ROWS + 1)
    codes = np.column_stack([cells // 100, cells % 100]).astype(np.float64)
    made = fit_construction(Schema(columns), Candidates(crosses=((0, 1),)), codes)
    assert made is not None
    assert len(made.made(columns)[0].domain or ()) == CROSS_CATEGORIES
    one = np.zeros((100, 2))
    assert fit_construction(Schema(columns), Candidates(crosses=((0, 1),)), one) is None


def test_names_stay_distinct() -> None:
    columns = (Column("a", Kind.NUMBER), Column("b", Kind.NUMBER), Column("a / b", Kind.NUMBER))
    wanted = Candidates(ratios=((0, 1), (0, 1)))
    made = fit_construction(Schema(columns), wanted, np.ones((2, 3)))
    assert made is not None
    assert made.names == ("a / b'", "a / b''")


def test_other_rows_give_other_numbers_and_nothing_wanted_gives_none() -> None:
    schema = mixed_schema()
    wanted = Candidates(groups=((3, 0),))
    one, other = (
        fit_construction(schema, wanted, encode_table(schema, mixed_table(seed=seed)))
        for seed in (0, 1)
    )
    assert one is not None
    assert other is not None
    assert one.to_dict() != other.to_dict()
    assert fit_construction(schema, Candidates(), np.zeros((3, 8))) is None
