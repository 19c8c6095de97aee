from __future__ import annotations

import pyarrow as pa
import pytest

from tenfold.errors import ArtifactError
from tenfold.monitor.cells import TOP_CATEGORIES, FeatureBins, empty_cells, freeze_column
from tenfold.profile import Profile
from tenfold.schema import Column, Kind, Schema


def frozen(column: Column, values: pa.Array) -> FeatureBins:
    schema = Schema((column,))
    profile = Profile.from_table(pa.table({column.name: values}), schema)
    return freeze_column(column, profile)


def test_a_number_gets_quantile_cells_ends_and_missing() -> None:
    bins = frozen(Column("x", Kind.NUMBER), pa.array([float(i) for i in range(1000)]))
    assert len(bins.thresholds) == 21 and bins.n_cells == 23
    assert bins.labels[0] == "below 0" and bins.labels[-2:] == ("above 999", "missing")
    assert bins.thresholds[0] < -99 and bins.thresholds[-1] == pytest.approx(1098.9)
    assert bins.outside == (0, 21) and bins.unseen == ()


def test_repeated_quantiles_share_a_cell() -> None:
    bins = frozen(Column("x", Kind.INTEGER), pa.array([0] * 97 + [1] * 3))
    assert len(bins.thresholds) == 3  # two ends and one edge between 0 and 1


def test_a_declared_range_widens_the_seen_one() -> None:
    column = Column("x", Kind.NUMBER, minimum=0.0, maximum=120.0)
    bins = frozen(column, pa.array([20.0, 30.0, 40.0]))
    assert bins.thresholds[0] < 0.0 and bins.thresholds[-1] == pytest.approx(132.0)


@pytest.mark.parametrize("value", [0.0, 5.0, -7.5])
def test_a_constant_has_a_range_around_it(value: float) -> None:
    bins = frozen(Column("x", Kind.NUMBER), pa.array([value, value]))
    assert bins.thresholds[0] < value < bins.thresholds[-1]


def test_a_column_without_values_has_two_cells() -> None:
    bins = frozen(Column("x", Kind.NUMBER), pa.array([None, None], pa.float64()))
    assert bins == empty_cells("x") and bins.outside == ()


def test_categories_keep_their_most_frequent() -> None:
    domain = tuple(f"c{i:02d}" for i in range(30))
    values = [name for i, name in enumerate(domain) for _ in range(i + 1)]
    bins = frozen(Column("c", Kind.CATEGORY, domain=domain), pa.array(values))
    assert bins.labels[0] == "c29" and bins.n_cells == TOP_CATEGORIES + 3
    assert bins.lookup[29] == 0 and bins.lookup[0] == TOP_CATEGORIES  # other
    assert bins.labels[-3:] == ("other", "unseen", "missing")
    assert bins.unseen == (TOP_CATEGORIES + 1,) and bins.outside == ()


def test_a_boolean_is_two_categories() -> None:
    bins = frozen(Column("b", Kind.BOOLEAN), pa.array([True, False, True]))
    assert bins.labels[:2] == ("true", "false") and bins.lookup == (1, 0)


def test_dates_are_counted_but_not_watched() -> None:
    values = pa.array([0, 86_400_000_000], pa.timestamp("us", tz="UTC"))
    assert not frozen(Column("d", Kind.DATETIME), values).watched


@pytest.mark.parametrize(
    "damage",
    [
        {"thresholds": [2.0, 1.0]},
        {"thresholds": [1.0]},
        {"thresholds": [float("nan"), 1.0]},
        {"lookup": [99]},
    ],
)
def test_damaged_cells_are_refused(damage: dict[str, object]) -> None:
    good = FeatureBins.of_numbers("x", [], 0.0, 1.0).to_dict()
    assert FeatureBins.from_dict(good).to_dict() == good
    with pytest.raises(ArtifactError, match="frozen bins of column 'x'"):
        FeatureBins.from_dict({**good, **damage})
