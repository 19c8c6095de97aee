"""A text in a column of numbers, booleans or times means at a door what it means in a file."""

from __future__ import annotations

import math
from datetime import UTC
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tenfold.data.convert import convert
from tenfold.errors import RequestError
from tenfold.features import RowEncoder, encode_table
from tenfold.features.columnpath import ColumnEncoder, Columns
from tenfold.features.readers import MAX_FAULTS
from tenfold.schema import MISSING_MARKERS, Column, Form, Kind, Missing, Schema
from tenfold.testing.preprocessing import same_bits

KINDS = (Kind.NUMBER, Kind.INTEGER, Kind.BOOLEAN, Kind.DATETIME)
FORMS = (
    Form(),
    Form("%"),
    Form("€", "comma"),
    Form("$"),
    Form("$", "undecided"),
    Form("%", "comma"),
    Form(decimal="undecided"),
    Form(decimal="comma"),
    Form(dates="day_first"),
    Form(dates="month_first"),
    Form(dates="excel"),
)
CASES = [
    *(
        (kind, form)
        for kind in (Kind.NUMBER, Kind.INTEGER)
        for form in FORMS
        if form.dates == "undecided"
    ),
    *((Kind.DATETIME, form) for form in FORMS if not form.unit and form.decimal == "point"),
    (Kind.BOOLEAN, Form()),
]
MISSINGS = (
    Missing(),
    Missing(trim=False),
    Missing(frozenset({"-999", "0", "1900-01-01", "yes", "2.50"})),
    Missing(frozenset(), trim=False),
)

NUMBERS = (
    *("39", " 39", "-0", "+5", "007", "1e5", ".5", "5.", "1,234", "1.234", "1.234,5", "-999"),
    *("12%", "12 %", "0", "$5", "€ 1.234,50", "(5)", "2.50", "1 234", "9" * 30, "1" * 41),
)
SIGNS = ("+-5", "++7", "-+5", "--5", "+-1.5", "1e00005", "1e-400202", "1e99999", "-12 %", "+,5")
NO_NUMBERS = ("1e999", "1_000", "٣", "inf", "nan", "NaN", "NA", "", "?", "null", "1\n", "0x10")
BOOLEANS = ("true", "TRUE", "yes", "n", "1", "maybe", " Yes ", "\u0130", "ﬀ")
DATES = (
    *("2021-03-04", "20210304", "2021-3-4", "3/4/2021", "13/4/2021", "4 Mar 2021", "44197.5"),
    *("2021-W01-1", "2021-03-04T05", "2021-03-04x05:06", "2021-03-04T24:00", "2021-02-29"),
    *("2021-03-04T05:06:07,5", "2021-03-04 05:06:07.1234567", "2021-03-04T05:06:07-17:59"),
    *("2021-03-04T05:06+18:30", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"),
    *("0000-01-01", "1969-12-31T23:59:59.999999", "1900-01-01", "61", "2958466"),
)

digits = st.text("0123456789", min_size=1, max_size=24)
moments = st.datetimes(timezones=st.none() | st.just(UTC)).map(str)
written = st.one_of(
    st.sampled_from((*NUMBERS, *SIGNS, *NO_NUMBERS, *BOOLEANS, *DATES)),
    digits,
    st.builds("{}.{}".format, digits, digits),
    st.floats().map(repr),
    st.integers(-(10**22), 10**22).map(str),
    moments,
    moments.map(lambda text: text.replace(" ", "T")),
    st.text(max_size=12).map(lambda text: text.encode("utf-8", "replace").decode()),
)


def files(column: Column, texts: list[str], missing: Missing) -> tuple[Any, list[int]]:
    """The codes that the texts have in a file, and which of them cannot be read: the same whatever
    stands beside them."""
    done = [
        convert(
            pa.array(some, pa.string()),
            column.kind,
            markers=missing.markers,
            trim=missing.trim,
            form=column.form,
        )
        for some in (texts, *([text] for text in texts))
    ]
    codes = [encode_table(Schema((column,)), pa.table({"x": one.array})) for one in done]
    assert same_bits(codes[0], np.concatenate(codes[1:]))
    assert done[0].bad.tolist() == [one.bad[0] for one in done[1:]]
    return codes[0], np.flatnonzero(done[0].bad).tolist()


def sendings(texts: list[str]) -> dict[str, Any]:
    array = pa.array(texts, pa.string())
    half = len(texts) // 2
    return {
        "list": texts,
        "texts": pa.chunked_array([array[:half], array[half:]]),
        "large": pa.chunked_array([array.cast(pa.large_string())]),
        "dictionary": pa.chunked_array(
            [array[:half].dictionary_encode(), array[half:].dictionary_encode()]
        ),
    }


@pytest.mark.parametrize(
    ("kind", "form"), CASES, ids=lambda one: one if isinstance(one, Kind) else str(one.to_dict())
)
@settings(max_examples=40)
@given(texts=st.lists(written, min_size=1, max_size=8), missing=st.sampled_from(MISSINGS))
def test_doors_read_what_files_read(
    kind: Kind, form: Form, texts: list[str], missing: Missing
) -> None:
    column = Column("x", kind, form=form)
    schema = Schema((column,)).of_requests(missing)
    codes, bad = files(column, texts, missing)
    rows = [{"x": text} for text in texts]
    encoder = RowEncoder(schema)
    good = [place for place in range(len(texts)) if place not in bad]
    read = [texts[place] for place in good]
    assert same_bits(encoder.encode_rows([rows[place] for place in good]), codes[good])
    if read:
        for cells in sendings(read).values():
            columns = Columns.of({"x": cells})
            assert same_bits(ColumnEncoder(schema).encode(columns), codes[good])
    if not bad:
        return
    for refused in (
        lambda: encoder.encode_rows(rows),
        *(
            lambda cells=cells: ColumnEncoder(schema).encode(Columns.of({"x": cells}))
            for cells in sendings(texts).values()
        ),
    ):
        with pytest.raises(RequestError) as caught:
            refused()
        assert [item["row"] for item in caught.value.items] == bad[:MAX_FAULTS]


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(5e-324)
@example(1.7976931348623157e308)
def test_a_number_and_its_text_have_one_code(value: float) -> None:
    encoder = RowEncoder(Schema((Column("x", Kind.NUMBER),)))
    assert same_bits(encoder.encode({"x": repr(value)}), encoder.encode({"x": value}))


@given(st.integers(-(2**64), 2**64))
@example(2**63 - 1)
@example(2**63)
@example(-(2**63))
@example(10**18)
def test_a_whole_number_and_its_text_have_one_code_or_none(value: int) -> None:
    encoder = RowEncoder(Schema((Column("x", Kind.INTEGER),)))
    if -(2**63) <= value < 2**63:
        assert same_bits(encoder.encode({"x": str(value)}), encoder.encode({"x": value}))
    else:
        for sent in (value, str(value)):
            with pytest.raises(RequestError, match="whole number"):
                encoder.encode({"x": sent})


@pytest.mark.parametrize("value", [2**53 + 2, 2**60, 2**63 - 1, 2**63, 2**64 - 1])
def test_unsigned_whole_numbers_are_taken_as_far_as_signed_ones_go(value: int) -> None:
    encoder = RowEncoder(Schema((Column("x", Kind.INTEGER),)))
    array = pa.array([1, value, None], pa.uint64())
    cells: tuple[Any, ...] = (
        [1, value],
        np.array([1, value], np.uint64),
        np.array([1, value], np.uint64).tolist(),
        pa.chunked_array([array]),
    )
    done = convert(array, Kind.INTEGER)
    if value >= 2**63:
        assert done.bad.tolist() == [False, True, False]
        for sent in cells:
            with pytest.raises(RequestError, match=r"row 1, .* is too large for a whole number"):
                encoder.columns.encode(Columns.of({"x": sent}))
    else:
        assert done.array.to_pylist() == [1, value, None]
        for sent in cells:
            codes = encoder.columns.encode(Columns.of({"x": sent}))
            assert codes[:2, 0].tolist() == [1.0, float(value)]


@pytest.mark.parametrize("kind", [Kind.NUMBER, Kind.INTEGER])
@pytest.mark.parametrize(
    ("bits", "unsigned", "width"),
    [
        (0x7FF0000000000001, np.uint64, np.float64),
        (0x7F800001, np.uint32, np.float32),
        (0x7C01, np.uint16, np.float16),
    ],
)
def test_a_nan_that_signals_is_missing(kind: Kind, bits: int, unsigned: Any, width: Any) -> None:
    """Quietly: NumPy warns of it, and a warning is a line of the log for every request."""
    encoder = RowEncoder(Schema((Column("x", kind),))).columns
    values = np.array([bits, 0], unsigned).view(width)
    for cells in (values, pa.chunked_array([pa.array(values)])):
        codes = encoder.encode(Columns.of({"x": cells}))[:, 0]
        assert np.isnan(codes).tolist() == [True, False]
    assert convert(pa.array(values), kind).array.to_pylist() == [None, 0]


def test_day_numbers_of_a_spreadsheet_may_come_as_numbers() -> None:
    encoder = RowEncoder(Schema((Column("x", Kind.DATETIME, form=Form(dates="excel")),)))
    rows = encoder.encode_rows([{"x": 44197.5}, {"x": "44197.5"}, {"x": math.nan}, {"x": 44197}])
    assert rows[:, 0].tolist()[:2] == [1609502400.0] * 2
    assert math.isnan(rows[2, 0]) and rows[3, 0] == 1609459200.0
    for cells in (
        [44197.5, None],
        np.array([44197.5, np.nan]),
        pa.chunked_array([[44197.5, None]]),
    ):
        assert encoder.columns.encode(Columns.of({"x": cells}))[0, 0] == 1609502400.0
    for wrong in (math.inf, 3.0, 10**400, 20210304, -1e300):
        with pytest.raises(RequestError, match="is no day of a spreadsheet; send ISO 8601"):
            encoder.encode({"x": wrong})
    with pytest.raises(RequestError, match="true is not a time"):
        encoder.encode({"x": True})


@given(st.floats(60, 2_958_467) | st.integers(60, 2_958_467))
def test_day_numbers_are_those_of_typed_files(value: float) -> None:
    column = Column("x", Kind.DATETIME, form=Form(dates="excel"))
    done = convert(pa.array([value]), column.kind, form=column.form)
    encoder = RowEncoder(Schema((column,)))
    if done.bad[0]:
        with pytest.raises(RequestError):
            encoder.encode({"x": value})
    else:
        table = pa.table({"x": done.array})
        assert same_bits(encoder.encode_rows([{"x": value}]), encode_table(encoder.schema, table))


def test_columns_that_are_written_alike_are_read_together() -> None:
    """Each with its own rows, its own reasons, and its own kind."""
    comma = Form(decimal="comma")
    schema = Schema(
        (
            Column("a", Kind.NUMBER, form=comma),
            Column("b", Kind.BOOLEAN),
            Column("c", Kind.NUMBER, form=comma),
            Column("d", Kind.INTEGER),
        )
    )
    rows: list[dict[str, Any]] = [
        {"a": "1,5", "b": "yes", "c": 2.5, "d": "1,000"},
        {"a": 0.5, "b": False, "c": "3.000,5", "d": 7},
        {"a": None, "b": "NO", "c": "4", "d": "8"},
    ]
    codes = RowEncoder(schema).encode_rows(rows)
    assert codes[0].tolist() == [1.5, 1.0, 2.5, 1000.0]
    assert codes[1].tolist() == [0.5, 0.0, 3000.5, 7.0]
    assert math.isnan(codes[2, 0]) and codes[2, 1:].tolist() == [0.0, 4.0, 8.0]
    with pytest.raises(RequestError) as caught:
        RowEncoder(schema).encode_rows([rows[0], {"a": "x", "b": 1, "c": "y", "d": "1,5"}])
    assert [(item["row"], item["column"], item["reason"]) for item in caught.value.items] == [
        (1, "a", "'x' is not a number; send a number or null"),
        (1, "b", "1 is not a boolean; send true, false or null"),
        (1, "c", "'y' is not a number; send a number or null"),
        (1, "d", "'1,5' is not a whole number; send an integer or null"),
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_of_megabytes_is_refused_without_a_look(kind: Kind) -> None:
    schema = Schema((Column("x", kind),))
    for text in ("1" * 5_000_000, "2021-03-04T05:06:07." + "1" * 500):
        with pytest.raises(RequestError) as caught:
            RowEncoder(schema).encode({"x": text})
        assert len(str(caught.value)) < 200
        done = convert(pa.array([text, "x"]), kind)
        assert done.bad.all()
    good = {Kind.BOOLEAN: "1", Kind.DATETIME: "2021-03-04"}.get(kind, "1" * 15)
    assert convert(pa.array([text, good]), kind).bad.tolist() == [True, False]


def test_many_rows_share_one_text_of_a_dictionary() -> None:
    """It is read once, and told of for the first rows only; what no row has is not looked at."""
    schema = Schema((Column("x", Kind.NUMBER),)).of_requests(Missing())
    rows = np.arange(100_000) % 2
    texts = ["1,234", "7" * 100_000, "unused"]
    cells = pa.chunked_array([pa.DictionaryArray.from_arrays(rows, texts)])
    with pytest.raises(RequestError) as caught:
        ColumnEncoder(schema).encode(Columns.of({"x": cells}))
    assert [item["row"] for item in caught.value.items] == [*range(1, 40, 2)]
    good = pa.chunked_array([pa.DictionaryArray.from_arrays(np.zeros(10, np.int8), texts)])
    codes = ColumnEncoder(schema).encode(Columns.of({"x": good}))
    assert codes[:, 0].tolist() == [1234.0] * 10


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_text_at_all_is_refused(kind: Kind) -> None:
    encoder = RowEncoder(Schema((Column("x", kind),)).of_requests(Missing()))
    with pytest.raises(RequestError, match="is not a"):
        encoder.encode({"x": "\ud800"})


@pytest.mark.parametrize("kind", KINDS)
def test_texts_of_numpy_are_texts(kind: Kind) -> None:
    text = {Kind.BOOLEAN: "1", Kind.DATETIME: "2021-03-04"}.get(kind, "7")
    encoder = RowEncoder(Schema((Column("x", kind),)))
    expected = encoder.encode_rows([{"x": text}])
    assert same_bits(encoder.encode_rows([{"x": np.str_(text)}]), expected)
    for cells in (np.array([text]), np.array([text], dtype=object)):
        assert same_bits(encoder.columns.encode(Columns.of({"x": cells})), expected)


def test_a_marker_with_blanks_is_none_where_texts_are_trimmed() -> None:
    schema = Schema((Column("x", Kind.NUMBER),))
    missing = Missing(frozenset({" 5", "6"}))
    for text, expected in ((" 5", 5.0), ("5", 5.0), (" 6", math.nan)):
        code = RowEncoder(schema.of_requests(missing)).encode({"x": text})[0]
        assert np.array_equal(code, expected, equal_nan=True)
        array = convert(pa.array([text]), Kind.NUMBER, markers=missing.markers).array
        assert array.to_pylist() == [None if math.isnan(expected) else expected]


def test_a_whole_number_has_no_negative_zero() -> None:
    encoder = RowEncoder(Schema((Column("x", Kind.INTEGER),)))
    expected = encoder.encode_rows([{"x": 0}])
    for zero in (-0.0, "-0", "-0.0"):
        assert same_bits(encoder.encode_rows([{"x": zero}]), expected)
    for cells in (np.array([-0.0]), pa.chunked_array([[-0.0]])):
        assert same_bits(encoder.columns.encode(Columns.of({"x": cells})), expected)


def test_a_marker_is_missing_before_it_is_a_number() -> None:
    schema = Schema((Column("x", Kind.INTEGER),)).of_requests(Missing(frozenset({"-999"})))
    codes = RowEncoder(schema).encode_rows([{"x": "-999"}, {"x": " -999 "}, {"x": -999}])
    assert [math.isnan(code) for code in codes[:, 0]] == [True, True, False]


def test_words_for_missing_are_those_of_files() -> None:
    schema = Schema(tuple(Column(kind.value, kind) for kind in KINDS)).of_requests(Missing())
    for word in MISSING_MARKERS:
        assert np.isnan(RowEncoder(schema).encode({kind.value: word for kind in KINDS})).all()


def test_what_is_misnamed_is_told_before_what_cannot_be_read() -> None:
    encoder = RowEncoder(Schema((Column("a", Kind.NUMBER), Column("b", Kind.NUMBER))))
    with pytest.raises(RequestError, match="row 1, column 'b': the column is missing") as caught:
        encoder.encode_rows([{"a": "x", "b": 1}, {"a": 1}])
    assert len(caught.value.items) == 1
