"""CSV in other encodings than UTF-8, declared; read in pieces, each decoded alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tenfold.data import Snapshot, prepare
from tenfold.data.csv_file import read_head, record_ends
from tenfold.data.encodings import encoding_of
from tenfold.data.files import FileSource
from tenfold.errors import DataError, ProjectError
from tenfold.project import load_project
from tenfold.project.encodings import known_encoding
from tenfold.settings import Settings

HEADER = "x,name,y\n"
ENCODINGS = {
    "latin-1": "Größe",
    "cp1252": "Preis \u20ac",
    "shift_jis": "\u30bd\u8868\u80fd",  # second bytes that look like ASCII
    "gb18030": "\u4e2d\u3400",
    "utf-16": "\u4e0a\u2200\U0001f600",  # units with the byte of a line feed or a quote
    "utf-16-be": "\u0a22\u220a",
    "utf-16-le": "\u0a22\u220a",
    "utf-8-sig": "\u00e9",
}


def _text(word: str, n_rows: int) -> str:
    rows = (f'{row},"{word} ""{row % 7}""\n, {word}",{"ab"[row % 2]}\n' for row in range(n_rows))
    return HEADER + "".join(rows)


def _read(path: Path, encoding: str) -> tuple[pa.Table, int]:
    source = FileSource(path, encoding=known_encoding(encoding))
    blocks = [shard.read() for shard in source.shards()]
    return pa.concat_tables([block.table for block in blocks]), len(blocks)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_file_in_any_encoding_gives_the_rows_of_the_same_in_utf_8(
    tmp_path: Path, encoding: str
) -> None:
    text = _text(ENCODINGS[encoding], 60_000)
    (tmp_path / "a.csv").write_bytes(text.encode(encoding))
    (tmp_path / "b.csv").write_text(text)
    found, n_pieces = _read(tmp_path / "a.csv", encoding)
    expected, _ = _read(tmp_path / "b.csv", "utf-8")
    assert found.equals(expected)
    assert n_pieces > 1


@pytest.mark.parametrize("mark", [b"", b"\xff\xfe", b"\xfe\xff"])
def test_the_mark_tells_the_order_of_bytes(tmp_path: Path, mark: bytes) -> None:
    order = "utf-16-be" if mark == b"\xfe\xff" else "utf-16-le"
    (tmp_path / "a.csv").write_bytes(mark + _text("é", 3).encode(order))
    head = read_head(tmp_path / "a.csv", source="a", encoding="utf-16")
    assert (head.columns, head.encoding.name) == (("x", "name", "y"), order)
    assert head.start == len(mark) + 2 * len(HEADER)


def test_quotes_are_counted_in_units() -> None:
    encoding, _ = encoding_of("utf-16-le", b"")
    data = 'a\n"\u0a22\n"\n'.encode("utf-16-le")
    assert record_ends(data, 0, encoding=encoding).tolist() == [4, 14]
    assert record_ends(data, 4, n_quotes=1, encoding=encoding).tolist() == [10]


def test_a_byte_that_does_not_decode_is_told_with_its_place(tmp_path: Path) -> None:
    data = _text("ok", 4).encode("cp1252") + b"9,\x81,a\n"
    path = tmp_path / "a.csv"
    path.write_bytes(data)
    with pytest.raises(
        DataError, match=rf"must be cp1252, and byte 0x81 at offset {len(data) - 4}"
    ):
        _read(path, "windows-1252")
    path.write_bytes(_text("ok", 4).encode("utf-16") + b"\x00\xd8")  # half a pair
    with pytest.raises(DataError, match="must be utf-16-le, and byte 0x00 at offset"):
        _read(path, "utf-16")
    path.write_bytes(_text("o\0k", 4).encode("utf-16"))
    with pytest.raises(DataError, match="text has no NUL characters"):
        _read(path, "utf-16")


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [(b"\xff\xfe", "cp1252"), (b"\xff\xfe\0\0", "utf-16"), (b"\xef\xbb\xbf", "cp1252")],
)
def test_a_mark_of_another_encoding_is_refused(tmp_path: Path, mark: bytes, encoding: str) -> None:
    (tmp_path / "a.csv").write_bytes(mark + _text("k", 3).encode())
    with pytest.raises(DataError, match="is marked as utf-"):
        read_head(tmp_path / "a.csv", source="a", encoding=encoding)


@pytest.mark.parametrize("name", ["utf-7", "iso2022_jp", "hz", "cp037", "utf-32", "rot13", "no\0"])
def test_encodings_that_cannot_be_cut_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="must be UTF-16 or an encoding that extends ASCII"):
        known_encoding(name)


PROJECT = """
name: shop
problem: {task: binary, target: y}
data:
  sources: [{path: rows.csv, encoding: %s}]
"""


def _prepared(folder: Path, encoding: str, more: str = "") -> Snapshot:
    (folder / "project.yaml").write_text(PROJECT % encoding + more)
    home = Settings.from_env({"TENFOLD_HOME": str(folder / "home")})
    return prepare(load_project(folder / "project.yaml"), settings=home)


def test_a_project_declares_it_and_the_table_is_the_same(tmp_path: Path) -> None:
    text = _text("Größe", 400)
    digests = []
    for encoding in ("utf-8", "Latin1", "UTF-16"):
        (tmp_path / "rows.csv").write_bytes(text.encode(encoding))
        digests.append(_prepared(tmp_path, encoding).digest)
    assert len(set(digests)) == 1
    with pytest.raises(ProjectError, match=r"encoding.*extends ASCII"):
        _prepared(tmp_path, "utf-7")


def test_a_wrong_declaration_is_a_new_reading(tmp_path: Path) -> None:
    """The same bytes under another encoding are another table, not the one that was kept."""
    (tmp_path / "rows.csv").write_bytes(_text("Größe", 400).encode("latin-1"))
    names: list[Any] = []
    for encoding in ("latin-1", "cp437"):
        snapshot = _prepared(tmp_path, encoding)
        names.append(snapshot.schema.column("name").domain)
    assert names[0] != names[1]


def test_of_a_broken_file_only_the_piece_goes_to_quarantine(tmp_path: Path) -> None:
    data = _text("Größe", 60_000).encode("cp1252")
    (tmp_path / "rows.csv").write_bytes(data + b'1,"\x81",a\n')
    policy = "prepare: {on_bad_file: quarantine, max_bad_fraction: 0.5}\n"
    snapshot = _prepared(tmp_path, "cp1252", policy)
    (told,) = snapshot.quarantine().to_pylist()
    assert f"byte 0x81 at offset {len(data) + 3}" in told["reason"]
    assert snapshot.n_rows > 10_000
