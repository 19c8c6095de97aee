"""JSON lines as text columns."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.data.files import FileSource, read_batches
from tenfold.data.jsonl_file import (
    MAX_COLUMNS,
    MAX_LINE_BYTES,
    NoRecord,
    jsonl_shards,
    leaves,
    read_jsonl,
)
from tenfold.errors import DataError


def write(path: Path, *records: object) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def rows(path: Path) -> list[dict[str, Any]]:
    shards = jsonl_shards(path, source="s")
    return [row for shard in shards for row in shard.read().table.to_pylist()]


def test_values_become_texts_and_numbers_stay_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(
        '{"a": 1, "b": 1.0, "c": 0.10, "d": true, "e": null, "f": " x ", "g": [1, {"b": "ü"}], '
        '"h": {"i": {"j": -0.5}, "k": {}}, "l": 123456789012345678901234567890, "m": 1e308, '
        '"n": "\\ud800"}\r\n'
    )
    assert rows(path) == [
        {
            "a": "1",
            "b": "1.0",
            "c": "0.10",
            "d": "true",
            "e": None,
            "f": " x ",
            "g": '[1,{"b":"ü"}]',
            "h.i.j": "-0.5",
            "h.k": None,
            "l": "123456789012345678901234567890",
            "m": "1e308",
            "n": "\ufffd",
        }
    ]


def test_columns_are_those_of_every_line_even_the_last(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"a": 1}\n' * 200_000 + '{"late": {"er": 2}, "a": 3}')
    source = FileSource(path)
    assert source.columns() == ("a", "late.er")
    assert len(source.shards()) > 1
    last = source.shards()[-1].read().table
    assert last.to_pylist()[-1] == {"a": "3", "late.er": "2"}
    assert last["late.er"].null_count == last.num_rows - 1


def test_a_null_where_other_lines_have_an_object_is_no_column(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", {"at": None, "x": None}, {"at": {"lat": 1}}, {"at": {}})
    assert read_jsonl(path, source="s").columns == ("x", "at.lat")
    assert [row["at.lat"] for row in rows(path)] == [None, "1", None]
    both = write(tmp_path / "u.jsonl", {"at": "home"}, {"at": {"lat": 1}})
    assert rows(both) == [{"at": "home", "at.lat": None}, {"at": None, "at.lat": "1"}]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("[1, 2]", "is not a JSON object but a list"),
        ('"x"', "is not a JSON object but a text"),
        ("null", "is not a JSON object but null"),
        ("true", "is not a JSON object but true"),
        ("7", "is not a JSON object but a number"),
        ('{"a": 1', "is not JSON ("),
        ('{"a": NaN}', "is not JSON ("),
        ('{"": 1}', "has an empty key"),
        ('{"a.b": 1, "a": {"b": 2}}', "gives the column 'a.b' twice"),
        ('{"a":' * 65 + "1" + "}" * 65, "nests more than 64 objects and lists"),
        ("[" * 100_000, "nests more than 64 objects and lists"),
    ],
)
def test_a_line_that_is_no_record_is_a_reject_with_its_reason(
    tmp_path: Path, line: str, reason: str
) -> None:
    with pytest.raises(NoRecord):
        leaves(line)
    path = tmp_path / "t.jsonl"
    path.write_text('{"x": 1}\n\n' + line + '\r\n{"x": 2}\n')
    (shard,) = jsonl_shards(path, source="s")
    block = shard.read()
    assert block.table.to_pydict() == {"x": ["1", "2"]}
    assert block.positions.tolist() == [0, 2]
    assert block.n_records == 3
    (reject,) = block.rejects
    assert (reject.position, reject.text) == (1, line)
    assert reject.reason.startswith(reason)
    with pytest.raises(DataError, match=r"row 2 (is|gives|has|nests) "):
        list(read_batches(path))


def test_many_brackets_that_are_not_deep_are_a_record(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", {"a": [[i] for i in range(99)], "b": "[{" * 99 + '\\"['})
    assert json.loads(rows(path)[0]["a"]) == [[i] for i in range(99)]
    assert rows(path)[0]["b"] == "[{" * 99 + '\\"['


def test_files_without_records_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text("")
    with pytest.raises(DataError, match=r"is empty \(0 bytes\); give one JSON object a line"):
        FileSource(path).columns()
    path.write_text('[\n{"a": 1},\n{"a": 2},\n]\n')
    with pytest.raises(DataError) as caught:
        FileSource(path, name="s").columns()
    assert str(caught.value) == (
        f"source 's': every line must be a JSON object, and none of the 4 of {path} is one with a "
        "field; a JSON list is turned into lines by: jq -c '.[]'"
    )


def test_bytes_that_are_not_utf8_are_named_and_a_mark_at_the_start_is_no_text(
    tmp_path: Path,
) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\n')
    assert rows(path) == [{"a": "1"}]
    path.write_bytes(b'{"a": 1}\n{"a": "\xe9"}\n')
    with pytest.raises(DataError, match=rf"byte 0xE9 at offset 16 of {path} is not"):
        rows(path)


def test_more_fields_than_columns_and_endless_lines_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", *[{f"id{i}": 1} for i in range(MAX_COLUMNS + 1)])
    with pytest.raises(DataError, match=r"at most 20000 fields, .*'id20000'"):
        read_jsonl(path, source="s")
    long = tmp_path / "u.jsonl"
    with long.open("wb") as file:
        file.truncate(MAX_LINE_BYTES + 2)
    with pytest.raises(DataError, match=r"the one at byte 0 of .* is longer"):
        read_jsonl(long, source="s")


def test_ten_thousand_columns_in_larger_pieces(tmp_path: Path) -> None:
    record = {f"c{i}": f"{i} {'x' * 100}" for i in range(10_000)}
    path = write(tmp_path / "t.jsonl", *[record] * 50)
    blocks = [shard.read() for shard in jsonl_shards(path, source="s")]
    assert 1 < len(blocks) <= path.stat().st_size // 40_000_000 + 1
    assert sum(block.n_records for block in blocks) == 50
    assert blocks[-1].table.to_pylist()[-1] == record


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", {"a": 1})
    assert FileSource(path).columns() == ("a",)
    write(path, {"b": 1})
    os.utime(path, ns=(1, 1))
    assert FileSource(path).columns() == ("b",)


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = SCALARS | st.text(st.characters(exclude_categories=["Cs"])) | st.lists(SCALARS, max_size=3)
NAMES = st.text("abcxyz", min_size=1, max_size=3)
RECORDS = st.dictionaries(NAMES, VALUES | st.dictionaries(NAMES, VALUES, max_size=3), max_size=5)


@given(records=st.lists(RECORDS, min_size=1, max_size=8))
def test_every_value_of_every_record_comes_back(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, Any]]
) -> None:
    records = [{"k": "v"}, *records]
    path = write(tmp_path_factory.mktemp("jsonl") / "t.jsonl", *records)
    for record, row in zip(records, rows(path), strict=True):
        flat: dict[str, Any] = {}
        for name, value in record.items():
            inner = (
                {f"{name}.{key}": deep for key, deep in value.items()}
                if isinstance(value, dict)
                else {name: value}
            )
            flat |= inner
        assert {name: v for name, v in row.items() if v is not None}.keys() == {
            name for name, v in flat.items() if v is not None and v != {}
        }
        for name, value in flat.items():
            if isinstance(value, str):
                assert row[name] == value
            elif value is not None and value != {}:
                assert json.loads(row[name]) == value
