from __future__ import annotations

import math
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.errors import DataError, RequestError
from tenfold.features import RowEncoder, encode_table
from tenfold.features.codes import UNSEEN
from tenfold.features.columnpath import ColumnEncoder, Columns
from tenfold.features.readers import MAX_FAULTS
from tenfold.profile import Profile
from tenfold.schema import MISSING_MARKERS, Column, Form, Kind, Missing, Role, Schema
from tenfold.testing.mixed import json_rows, mixed_schema, mixed_table
from tenfold.testing.preprocessing import same_bits

SCHEMA = Schema(
    (
        Column("x", Kind.NUMBER),
        Column("n", Kind.INTEGER),
        Column("b", Kind.BOOLEAN),
        Column("c", Kind.CATEGORY, domain=("a", "b", "é")),
        Column("t", Kind.DATETIME),
        Column("key", Kind.IDENTIFIER, Role.KEY),
        Column("y", Kind.CATEGORY, Role.TARGET, domain=("no", "yes")),
    )
)
GOOD: dict[str, Any] = {"x": 1.5, "n": 2, "b": True, "c": "a", "t": "2020-01-01"}

rows = st.fixed_dictionaries(
    {
        "x": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "n": st.none() | st.integers(-(2**63), 2**63 - 1),
        "b": st.none() | st.booleans(),
        "c": st.none() | st.sampled_from(["a", "b", "é", " a ", "", "new", "\x1fa"]) | st.text(),
        "t": st.none() | st.datetimes(timezones=st.just(UTC)),
    }
)


@given(st.lists(rows, max_size=20))
def test_rows_and_tables_give_the_same_bits(batch: list[dict[str, Any]]) -> None:
    names = list(GOOD)
    arrow = pa.schema([SCHEMA.arrow_schema().field(name) for name in names])
    texts = [r | {"c": _encodable(r["c"])} for r in batch]
    table = pa.Table.from_pylist(texts, schema=arrow)
    sent = [r | {"t": r["t"] and r["t"].isoformat()} for r in texts]
    assert same_bits(encode_table(SCHEMA, table), RowEncoder(SCHEMA).encode_rows(sent))


def _encodable(text: str | None) -> str | None:
    return text if text is None else text.encode("utf-8", "replace").decode()


def test_codes_mean_what_they_say() -> None:
    codes = RowEncoder(SCHEMA).encode(GOOD | {"t": "1970-01-02T00:00:00.5Z"})
    assert codes.tolist() == [1.5, 2.0, 1.0, 0.0, 86400.5]
    assert RowEncoder(SCHEMA).encode(GOOD | {"c": "zzz"})[3] == UNSEEN
    assert RowEncoder(SCHEMA).encode(GOOD | {"c": " b "})[3] == 1.0
    assert np.isnan(RowEncoder(SCHEMA).encode(dict.fromkeys(GOOD))).all()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2011-01-01", 1293840000.0),
        ("2011-01-01T05:00:00Z", 1293858000.0),
        ("2011-01-01 05:00:00", 1293858000.0),
        ("2011-01-01T05:00:00+02:00", 1293850800.0),
        ("1969-12-31T23:59:59.75Z", -0.25),
    ],
)
def test_times(text: str, seconds: float) -> None:
    assert RowEncoder(SCHEMA).encode(GOOD | {"t": text})[4] == seconds


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("x", "abc", "'abc' is not a number; send a number or null"),
        ("x", "inf", "'inf' is not a number; send a number or null"),
        ("x", "1e999", "'1e999' is not a number; send a number or null"),
        ("x", True, "true is a boolean; send a number"),
        ("x", [1], "a list is not a number; send a number or null"),
        ("x", {"a": 1}, "an object is not a number; send a number or null"),
        ("x", math.inf, "inf is not finite; send a number or null"),
        ("x", 10**400, "the number is too large for a 64-bit float"),
        ("n", 39.5, "39.5 is not whole; send an integer"),
        ("n", "39.5", "'39.5' is not a whole number; send an integer or null"),
        ("b", 1, "1 is not a boolean; send true, false or null"),
        ("b", "maybe", "'maybe' is not a boolean; send true, false or null"),
        ("c", 3, "3 is not text; send text or null"),
        ("c", False, "false is not text; send text or null"),
        ("c", ["a"], "a list is not text; send text or null"),
        (
            "t",
            "yesterday",
            "'yesterday' is not a time; send ISO 8601 text such as '2031-05-04T13:30:00Z' or null",
        ),
        (
            "t",
            "3/4/2021",
            "'3/4/2021' may have its day or its month first; "
            "send ISO 8601 text such as '2031-05-04T13:30:00Z' or null",
        ),
        (
            "t",
            1293840000,
            "1293840000 is not a time; send ISO 8601 text such as '2031-05-04T13:30:00Z' or null",
        ),
    ],
)
def test_a_wrong_type_is_named(column: str, value: object, reason: str) -> None:
    with pytest.raises(RequestError) as caught:
        RowEncoder(SCHEMA).encode_rows([GOOD, GOOD | {column: value}])
    assert str(caught.value) == f"row 1, column {column!r}: {reason}"
    assert caught.value.items == [{"row": 1, "column": column, "reason": reason}]


def test_missing_unknown_and_target_columns_are_named() -> None:
    encoder = RowEncoder(SCHEMA)
    with pytest.raises(RequestError) as caught:
        encoder.encode({k: v for k, v in GOOD.items() if k != "n"} | {"z": 1, "N ": 1, "y": "no"})
    assert [(i["column"], i["reason"]) for i in caught.value.items] == [
        ("n", "the column is missing; send it, or null for a missing value"),
        ("z", "the model has no such column; leave it out, or see on its page which it has"),
        ("N ", "the model has no such column; it has 'n'"),
        ("y", "this is what the model predicts; leave it out"),
    ]
    assert str(caught.value).endswith("(and 3 more)")


def test_a_long_name_is_told_cut() -> None:
    for refuse in (
        lambda: RowEncoder(SCHEMA).encode(GOOD | {"\x7f" * 1000: 1}),
        lambda: RowEncoder(SCHEMA).columns.encode(Columns.of({"\x7f" * 1000: [1]})),
    ):
        with pytest.raises(RequestError) as caught:
            refuse()
        assert max(len(str(item["column"])) for item in caught.value.items) == 100


def test_a_column_that_the_schema_knows_and_the_model_does_not_use_may_be_sent() -> None:
    encoder = RowEncoder(SCHEMA)
    assert same_bits(encoder.encode(GOOD | {"key": "k1"}), encoder.encode(GOOD))


@pytest.mark.parametrize("row", [None, 3, "x", ["x"], []])
def test_a_row_that_is_no_object_is_refused(row: Any) -> None:
    with pytest.raises(RequestError, match=r"row 0: .* is not an object"):
        RowEncoder(SCHEMA).encode_rows([row])


def test_faults_are_capped_and_long_values_cut() -> None:
    bad = GOOD | {"x": "y" * 10_000 + "\n\x1b[31m"}
    with pytest.raises(RequestError) as caught:
        RowEncoder(SCHEMA).encode_rows([bad] * 1000)
    assert len(caught.value.items) == MAX_FAULTS
    assert len(str(caught.value)) < 200
    assert "\x1b" not in str(caught.value)


def test_no_rows() -> None:
    assert RowEncoder(SCHEMA).encode_rows([]).shape == (0, 5)


def test_a_table_may_be_shuffled_chunked_and_hold_more() -> None:
    schema, table = mixed_schema(), mixed_table(300)
    codes = encode_table(schema, table)
    pieces = pa.concat_tables([table.slice(0, 7), table.slice(7, 0), table.slice(7)])
    wide = pieces.select(table.column_names[::-1]).append_column("more", pa.nulls(300))
    assert same_bits(encode_table(schema, wide), codes)
    assert same_bits(codes, RowEncoder(schema).encode_rows(json_rows(schema, table)))


def test_other_arrow_types_of_the_same_meaning_convert() -> None:
    moment = datetime(2020, 1, 1, tzinfo=UTC)
    table = pa.table(
        {
            "x": pa.array([Decimal("1.50"), None]),
            "n": pa.array([2, None], pa.int8()),
            "b": pa.array([True, None]),
            "c": pa.array(["é", None]).dictionary_encode(),
            "t": pa.array([moment.date(), None]),
        }
    )
    expected = [1.5, 2.0, 1.0, 2.0, moment.timestamp()]
    codes = encode_table(SCHEMA, table)
    assert codes[0].tolist() == expected
    assert np.isnan(codes[1]).all()
    tokyo = pa.array([moment], pa.timestamp("ns", tz="Asia/Tokyo"))
    one = table.slice(0, 1).set_column(4, "t", tokyo)
    assert encode_table(SCHEMA, one)[0].tolist() == expected
    naive = pa.array([moment.replace(tzinfo=None)], pa.timestamp("s"))
    assert encode_table(SCHEMA, one.set_column(4, "t", naive))[0].tolist() == expected


def test_a_null_among_the_texts_of_a_dictionary_is_a_missing_value() -> None:
    schema = Schema((Column("c", Kind.CATEGORY, domain=("x",)),))
    coded = pa.DictionaryArray.from_arrays(
        pa.array([0, 1, 2, None], pa.int32()), pa.array(["x", None, "y"])
    )
    assert np.array_equal(
        encode_table(schema, pa.table({"c": coded})).ravel(),
        [0.0, np.nan, UNSEEN, np.nan],
        equal_nan=True,
    )
    found = Profile.from_table(pa.table({"c": coded}), schema).categories["c"]
    assert (found.nulls, dict(found.counts)) == (2, {"x": 1, "y": 1})


def test_an_infinity_in_a_table_counts_as_missing() -> None:
    table = pa.table({k: pa.nulls(2) for k in GOOD}).set_column(0, "x", [[math.inf, -math.inf]])
    assert np.isnan(encode_table(SCHEMA, table)).all()


def test_a_table_without_a_column_or_with_a_wrong_type_is_refused() -> None:
    with pytest.raises(
        DataError, match="needs 5 columns and the table lacks 'x', 'n', 'b', 'c', 't'"
    ):
        encode_table(SCHEMA, pa.table({"q": [1]}))
    for name, values in [("x", ["1"]), ("b", [1]), ("c", [1]), ("t", [1]), ("n", [True])]:
        table = pa.table({k: pa.array(values) if k == name else pa.nulls(1) for k in GOOD})
        with pytest.raises(DataError, match=f"column {name!r} is .* in the model and"):
            encode_table(SCHEMA, table)


def test_a_percentage_is_asked_for_as_its_fraction() -> None:
    schema = Schema((Column("rate", Kind.NUMBER, form=Form("%")),))
    assert RowEncoder(schema).encode({"rate": 0.12}).tolist() == [0.12]
    assert RowEncoder(schema).encode({"rate": "12 %"}).tolist() == [0.12]
    with pytest.raises(RequestError) as caught:
        RowEncoder(schema).encode_rows([{"rate": "12"}])
    assert str(caught.value) == (
        "row 0, column 'rate': '12' is not a percentage; "
        "send the fraction as a number (0.12 for 12 %) or null"
    )


@pytest.mark.parametrize("trim", [True, False])
@pytest.mark.parametrize("markers", [MISSING_MARKERS, ("none of it",), ()])
def test_words_for_missing_are_missing_in_rows_columns_and_tables(
    markers: tuple[str, ...], trim: bool
) -> None:
    """But for one that is a category: the project then did not take it for missing."""
    schema = Schema(
        (
            Column("c", Kind.CATEGORY, domain=("-", "a")),
            Column("h", Kind.CATEGORY, domain=None),
            Column("t", Kind.TEXT),
        )
    ).of_requests(Missing(frozenset(markers), trim))
    texts = ["a", "-", "NA", " NA ", "", "none of it", "other"]
    codes = RowEncoder(schema).encode_rows([{"c": text, "h": text, "t": text} for text in texts])
    columns = {name: pa.chunked_array([texts]) for name in schema.names}
    assert same_bits(codes, encode_table(schema, pa.table(columns)))
    assert same_bits(codes, ColumnEncoder(schema).encode(Columns(columns, len(texts))))
    assert same_bits(codes, ColumnEncoder(schema).encode(Columns.of(dict.fromkeys("cht", texts))))
    gone = [(text.strip() if trim else text) in markers for text in texts]
    assert [math.isnan(code) for code in codes[:, 2]] == gone
    assert [math.isnan(code) for code in codes[:, 1]] == gone
    assert not codes[gone, 3:].any() and codes[0, 3:].any()
    assert codes[:2, 0].tolist() == [1.0, 0.0]
    assert [math.isnan(code) for code in codes[2:, 0]] == gone[2:]
    assert codes[6, 0] == UNSEEN


@pytest.mark.parametrize("grams", ["words", "chars"])
def test_blanks_before_a_long_text_count_for_nothing(grams: str) -> None:
    schema = Schema((Column("t", Kind.TEXT, grams=grams),)).of_requests(Missing())
    bare = "hello world, " * 400
    rows = RowEncoder(schema).encode_rows([{"t": " " * 30_000 + bare}, {"t": bare}])
    assert same_bits(rows[0], rows[1])


def test_a_cleaned_table_is_read_as_it_is() -> None:
    """Which words mean missing was decided when it was cleaned."""
    schema = Schema((Column("c", Kind.CATEGORY, domain=("a",)), Column("t", Kind.TEXT)))
    codes = encode_table(schema, pa.table({"c": ["NA"], "t": ["NA"]}))
    assert codes[0, :2].tolist() == [UNSEEN, 1.0] and codes[0, 2:].any()
