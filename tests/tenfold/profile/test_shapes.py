from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tenfold.profile import CategoryProfile, NumberAssociation, NumberProfile
from tenfold.profile.association import Target
from tenfold.profile.numbers import Moments
from tenfold.profile.shapes import (
    category_facts,
    histogram_edges,
    number_facts,
    sampled_top,
    target_facts,
)
from tenfold.schema import Kind
from tests.tenfold.profile.scanned import category_association

CODES = np.arange(100, dtype=np.intp) % 2
TARGET = Target(("no", "yes"), CODES)
kinds = st.sampled_from([Kind.NUMBER, Kind.INTEGER, Kind.DATETIME])


@given(arrays(np.float64, st.integers(1, 30), elements=st.floats(allow_nan=True)), kinds)
def test_any_column_has_edges_that_hold_its_middle(values: np.ndarray, kind: Kind) -> None:
    number = NumberProfile.from_values(np.trunc(values) if kind is Kind.INTEGER else values)
    edges = histogram_edges(number, kind=kind)
    if not number.count:
        assert len(edges) == 0
        return
    assert len(edges) >= 2 and np.all(np.diff(edges) > 0)
    assert edges[0] <= number.quantile(0.5) <= edges[-1]
    json.dumps(number_facts(number, None, kind=kind), allow_nan=False)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_plain_columns_get_a_readable_number_of_round_bins(low: float, width: float) -> None:
    number = NumberProfile.from_values(np.linspace(low, low + width, 200))
    edges = histogram_edges(number, kind=Kind.NUMBER)
    assert 8 <= len(edges) <= 30
    assert number.histogram(edges).sum() == 200


def test_a_far_tail_is_cut_and_counted() -> None:
    values = np.concatenate([np.linspace(0, 1, 1000), [1e6]])
    facts = number_facts(NumberProfile.from_values(values), None, kind=Kind.NUMBER)["histogram"]
    assert facts["above"] == 1001 - sum(facts["counts"]) - facts["below"]
    assert facts["edges"][-1] < 2.0


def test_number_facts_are_exact() -> None:
    number = NumberProfile.from_values(np.array([0.0, 0.0, 4.0, np.nan]))
    facts = number_facts(number, number, kind=Kind.INTEGER)
    assert (facts["count"], facts["nulls"], facts["zeros"]) == (3, 1, 2)
    assert facts["mean"] == pytest.approx(4 / 3)
    assert facts["quantiles"]["0.5"] == 0.0
    assert facts["histogram"]["counts"] == facts["histogram"]["test_counts"]


def test_a_spike_of_a_number_is_among_its_top_values() -> None:
    smooth = np.linspace(0.25, 100.0, 960)
    train = NumberProfile.from_values(np.concatenate([smooth, [999.0] * 30, [-1.0] * 10]))
    test = NumberProfile.from_values(np.array([999.0, 7.0, np.nan]))
    top = number_facts(train, test, kind=Kind.NUMBER)["top"]
    assert len(top) == 10
    assert top[0] == {"value": 999.0, "count": 30, "share": 0.03, "test_share": 0.5}
    assert top[1] == {"value": -1.0, "count": 10, "share": 0.01, "test_share": 0.0}
    assert number_facts(train, None, kind=Kind.NUMBER)["top"][0]["test_share"] is None
    cells = replace(train, moments=Moments.of(smooth))
    assert number_facts(cells, test, kind=Kind.NUMBER)["top"] is None
    assert number_facts(train, cells, kind=Kind.NUMBER)["top"][0]["test_share"] is None


def test_a_sample_tells_only_what_is_no_chance() -> None:
    values = np.concatenate([np.arange(90.0), [999.0] * 6, [np.nan] * 50])
    assert sampled_top(values) == [{"value": 999.0, "count": 6, "share": 6 / 96}]
    assert sampled_top(np.full(3, np.nan)) == []


def test_category_facts_keep_the_top_and_count_the_rest() -> None:
    train = CategoryProfile(30, 2, {f"c{i:02d}": 2 for i in range(15)})
    facts = category_facts(train, CategoryProfile(4, 0, {"c00": 1, "x": 3}))
    assert len(facts["top"]) == 10 and facts["rest"] == 10
    assert facts["top"][0] == {"value": "c00", "count": 2, "share": 2 / 30, "test_share": 0.25}


def test_the_target_along_a_number_and_along_a_category() -> None:
    values = np.where(CODES == 1, 5.0, 1.0)
    values[0] = np.nan
    facts = target_facts(NumberAssociation.from_values(values, TARGET), positive="yes")
    assert facts["classes"] == ["yes"]
    assert [(g["low"], g["n"], g["shares"]) for g in facts["groups"]] == [
        (1.0, 49, [0.0]),
        (5.0, 50, [1.0]),
    ]
    assert facts["missing"] == {"n": 1, "shares": [0.0]}
    assert facts["all"] == {"n": 100, "shares": [0.5]}
    names = pa.array(["a", "b"] * 50)
    cost = Target((), CODES * 10.0)
    facts = target_facts(category_association(names, cost), positive=None)
    assert facts["groups"] == [
        {"value": "a", "n": 50, "mean": 0.0, "std": 0.0},
        {"value": "b", "n": 50, "mean": 10.0, "std": 0.0},
    ]
    assert facts["missing"] == {"n": 0, "mean": None, "std": None}


def test_many_classes_show_the_most_frequent() -> None:
    classes = tuple(f"k{i}" for i in range(9))
    codes = np.minimum(np.arange(100), 8).astype(np.intp)
    found = NumberAssociation.from_values(np.arange(100.0), Target(classes, codes))
    facts = target_facts(found, positive=None)
    assert len(facts["classes"]) == 6 and "k8" in facts["classes"]
