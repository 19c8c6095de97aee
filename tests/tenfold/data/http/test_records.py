from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.data.http.document import parse_json
from tenfold.data.http.records import Columns, flatten, records_of
from tenfold.data.json_cells import Number, json_text
from tenfold.errors import DataError

KEYS = st.text(st.characters(exclude_characters=".", codec="utf-8"), min_size=1, max_size=5)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"))
)
RECORDS = st.dictionaries(
    KEYS,
    st.recursive(
        LEAVES | st.lists(LEAVES | st.dictionaries(KEYS, LEAVES, max_size=2), max_size=3),
        lambda inner: st.dictionaries(KEYS, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=5,
)


def parsed(value: Any) -> Any:
    return parse_json("a", json.dumps(value).encode(), most_depth=64)


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    """The law once more, said otherwise: every leaf by its path."""
    if isinstance(value, dict) and value:
        return {
            name: leaf
            for key, inner in value.items()
            for name, leaf in leaves(inner, f"{path}.{key}" if path else key).items()
        }
    return {path: value}


def meaning(text: str | None, leaf: Any) -> Any:
    """What a cell says, in the kind of the leaf it came from."""
    if text is None:
        return None
    return text if isinstance(leaf, str) else json.loads(text)


def tables(*pages: list[Any], most: int = 100, n_bytes: int = 100) -> list[pa.Table]:
    columns = Columns(most_columns=most)
    return [table for page in pages for table in columns.tables("a", page, n_bytes=n_bytes)]


@given(RECORDS)
def test_every_leaf_is_in_the_column_of_its_path_and_keeps_its_meaning(record: Any) -> None:
    row = flatten(parsed(record))
    wanted = leaves(record) if record else {}
    assert row.keys() == wanted.keys()
    for name, leaf in wanted.items():
        found = meaning(row[name], leaf)
        assert found == (None if leaf == {} else leaf)
        assert isinstance(found, bool) == isinstance(leaf, bool)


@given(st.lists(RECORDS, max_size=8), st.integers(1, 8), st.integers(1, 10_000_000))
def test_neither_pages_nor_slices_change_rows_or_the_order_of_columns(
    records: list[Any], size: int, n_bytes: int
) -> None:
    records = [{"id": n, **record} for n, record in enumerate(records)]
    whole = tables(parsed(records), most=10_000)
    pages = [parsed(records[start : start + size]) for start in range(0, len(records), size)]
    cut = tables(*pages, most=10_000, n_bytes=n_bytes)
    if not records:
        assert whole == cut == []
        return
    together = pa.concat_tables(cut, promote_options="default")
    assert together.equals(pa.concat_tables(whole))


def test_every_column_is_text() -> None:
    (table,) = tables(parsed([{"a": 1, "b": None, "c": {"d": [1, {"z": None, "y": 1.50}]}}]))
    assert table.schema == pa.schema([(name, pa.string()) for name in ("a", "b", "c.d")])
    assert table.to_pylist() == [{"a": "1", "b": None, "c.d": '[1,{"y":1.5,"z":null}]'}]


def test_columns_that_come_later_stay() -> None:
    found = tables([{"a": "1"}], [{"b": "2"}], [{"a": "3"}])
    assert [table.column_names for table in found] == [["a"], ["a", "b"], ["a", "b"]]
    assert found[2].to_pylist() == [{"a": "3", "b": None}]


def test_tables_are_cut_by_bytes() -> None:
    records = [{"a": str(n)} for n in range(100)]
    found = tables(records, n_bytes=40 * 2**20)
    assert [table.num_rows for table in found] == [10] * 10
    assert [row["a"] for table in found for row in table.to_pylist()] == [r["a"] for r in records]


def test_half_of_a_surrogate_pair_is_replaced() -> None:
    (table,) = tables(json.loads(r'[{"k\ud800": "a\udfffb"}, {"k\ud800": "\ud83d\ude00"}]'))
    assert table.to_pydict() == {"k\ufffd": ["a\ufffdb", "\U0001f600"]}


@pytest.mark.parametrize("record", [Number("5"), "x", None, [], True])
def test_a_record_that_is_no_object_is_told_by_its_place(record: Any) -> None:
    told = r"^a: every record must be an object, and record 1 is .*; correct records"
    with pytest.raises(DataError, match=told):
        tables([{"a": "1"}, record])


def test_places_count_over_slices() -> None:
    with pytest.raises(DataError, match="record 57 is null"):
        tables([{"a": "1"}] * 57 + [None], n_bytes=40 * 2**20)


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ({"a.b": 1, "a": {"b": 2}}, "the column 'a.b' must come from one place"),
        ({"": 1}, "a key must not be empty"),
        ({"a": {"": 1}}, "a key must not be empty"),
    ],
)
def test_a_record_that_names_a_column_twice_or_not_at_all(record: Any, told: str) -> None:
    with pytest.raises(DataError, match=f"^a, record 0: {told}"):
        tables([record])


def test_records_without_a_field_are_told() -> None:
    with pytest.raises(DataError, match="at least one field, and 2 have none"):
        tables([{}, {}])
    assert tables([{}, {"a": "1"}])[0].num_rows == 2


def test_keys_that_are_data_are_told() -> None:
    told = r"at most 100 columns together, and have 120 \(the last is 'id119'\)"
    with pytest.raises(DataError, match=told):
        tables([{f"id{n}": "1"} for n in range(60)], [{f"id{n}": "1"} for n in range(60, 120)])


def test_ten_thousand_columns_are_read() -> None:
    (table,) = tables([{f"c{n}": str(n) for n in range(10_000)}], most=20_000)
    assert table.num_columns == 10_000


@pytest.mark.parametrize(
    ("document", "path", "told"),
    [
        (
            {"items": []},
            None,
            "must be the list of records, and is an object; write records: items",
        ),
        ({"d": {"items": []}}, "items", "leads nowhere; write records: d.items"),
        ({"items": {"a": 1}}, "items", "leads to an object; correct records, or url"),
        ("x", None, "must be the list of records, and is a text; correct records"),
        (None, "a.b", "leads nowhere"),
    ],
)
def test_an_answer_without_the_list_is_told(document: Any, path: str | None, told: str) -> None:
    with pytest.raises(DataError, match=told):
        records_of("a", document, path)


def test_null_in_the_place_of_the_list_is_an_empty_one() -> None:
    assert records_of("a", {"items": None}, "items") == []
    assert records_of("a", None, None) == []


def test_lists_of_numbers_keep_their_digits() -> None:
    assert json_text(parsed([1.0])) == "[1.0]"
    assert flatten({"a": [Number("1.10")]}) == {"a": "[1.10]"}
