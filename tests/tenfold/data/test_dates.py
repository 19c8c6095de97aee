"""Dates as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.data.dates import date_evidence, read_dates, read_serials

DAYS = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1))


def _read(text: str, order: str = "undecided") -> datetime | None:
    micros, readable, _ = read_dates(pa.array([text]), order)
    if not readable[0]:
        return None
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(micros[0]))


@pytest.mark.parametrize(
    "text",
    [
        *("2021-03-04", "2021/03/04", "2021.03.04", "2021-3-4", "20210304"),
        *("04.03.2021", "4.3.2021", "4 Mar 2021", "4-MAR-2021", "04 march 2021", "4th March 2021"),
        *("March 4, 2021", "Mar 4 2021", "mar. 4th, 2021", "4 March, 2021"),
        *("2021-03-04T00:00", "4.3.2021 00:00:00", "March 4, 2021 12:00 AM"),
        *("2021-03-04 02:00+02:00", "4.3.2021 02:00 +0200", "2021/03/04 00:00:00.000Z"),
    ],
)
def test_one_day_in_many_ways(text: str) -> None:
    assert _read(text) == datetime(2021, 3, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "day_first", "month_first"),
    [
        ("3/4/2021", datetime(2021, 4, 3), datetime(2021, 3, 4)),
        ("03-04-2021 1:30 pm", datetime(2021, 4, 3, 13, 30), datetime(2021, 3, 4, 13, 30)),
        ("25/12/2021", datetime(2021, 12, 25), None),
        ("12/25/2021", None, datetime(2021, 12, 25)),
        ("5/5/2021", datetime(2021, 5, 5), datetime(2021, 5, 5)),
        ("25.12.2021", datetime(2021, 12, 25), datetime(2021, 12, 25)),
        ("12.25.2021", None, None),
    ],
)
def test_day_or_month_first(
    text: str, day_first: datetime | None, month_first: datetime | None
) -> None:
    wanted = [moment and moment.replace(tzinfo=UTC) for moment in (day_first, month_first)]
    assert [_read(text, "day_first"), _read(text, "month_first")] == wanted
    if None in wanted or day_first == month_first:
        assert _read(text) == (wanted[0] or wanted[1])
    else:
        assert _read(text) is None
        assert read_dates(pa.array([text]), "undecided")[2].tolist() == [True]


@pytest.mark.parametrize(
    "text",
    [
        *("3/4/21", "3/4-2021", "2021-02-30", "30.02.2021", "0000-01-01", "10000-01-01"),
        *(
            "2021-13-01",
            "13/13/2021",
            "4 Foo 2021",
            "31 April 2021",
            "0/1/2021",
            "x",
            "1/2",
            "44197",
        ),
        *("4.3.2021 24:00", "4.3.2021 13:00 pm", "4.3.2021 0:00 am", "4.3.2021 10:00 +19:00"),
    ],
)
def test_no_dates(text: str) -> None:
    for order in ("undecided", "day_first", "month_first"):
        micros, readable, unsure = read_dates(pa.array([text]), order)
        assert (micros[0], readable[0], unsure[0]) == (0, False, False)


@given(st.lists(DAYS, min_size=1, max_size=30), st.sampled_from(["day_first", "month_first"]))
def test_a_column_that_can_tell_reads_back_whole(days: list[datetime], order: str) -> None:
    rule = "%d/%m/%Y %H:%M:%S.%f" if order == "day_first" else "%m/%d/%Y %I:%M:%S.%f %p"
    texts = pa.array([day.strftime(rule) for day in days])
    evidence, is_date = date_evidence(texts, np.ones(len(days), dtype=np.int64))
    assert is_date.all()
    assert evidence.n_any == len(days)
    if any(day.day > 12 for day in days):
        assert evidence.order() == order
        micros, readable, _ = read_dates(texts, evidence.order())
        assert readable.all()
        epoch = datetime(1970, 1, 1)
        assert micros.tolist() == [(day - epoch) // timedelta(microseconds=1) for day in days]
        extent = evidence.read(order)
        assert (extent.low, extent.high) == (micros.min() / 1e6, micros.max() / 1e6)
    else:
        assert evidence.order() == "undecided"


@given(st.lists(st.sampled_from(["3/4/2021", "13/4/2021", "4/13/2021", "2021-01-01", "x"])))
def test_evidence_merges_in_any_cut_and_counts_what_each_order_reads(texts: list[str]) -> None:
    def found(part: list[str]):  # type: ignore[no-untyped-def]
        return date_evidence(pa.array(part, pa.string()), np.ones(len(part), dtype=np.int64))[0]

    whole = found(texts)
    half = len(texts) // 2
    assert found(texts[half:]).merge(found(texts[:half])) == whole
    for order in ("day_first", "month_first", "undecided"):
        assert whole.read(order).n == int(read_dates(pa.array(texts, pa.string()), order)[1].sum())


def test_a_few_dates_the_other_way_round_are_slips_and_many_are_no_order() -> None:
    def order(*texts: str) -> str:
        return date_evidence(pa.array(texts), np.ones(len(texts), dtype=np.int64))[0].order()

    days = [f"{day}/1/2021" for day in range(13, 32)]
    assert order(*days, "1/13/2021") == "day_first"
    assert order(*days[:5], "1/13/2021") == "undecided"
    assert order("1/13/2021", "2/3/2021") == "month_first"


def test_serial_days_of_spreadsheets() -> None:
    numbers = np.array([61.0, 25569.0, 44197.75, 60.0, -1.0, 2_958_466.0, 0.0])
    readable = np.array([True] * 6 + [False])
    micros, read = read_serials(numbers, readable)
    assert read.tolist() == [True, True, True, False, False, False, False]
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    moments = [epoch + timedelta(microseconds=int(each)) for each in micros[:3]]
    assert moments == [
        datetime(1900, 3, 1, tzinfo=UTC),
        epoch,
        datetime(2021, 1, 1, 18, tzinfo=UTC),
    ]
