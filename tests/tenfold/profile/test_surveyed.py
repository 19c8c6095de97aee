"""A survey as JSON numbers, the same that pandas finds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from tenfold.canonical import canonical_json
from tenfold.profile import Profile
from tenfold.profile.course import Axis
from tenfold.profile.distinct import hash_numbers
from tenfold.profile.facts import report_numbers
from tenfold.profile.order import order_of
from tenfold.profile.pairs import pairs_of
from tenfold.profile.survey import Survey
from tenfold.profile.surveyed import association_facts, axis_facts, course_facts, order_facts
from tenfold.schema import Schema

MakeTable = Callable[..., pa.Table]
N = 600


@pytest.fixture(scope="module")
def table(class_schema: Schema, make_table: MakeTable) -> pa.Table:
    return make_table(class_schema, N)


@pytest.fixture(scope="module")
def survey(class_schema: Schema, table: pa.Table) -> Survey:
    positions = np.arange(N)
    return Survey.from_table(
        table,
        class_schema,
        axis=Axis.of_rows(N, n_slices=6),
        hashes=hash_numbers(positions.astype(np.float64)),
        positions=positions,
    )


def test_the_axis_says_where_each_slice_lies(survey: Survey) -> None:
    facts = axis_facts(survey)
    assert (facts["column"], facts["kind"]) == (None, "rows")
    assert facts["rows"] == [100] * 6
    assert facts["low"] == [0, 100, 200, 300, 400, 500]
    assert facts["high"] == [99, 199, 299, 399, 499, 599]


def test_a_number_is_followed_by_its_mean_and_standard_error(
    survey: Survey, table: pa.Table
) -> None:
    facts = course_facts(survey, "pay", positive=None)
    assert facts is not None
    groups = table.to_pandas()["pay"].groupby(np.arange(N) // 100)
    assert facts["mean"] == pytest.approx(groups.mean().tolist())
    assert facts["error"] == pytest.approx((groups.std(ddof=0) / groups.count() ** 0.5).tolist())
    assert facts["missing"] == pytest.approx((1 - groups.count() / 100).tolist())


def test_a_category_is_followed_by_its_shares(survey: Survey, table: pa.Table) -> None:
    facts = course_facts(survey, "city", positive=None)
    assert facts is not None and len(facts["classes"]) == 4
    column = table.to_pandas()["city"]
    shares = column.groupby(np.arange(N) // 100).value_counts(normalize=True).unstack()
    assert facts["shares"] == [pytest.approx(row) for row in shares[facts["classes"]].to_numpy()]
    target = course_facts(survey, "left", positive="yes")
    assert target is not None and target["classes"] == ["yes"]
    assert course_facts(survey, "row", positive=None) is None


def test_slices_without_rows_are_null(survey: Survey, class_schema: Schema) -> None:
    empty = Survey.from_table(
        survey.sample.table.slice(0, 0),
        class_schema,
        axis=survey.axis,
        hashes=np.zeros(0, dtype=np.uint64),
        positions=np.zeros(0, dtype=np.int64),
    )
    facts = course_facts(empty, "pay", positive=None)
    assert facts is not None and facts["mean"] == facts["missing"] == [None] * 6
    assert axis_facts(empty)["low"] == [None] * 6
    assert association_facts(pairs_of(empty))["error"] is None
    canonical_json(association_facts(pairs_of(empty)))


def test_associations_name_their_rows_columns_and_error(survey: Survey) -> None:
    pairs = pairs_of(survey)
    facts = association_facts(pairs)
    assert facts["rows"] == N and facts["error"] == pytest.approx(N**-0.5)
    assert facts["cramers_v"]["rows"] == ["left", "city"]
    assert facts["correlation_ratio"]["columns"] == ["age", "pay", "member", "since"]
    first = facts["strongest"][0]
    assert (first["left"], first["right"], first["measure"]) == ("left", "pay", "correlation_ratio")
    values = [abs(pair["value"]) for pair in facts["strongest"]]
    assert values == sorted(values, reverse=True)


def test_the_order_of_the_file_is_judged_by_column(survey: Survey) -> None:
    facts = order_facts(order_of(survey))
    assert {one["column"] for one in facts} == {"left", "age", "pay", "member", "since", "city"}
    assert not any(one["tells"] for one in facts)


def test_the_report_carries_them(survey: Survey, class_schema: Schema, table: pa.Table) -> None:
    numbers = report_numbers(
        project="p", task="binary", schema=class_schema, survey=survey,
        profiles={0: Profile.from_table(table, class_schema)}, positive_class="yes",
        cleaning={"trim": True, "columns": {}},
    )  # fmt: skip
    assert numbers["over"] == axis_facts(survey)
    assert numbers["associations"] == association_facts(pairs_of(survey))
    assert numbers["missing"]["rows"] == N
    assert numbers["columns"][0]["course"] == course_facts(survey, "left", positive="yes")
    assert numbers["cleaning"] == {"trim": True, "columns": {}}
    canonical_json(numbers)
