"""Numbers as people write them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.data.evidence import merge_units
from tenfold.data.numerals import decide_form, number_evidence, read_extent, read_numbers
from tenfold.schema import Form

PLAIN = Form()


def _read(text: str, form: Form = PLAIN) -> float | None:
    numbers, readable, _unsure = read_numbers(pa.array([text, "surely none"]), form)
    assert not readable[1]
    return float(numbers[0]) if readable[0] else None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1234", 1234.0),
        ("1,234", 1234.0),
        ("-1,234.5", -1234.5),
        ("1.5e3", 1500.0),
        ("(1,234)", -1234.0),
        ("(5.5)", -5.5),
        ("12,5", None),  # a decimal comma in a column of points
        ("0,123", None),  # no thousand begins with 0
        ("1,23,456", None),
        ("(5", None),
        ("5)", None),
        ("(-5)", None),
        ("--5", None),
        ("12%", None),  # a percentage among bare numbers
        ("$5", None),
        ("1 000", None),
        ("1e999", None),
        (".", None),
        (",", None),
        ("%", None),
    ],
)
def test_bare_numbers(text: str, value: float | None) -> None:
    assert _read(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12%", 0.12),
        ("12 %", 0.12),
        ("-3.5%", -0.035),
        ("(12%)", -0.12),
        ("(12)%", None),
        ("1,200%", 12.0),
        ("%12", None),
        ("0", 0.0),
        ("12", None),  # 12 or 1200 percent: nobody knows
        ("$5", None),
    ],
)
def test_percentages_are_hundredths(text: str, value: float | None) -> None:
    assert _read(text, Form("%")) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$5", 5.0),
        ("$ 5", 5.0),
        ("5 $", 5.0),
        ("-$5.25", -5.25),
        ("$-5.25", -5.25),
        ("($5)", -5.0),
        ("$(1,234.50)", -1234.5),
        ("5", 5.0),
        ("$5$", None),
        ("€5", None),  # another currency is another unit
        ("USD 5", None),
        ("5%", None),
    ],
)
def test_money(text: str, value: float | None) -> None:
    assert _read(text, Form("$")) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("€ 1.234,50", 1234.5),
        ("1.234,50 €", 1234.5),
        ("1\u00a0234,50\u00a0€", 1234.5),
        ("1.234", 1234.0),
        ("1.234.567", 1234567.0),
        ("-0,5", -0.5),
        ("1.5", None),
        ("1,234.5", None),
        ("0.123", None),
    ],
)
def test_decimal_commas(text: str, value: float | None) -> None:
    assert _read(text, Form("€", "comma")) == value


def _form(*texts: str) -> Form:
    found, _ = number_evidence(pa.array(texts), np.ones(len(texts), dtype=np.int64))
    return decide_form(found)


@pytest.mark.parametrize(
    ("texts", "form"),
    [
        (["1,234", "5"], PLAIN),
        (["1.234", "9.876"], PLAIN),  # as programs write fractions
        (["1.234", "9,5"], Form(decimal="comma")),
        (["1.234", "0.5"], PLAIN),
        (["1.234.567"], Form(decimal="comma")),
        (["0,123"], Form(decimal="comma")),
        (["$1,234"], Form("$")),
        (["$3.459", "$3.2"], Form("$")),
        (["$3.459", "$7"], Form("$", "undecided")),
        (["€ 1.234", "€ 1,50"], Form("€", "comma")),
        (["5%", "7%", "0"], Form("%")),
        (["5%", "7", "8"], PLAIN),
        (["5", "$7", "8"], Form("$")),
        (["$5", "€5", "€6"], Form("€")),
    ],
)
def test_the_whole_column_tells_unit_and_decimal_mark(texts: list[str], form: Form) -> None:
    assert _form(*texts) == form


def test_what_is_undecided_in_money_is_refused_and_told_apart() -> None:
    values = pa.array(["$1.234", "$7", "x"])
    numbers, readable, unsure = read_numbers(values, Form("$", "undecided"))
    assert numbers.tolist() == [0.0, 7.0, 0.0]
    assert readable.tolist() == [False, True, False]
    assert unsure.tolist() == [True, False, False]


CELLS = st.sampled_from(
    [
        *("1", "-2", "0.5", "1.234", "1,234", "1,5", "1.234,5", "1,234.5", "(7)", "5%", "12.5 %"),
        *("$3", "€ 4,20", "€ 4.200", "1e3", "1\u00a0000,5", "x", "7 EUR", "(1.234)", "$(2)", ".5"),
    ]
)


@given(st.lists(CELLS, min_size=1, max_size=12, unique=True), st.integers(0, 12))
def test_evidence_counts_what_a_reading_takes_and_any_cut_merges(
    texts: list[str], cut: int
) -> None:
    weights = np.arange(1, len(texts) + 1)
    found, is_number = number_evidence(pa.array(texts), weights)
    form = decide_form(found)
    numbers, readable, unsure = read_numbers(pa.array(texts), form)
    taken = readable | unsure
    extent = read_extent(found, form)
    assert extent.n == int(weights[taken].sum())
    assert not (readable & unsure).any()
    assert (is_number | ~taken).all()
    if readable.any() and extent.low is not None and extent.high is not None:
        assert extent.low <= numbers[readable].min()
        assert numbers[readable].max() <= extent.high
    halves = [
        number_evidence(pa.array(part, pa.string()), part_weights)[0]
        for part, part_weights in ((texts[:cut], weights[:cut]), (texts[cut:], weights[cut:]))
    ]
    assert merge_units(*halves) == found
