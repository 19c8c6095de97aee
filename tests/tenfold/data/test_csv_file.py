"""CSV: heads, cuts, pieces."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.data.csv_file import CsvShard, csv_shards, read_head, record_ends
from tenfold.data.source import BLOCK_BYTES
from tenfold.errors import DataError


def _write(path: Path, data: bytes | str) -> Path:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [("a,b\n1,2\n", ","), ("a;b\n1;2\n", ";"), ("a\tb\n", "\t"), ("a|b\n", "|"), ("a\n", ","),
     ('"0",";;"\n', ","), ('"a;b;c",d\n', ","), ('"a" ,b\n', ",")],
)  # fmt: skip
def test_the_delimiter_is_seen(tmp_path: Path, text: str, delimiter: str) -> None:
    head = read_head(_write(tmp_path / "t.csv", text), source="t")
    assert head.delimiter == delimiter
    assert head.start == text.index("\n") + 1


def test_byte_order_marks_quotes_and_blanks_in_the_header(tmp_path: Path) -> None:
    data = b"\xef\xbb\xbf" + b'"a, b", c ,"d\ne",\r\n1,2,3,4\r\n'
    head = read_head(_write(tmp_path / "t.csv", data), source="t")
    assert head.columns == ("a, b", "c", "d\ne", "unnamed_4")
    block = csv_shards(tmp_path / "t.csv", head, source="t")[0].read()
    assert block.table.to_pylist() == [{"a, b": "1", "c": "2", "d\ne": "3", "unnamed_4": "4"}]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "source 't': {path} is empty (0 bytes); give a header and at least one row"),
        (
            b"a,b,a\n1,2,3\n",
            "source 't': column names must be unique, and 'a' names columns 1 and 3; "
            "rename all but one in the header",
        ),
        (
            "größe,b\n1,2\n".encode("latin1"),
            "source 't': text must be UTF-8, and byte 0xF6 at offset 2 of {path} is not; "
            "convert the file, e.g. iconv -f latin1 -t utf-8, or declare its encoding, e.g. "
            "encoding: latin-1 (at tenfold predict --encoding latin-1)",
        ),
    ],
    ids=["empty", "duplicate", "latin1"],
)
def test_bad_heads(tmp_path: Path, data: bytes, message: str) -> None:
    path = _write(tmp_path / "t.csv", data)
    with pytest.raises(DataError) as caught:
        read_head(path, source="t")
    assert str(caught.value) == message.format(path=path)


def test_bytes_that_are_no_text_are_found_deep_in_the_file(tmp_path: Path) -> None:
    path = _write(tmp_path / "t.csv", b"a\n" + b"x\n" * 100 + b"\xff\n")
    shard = csv_shards(path, read_head(path, source="t"), source="t")[0]
    with pytest.raises(DataError, match=r"byte 0xFF at offset 202 of"):
        shard.read()


def test_records_of_another_width_are_rejected_with_their_place(tmp_path: Path) -> None:
    path = _write(tmp_path / "t.csv", 'a,b\n1,2\n\n3\n"4\n4",5\n6,7,8\n9,10\n')
    block = csv_shards(path, read_head(path, source="t"), source="t")[0].read()
    assert block.table["a"].to_pylist() == ["1", "4\n4", "9"]
    assert block.positions.tolist() == [0, 2, 4]
    assert block.n_records == 5
    assert [(r.position, r.text, r.reason) for r in block.rejects] == [
        (1, "3", "has 1 cells, the header names 2"),
        (3, "6,7,8", "has 3 cells, the header names 2"),
    ]


def test_a_file_without_rows_has_no_pieces(tmp_path: Path) -> None:
    path = _write(tmp_path / "t.csv", "a,b\n")
    assert csv_shards(path, read_head(path, source="t"), source="t") == []


def test_pieces_are_cut_at_record_ends_and_miss_nothing(tmp_path: Path) -> None:
    record = '{},"line one\nline ""two"", and a comma",{}\n'
    rows = [record.format(i, "x" * (i % 50)) for i in range(120_000)]
    path = _write(tmp_path / "t.csv", "a,b,c\n" + "".join(rows))
    shards = csv_shards(path, read_head(path, source="t"), source="t")
    assert len(shards) == 8
    assert all(shard.end - shard.start >= BLOCK_BYTES for shard in shards[:-1])
    read = [value for shard in shards for value in shard.read().table["a"].to_pylist()]
    assert read == [str(i) for i in range(120_000)]


@settings(deadline=None)
@given(
    st.lists(
        st.lists(st.text('ab,"\n ', max_size=6), min_size=3, max_size=3), min_size=1, max_size=30
    ),
    st.integers(0, 200),
)
def test_any_cut_at_a_record_end_reads_as_the_standard_library_does(
    rows: list[list[str]], cut: int
) -> None:
    sink = io.StringIO()
    csv.writer(sink, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    data = sink.getvalue().encode()
    ends = record_ends(data, 0)
    assert len(ends) == len(rows)
    parts = [data[: ends[cut % len(ends)]], data[ends[cut % len(ends)] :]]
    joined = [row for part in parts for row in csv.reader(io.StringIO(part.decode(), newline=""))]
    assert joined == rows


def test_a_quote_that_never_closes_is_an_error_and_no_memory_eater(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path = tmp_path / "t.csv"
    with path.open("wb") as file:
        file.write(b'a\n"open\n')
        for _ in range(65):
            file.write(b"x" * (1024 * 1024 - 1) + b"\n")
    with pytest.raises(DataError) as caught:
        csv_shards(path, read_head(path, source="t"), source="t")
    assert str(caught.value) == (
        f"source 't': {path} has no end of a record for 67108864 bytes after byte 2; "
        "a quote is not closed there"
    )


def test_an_unclosed_quote_in_a_small_file_is_told(tmp_path: Path) -> None:
    path = _write(tmp_path / "t.csv", 'a,b\n1,"open\n2,3\n')
    shard = CsvShard("t", str(path), 4, path.stat().st_size, ("a", "b"), ",")
    block = shard.read()
    assert block.table["b"].to_pylist() == ["open\n2,3\n"] or block.rejects
