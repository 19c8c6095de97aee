"""Which columns are missing together."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from tenfold.profile.absence import absence_facts, absence_findings, together
from tenfold.profile.course import Axis
from tenfold.profile.distinct import hash_numbers
from tenfold.profile.survey import Survey
from tenfold.schema import Column, Kind, Schema

N = 400
RNG = np.random.default_rng(0)


def survey(**gone: np.ndarray) -> Survey:
    schema = Schema(tuple(Column(name, Kind.NUMBER) for name in gone))
    table = pa.table({name: pa.array(np.ones(N), mask=mask) for name, mask in gone.items()})
    positions = np.arange(N)
    return Survey.from_table(
        table,
        schema,
        axis=Axis.of_rows(N),
        hashes=hash_numbers(positions.astype(np.float64)),
        positions=positions,
    )


ONE = RNG.random(N) < 0.2
APART = RNG.random(N) < 0.2
NONE = np.zeros(N, dtype=bool)


def test_pairs_are_counted_and_ranked() -> None:
    found = together(survey(a=ONE, b=ONE, c=APART, d=NONE))
    assert (found[0].left, found[0].right, found[0].share) == ("a", "b", 1.0)
    assert found[0].rows == ONE.sum()
    assert found[0].expected == ONE.sum() ** 2 / N
    assert {(p.left, p.right) for p in found} == {("a", "b"), ("a", "c"), ("b", "c")}


def test_only_what_shares_a_cause_is_a_finding() -> None:
    (found,) = absence_findings(survey(a=ONE, b=ONE, c=APART, d=NONE))
    assert found.column == "b"
    assert found.message == (
        f"columns 'a' and 'b' are missing together in {ONE.sum()} rows (100.0% of those that miss "
        "either): they share a cause"
    )
    assert list(absence_findings(survey(a=ONE, b=APART))) == []
    few = np.arange(N) < 5
    assert list(absence_findings(survey(a=few, b=few))) == []
    mostly = np.arange(N) > 5  # nearly always missing is together by chance
    assert list(absence_findings(survey(a=mostly, b=mostly))) == []


def test_patterns_are_the_sets_of_missing_columns() -> None:
    facts = absence_facts(survey(a=ONE, b=ONE, d=NONE))
    assert facts["columns"] == [{"name": "a", "rows": ONE.sum()}, {"name": "b", "rows": ONE.sum()}]
    assert facts["patterns"] == [
        {"columns": [], "rows": N - ONE.sum()},
        {"columns": ["a", "b"], "rows": ONE.sum()},
    ]
    assert absence_facts(survey(d=NONE))["patterns"] == []
