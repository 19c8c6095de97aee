from __future__ import annotations

import gzip
import os
import tracemalloc
import zlib

import pytest

from tenfold.data.http.body import check_content_type, read_body
from tenfold.errors import DataError

MIB = 2**20


def in_chunks(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@pytest.mark.parametrize("size", [1, 7, 65536])
@pytest.mark.parametrize("coding", ["gzip", "X-GZIP", None, "identity"])
def test_a_body_comes_whole_however_it_is_cut(size: int, coding: str | None) -> None:
    data = os.urandom(300) + b"x" * 5000
    packed = gzip.compress(data, mtime=0) if coding and "zip" in coding.lower() else data
    chunks = in_chunks(packed, size)
    assert read_body("a", chunks, encoding=coding, most_bytes=5300) == data


def test_members_of_one_gzip_follow_each_other() -> None:
    data = gzip.compress(b"[1,", mtime=0) + gzip.compress(b"2]")
    assert read_body("a", [data], encoding="gzip", most_bytes=99) == b"[1,2]"


def test_a_bomb_is_refused_and_never_unfolded() -> None:
    squeeze = zlib.compressobj(9, wbits=31)
    bomb = b"".join(squeeze.compress(bytes(MIB)) for _ in range(128)) + squeeze.flush()
    assert len(bomb) < MIB
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"at most 1,048,576 bytes .* \(pages.size\)"):
            read_body("a", in_chunks(bomb, 65536), encoding="gzip", most_bytes=MIB)
        assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    finally:
        tracemalloc.stop()


def test_a_large_plain_body_is_refused_before_it_is_read_whole() -> None:
    def endless() -> object:
        while True:
            yield b"x" * 1000

    with pytest.raises(DataError, match="at most 10,000 bytes"):
        read_body("a", endless(), encoding=None, most_bytes=10_000)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("data", "coding", "told"),
    [
        (b"no gzip at all", "gzip", "cannot be decoded"),
        (gzip.compress(b"x" * 999, mtime=0)[:-9], "gzip", "ends too early"),
        (b"", "gzip", "ends too early"),
        (b"x", "br", "comes as 'br'"),
        (b"x", "gzip, gzip", "comes as 'gzip, gzip'"),
    ],
)
def test_other_codings_and_damage_are_told(data: bytes, coding: str, told: str) -> None:
    with pytest.raises(DataError, match=told):
        read_body("a", [data], encoding=coding, most_bytes=9999)


@pytest.mark.parametrize(
    "value",
    ["application/json", "Application/JSON; charset=utf-8", "text/json", "application/hal+json"],
)
def test_types_that_are_json(value: str) -> None:
    assert check_content_type("a", value) is None


@pytest.mark.parametrize("value", ["text/html; charset=utf-8", "text/plain", "", None, "json"])
def test_types_that_are_not(value: str | None) -> None:
    with pytest.raises(DataError, match="must be JSON, and calls itself"):
        check_content_type("a", value)


def test_lines_of_json_are_sent_to_the_other_type_of_source() -> None:
    with pytest.raises(DataError, match="type file, with format: jsonl"):
        check_content_type("a", "application/x-ndjson")
