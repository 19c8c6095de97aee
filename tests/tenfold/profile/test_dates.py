"""Dates later than the row's time, and a time that nobody declared."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from tenfold.profile import Profile
from tenfold.profile.course import Axis
from tenfold.profile.dates import dated_after, undeclared_time
from tenfold.profile.distinct import hash_numbers
from tenfold.profile.finding import Level
from tenfold.profile.survey import Survey
from tenfold.schema import Column, Kind, Role, Schema

DAY_US = 86_400_000_000
N = 200


def survey(n_late: int) -> Survey:
    schema = Schema((Column("at", Kind.DATETIME, Role.TIME), Column("paid", Kind.DATETIME)))
    at = np.arange(N) * DAY_US
    paid = at + np.where(np.arange(N) < n_late, DAY_US, -DAY_US)
    arrays = [pa.array(v).cast(f.type) for v, f in zip((at, paid), schema.arrow_schema(),
                                                       strict=True)]  # fmt: skip
    return Survey.from_table(
        pa.table(arrays, schema=schema.arrow_schema()),
        schema,
        axis=Axis.of_times("at", at / 1e6),
        hashes=hash_numbers(at.astype(np.float64)),
        positions=np.arange(N),
    )


@pytest.mark.parametrize("n_late, level", [(0, None), (1, Level.WARNING), (150, Level.ERROR)])
def test_a_column_dated_after_its_row_is_a_leak(n_late: int, level: Level | None) -> None:
    found = list(dated_after(survey(n_late)))
    assert [f.level for f in found] == ([] if level is None else [level])
    if level is Level.ERROR:
        assert found[0].message == (
            "column 'paid' is later than the time of its row ('at') in 150 of 200 rows: it may be "
            "filled in after the outcome; leave it out unless it is known at prediction time"
        )


def test_dates_without_a_declared_time_are_told() -> None:
    schema = Schema((Column("on", Kind.DATETIME), Column("x", Kind.NUMBER)))
    table = pa.table({
        "on": pa.array([0, 3 * DAY_US]).cast(pa.timestamp("us", tz="UTC")), "x": [1.0, 2.0],
    })  # fmt: skip
    profile = Profile.from_table(table, schema)
    (found,) = undeclared_time(schema, profile, ordered=False)
    assert "holds dates from 1970-01-01 to 1970-01-04 and no time is declared" in found.message
    assert list(undeclared_time(schema, profile, ordered=True)) == []
    empty = Profile.from_table(table.slice(0, 0), schema)
    assert list(undeclared_time(schema, empty, ordered=False)) == []
