"""Pairs against pandas and SciPy: within 1e-12 for ranks and ratios, 1e-9 for Cramér's V."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.stats

from tenfold.profile.course import Axis
from tenfold.profile.distinct import hash_numbers
from tenfold.profile.pairs import MAX_LEVELS, Pairs, pairs_of, twin_findings
from tenfold.profile.survey import Survey
from tenfold.schema import Column, Kind, Schema

MakeTable = Callable[..., pa.Table]


def survey(table: pa.Table, schema: Schema) -> Survey:
    positions = np.arange(table.num_rows)
    return Survey.from_table(
        table,
        schema,
        axis=Axis.of_rows(table.num_rows),
        hashes=hash_numbers(positions.astype(np.float64)),
        positions=positions,
    )


def names(pairs: Pairs) -> tuple[list[str], list[str]]:
    return [c.column.name for c in pairs.numbers], [c.column.name for c in pairs.categories]


def test_rank_correlations_are_those_of_pandas(
    number_schema: Schema, make_table: MakeTable
) -> None:
    table = make_table(number_schema, 700)
    pairs = pairs_of(survey(table, number_schema))
    numbers, _ = names(pairs)
    frame = table.to_pandas()[numbers].apply(lambda column: pd.to_numeric(column).astype(float))
    frame = frame.mask(table.select(numbers).to_pandas().isna())
    expected = frame.corr(method="spearman").to_numpy()
    assert pairs.spearman == pytest.approx(expected, abs=1e-12)


def _cramers_v(left: pd.Series, right: pd.Series) -> float:
    """Bergsma (2013) over SciPy's chi-square."""
    table = pd.crosstab(left, right).to_numpy()
    n, (r, k) = table.sum(), table.shape
    phi2 = scipy.stats.chi2_contingency(table, correction=False).statistic / n
    phi2 = max(0.0, phi2 - (k - 1) * (r - 1) / (n - 1))
    r, k = r - (r - 1) ** 2 / (n - 1), k - (k - 1) ** 2 / (n - 1)
    return float(np.sqrt(phi2 / min(k - 1, r - 1)))


def test_cramers_v_is_that_of_scipys_chi_square() -> None:
    rng = np.random.default_rng(0)
    a = rng.integers(0, 5, 900)
    b = np.where(rng.random(900) < 0.4, a % 3, rng.integers(0, 3, 900))
    gone = rng.random(900) < 0.1
    schema = Schema((Column("a", Kind.CATEGORY), Column("b", Kind.CATEGORY)))
    table = pa.table({
        "a": pa.array([f"a{v}" for v in a], mask=gone), "b": [f"b{v}" for v in b],
    })  # fmt: skip
    frame = table.to_pandas().dropna()
    found = pairs_of(survey(table, schema)).cramers_v
    assert found[0, 1] == found[1, 0] == pytest.approx(_cramers_v(frame["a"], frame["b"]), abs=1e-9)
    assert found[0, 0] == pytest.approx(1.0)


def test_independent_categories_have_no_association() -> None:
    rng = np.random.default_rng(1)
    schema = Schema((Column("a", Kind.CATEGORY), Column("b", Kind.CATEGORY)))
    columns = {n: [f"{v}" for v in rng.integers(0, 30, 2000)] for n in ("a", "b")}
    assert pairs_of(survey(pa.table(columns), schema)).cramers_v[0, 1] < 0.05


def test_the_correlation_ratio_is_that_of_scipys_analysis_of_variance(
    number_schema: Schema, make_table: MakeTable
) -> None:
    table = make_table(number_schema, 500)
    pairs = pairs_of(survey(table, number_schema))
    numbers, categories = names(pairs)
    frame = table.to_pandas()
    for j, name in enumerate(numbers):
        if name == "since":
            continue
        pair = frame[["city", name]].dropna().astype({name: float})
        groups = [part[name].to_numpy() for _, part in pair.groupby("city")]
        f = scipy.stats.f_oneway(*groups).statistic
        within, between = len(pair) - len(groups), len(groups) - 1
        eta = np.sqrt(f * between / (f * between + within))
        assert pairs.correlation_ratio[categories.index("city"), j] == pytest.approx(eta, abs=1e-12)


def test_columns_that_do_not_vary_have_no_association() -> None:
    schema = Schema((
        Column("c", Kind.CATEGORY), Column("d", Kind.CATEGORY),
        Column("x", Kind.NUMBER), Column("z", Kind.NUMBER),
    ))  # fmt: skip
    table = pa.table({
        "c": ["a"] * 40, "d": ["a", "b"] * 20, "x": [1.0] * 40,
        "z": pa.array([None] * 40, pa.float64()),
    })  # fmt: skip
    pairs = pairs_of(survey(table, schema))
    assert np.isnan(pairs.spearman).all() and np.isnan(pairs.correlation_ratio).all()
    assert np.isnan(pairs.cramers_v[0]).all()
    assert twin_findings(pairs) == []
    pairs_of(survey(table.slice(0, 0), schema))


def test_extreme_numbers_stay_inside_of_float64() -> None:
    schema = Schema((Column("c", Kind.CATEGORY), Column("x", Kind.NUMBER)))
    table = pa.table({"c": ["a", "b"] * 20, "x": [1e308, -1e308] * 20})
    assert pairs_of(survey(table, schema)).correlation_ratio[0, 0] == pytest.approx(1.0)


def test_rare_levels_are_one_beyond_the_cap() -> None:
    schema = Schema((Column("c", Kind.CATEGORY),))
    table = pa.table({"c": [f"v{min(i, 90)}" for i in range(400)]})
    (coded,) = pairs_of(survey(table, schema)).categories
    assert coded.n_codes == MAX_LEVELS + 1 and int(coded.codes.max()) == MAX_LEVELS


def test_twins_in_other_words_are_told() -> None:
    rng = np.random.default_rng(2)
    codes, x = rng.integers(0, 4, 300), rng.normal(size=300)
    schema = Schema((
        Column("word", Kind.CATEGORY), Column("code", Kind.INTEGER), Column("other", Kind.CATEGORY),
        Column("x", Kind.NUMBER), Column("exp x", Kind.NUMBER), Column("3x", Kind.NUMBER),
    ))  # fmt: skip
    table = pa.table({
        "word": [f"w{c}" for c in codes], "code": 7 - codes,
        "other": [f"w{c}" for c in rng.permutation(codes)],
        "x": x, "exp x": np.exp(x), "3x": 3 * x,
    })  # fmt: skip
    told = {f.message.split(" say")[0] for f in twin_findings(pairs_of(survey(table, schema)))}
    assert told == {
        "columns 'word' and 'code'", "columns 'x' and 'exp x'", "columns 'exp x' and '3x'",
    }  # fmt: skip
