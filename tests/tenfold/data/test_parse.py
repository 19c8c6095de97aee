"""What texts can be read as."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from hypothesis import example, given
from hypothesis import strategies as st

from tenfold.data.dates import parse_datetimes
from tenfold.data.parse import (
    looks_like_code,
    parse_booleans,
    parse_integers,
    parse_numbers,
    whole_numbers,
)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=20))
def test_every_finite_float_is_read_back_bit_for_bit(values: list[float]) -> None:
    texts = pa.array([repr(value) for value in values], pa.string())
    for extra in ([], ["not a number"]):  # the fast road and the slow one
        numbers, mask = parse_numbers(pa.concat_arrays([texts, pa.array(extra, pa.string())]))
        assert mask.tolist() == [True] * len(values) + [False] * len(extra)
        assert numbers[: len(values)].tobytes() == np.array(values, dtype=np.float64).tobytes()


def test_what_is_and_is_not_a_number() -> None:
    good = ["1", "-1", "+1", ".5", "5.", "1e3", "1,234,567.5", "-1,000"]
    bad = ["", "abc", "1,23", "inf", "-Infinity", "nan", "1e999", "0x10", "1 2", "12,3456"]
    numbers, mask = parse_numbers(pa.array(good + bad))
    assert mask.tolist() == [True] * len(good) + [False] * len(bad)
    assert numbers[: len(good)].tolist() == [1, -1, 1, 0.5, 5, 1000, 1234567.5, -1000]
    assert not numbers[len(good) :].any()


@given(st.lists(st.integers(-(2**64), 2**64), min_size=1, max_size=20))
@example([2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 10**18, 10**19 - 1])
def test_integers_are_exact_beyond_what_a_float_holds(values: list[int]) -> None:
    whole, mask = parse_integers(pa.array([str(value) for value in values]))
    fits = [-(2**63) <= value < 2**63 for value in values]
    assert mask.tolist() == fits
    assert whole.tolist() == [v if fit else 0 for v, fit in zip(values, fits, strict=True)]


def test_whole_numbers_may_be_written_as_decimals_and_as_such_are_not_whole_as_written() -> None:
    texts = pa.array(["3.0", "1,000", "+7", "3.5", "1e2"])
    assert parse_integers(texts)[0].tolist() == [3, 1000, 7, 0, 100]
    assert parse_integers(texts)[1].tolist() == [True, True, True, False, True]
    assert whole_numbers(texts).tolist() == [False, True, True, False, False]


def test_codes_are_told_from_quantities() -> None:
    texts = pa.array(["007", "00", "0", "0.7", "-0", "1" * 19, "1" * 18])
    assert looks_like_code(texts).tolist() == [True, True, False, False, False, True, False]


def test_booleans_in_any_case() -> None:
    values, mask = parse_booleans(pa.array(["True", "YES", "f", "0", "2"]))
    assert values.tolist() == [True, True, False, False, False]
    assert mask.tolist() == [True, True, True, True, False]


@given(
    st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59)),
    st.sampled_from(["%Y-%m-%dT%H:%M:%S.%f", "%Y/%m/%d %H:%M:%S.%f", "%Y%m%dT%H%M%S.%f"]),
)
def test_datetimes_agree_with_the_standard_library(moment: datetime, layout: str) -> None:
    text = moment.strftime(layout.replace("%Y", f"{moment.year:04d}"))
    stamps, mask = parse_datetimes(pa.array([text]))
    since = moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    assert mask.all()
    assert stamps[0] == (since.days * 86400 + since.seconds) * 10**6 + since.microseconds


def test_zones_count_and_impossible_dates_do_not() -> None:
    texts = [
        "2014-09-16T02:00:00+02:00",
        "2014-09-15T19:00:00-0500",
        "20140916T000000",
        "2014-09-16",
        "2014-09-16 00:00Z",
    ]
    stamps, mask = parse_datetimes(pa.array(texts))
    assert mask.all()
    assert set(stamps.tolist()) == {1410825600 * 10**6}
    wrong = ["2014-02-29", "2014-13-01", "2014-00-10", "2014-01-01T24:00", "16.09.2014", "x"]
    assert not parse_datetimes(pa.array(wrong))[1].any()
    assert parse_datetimes(pa.array(["2016-02-29"]))[1].all()
    assert not parse_datetimes(pa.array(["2014-01-01T00:00+19:00"]))[1].any()
