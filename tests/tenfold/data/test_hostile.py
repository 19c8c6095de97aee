"""Odd and hostile tables: read right, or refused with the law, the place and the remedy."""

from __future__ import annotations

import pickle
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tenfold.data import Snapshot, prepare
from tenfold.data.csv_file import MAX_COLUMNS
from tenfold.data.files import FileSource
from tenfold.errors import DataError
from tenfold.schema import Kind, Role
from tenfold.settings import Settings

N = 60
ANSWERS = ["yes" if row % 3 else "no" for row in range(N)]


def _csv(folder: Path, cells: list[str], *, name: str = "odd") -> Path:
    rows = [f"{row},{cell},{ANSWERS[row]}" for row, cell in zip(range(N), cells, strict=True)]
    path = folder / "t.csv"
    path.write_text("\n".join([f"x,{name},y", *rows]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def made(tmp_path: Path, make_project: Any) -> Any:
    """Prepare a file."""

    def prepare_it(path: Path, **sections: Any) -> Snapshot:
        settings = Settings.from_env({"TENFOLD_HOME": str(tmp_path / "home")})
        return prepare(make_project(path, **sections), settings=settings)

    return prepare_it


TEXT = "\n".join(["x,größe,y", *(f"{row},{row % 7},{ANSWERS[row]}" for row in range(N))])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (TEXT.encode("utf-16"), "is marked as utf-16; convert the file, e.g. iconv -f utf-16"),
        (TEXT.encode("utf-16-le"), "text has no NUL bytes, and"),
        (TEXT.encode("utf-32"), "is marked as utf-32; convert the file, e.g. iconv -f utf-32"),
        (b"\xfe\xff" + TEXT.encode("utf-16-be"), "is marked as utf-16"),
        (TEXT.encode("latin-1"), "byte 0xF6 at offset 4 of"),
        (TEXT.replace("größe", "g").encode() + b"\n1,\x002,yes", "has one at offset"),
        (TEXT.encode() + "\n1,ü,yes".encode("latin-1"), "text must be UTF-8, and byte 0xFC"),
    ],
    ids=["utf-16", "utf-16 unmarked", "utf-32", "utf-16-be", "latin-1", "nul", "latin-1 late"],
)
def test_other_encodings_are_refused_with_the_remedy(
    tmp_path: Path, made: Any, data: bytes, message: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(data)
    with pytest.raises(DataError) as caught:
        made(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "iconv -f" in str(caught.value)


def test_a_byte_order_mark_of_utf_8_is_no_part_of_the_name(tmp_path: Path, made: Any) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    assert made(path).schema.names == ("x", "größe", "y")


def test_quoted_line_feeds_and_ragged_rows(tmp_path: Path, made: Any) -> None:
    path = _csv(tmp_path, ['"two\nlines"' if row % 2 else '"a ""b"""' for row in range(N)])
    path.write_text(path.read_text() + "1,2\n1,2,yes,4\n\n")
    snapshot = made(path)
    assert snapshot.n_rows == N
    assert set(snapshot.table()["odd"].to_pylist()) == {"two\nlines", 'a "b"'}
    assert snapshot.quarantine()["reason"].to_pylist() == [
        "has 2 cells, the header names 3",
        "has 4 cells, the header names 3",
    ]


def test_a_column_without_values_and_one_of_a_single_value(tmp_path: Path, made: Any) -> None:
    for cells, evidence in (
        ([""] * N, "no value in 60 rows"),
        (["same"] * N, "the same value in all rows: 'same' (60)"),
        (["#N/A"] * N, "no value in 60 rows, 60 of 60 missing (#N/A 60)"),
    ):
        column = made(_csv(tmp_path, cells)).schema.column("odd")
        assert (column.kind, column.role) == (Kind.CONSTANT, Role.IGNORED)
        assert column.evidence == evidence


def test_numbers_at_the_edge(tmp_path: Path, made: Any) -> None:
    cells = [str(row / 8) for row in range(N)]
    cells[:4] = ["1e308", "-1e308", "5e-324", "NaN"]
    cells[4:6] = ["inf", "1e309"]
    snapshot = made(_csv(tmp_path, cells))
    column = snapshot.schema.column("odd")
    assert (column.kind, column.minimum, column.maximum) == (Kind.NUMBER, -1e308, 1e308)
    told = snapshot.quarantine().select(["value", "reason"]).to_pylist()
    assert told == [
        {"value": "inf", "reason": "is not a number"},
        {"value": "1e309", "reason": "is not a number"},
    ]
    assert snapshot.table()["odd"][:4].to_pylist() == [1e308, -1e308, 5e-324, None]
    profile = snapshot.profiles()
    assert sum(each.n_rows for each in profile.values()) == N - 2


def test_typed_infinities_go_to_quarantine_and_nan_is_missing(tmp_path: Path, made: Any) -> None:
    values = [float(row) for row in range(N)]
    values[0], values[1] = float("inf"), float("nan")
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"x": list(range(N)), "odd": values, "y": ANSWERS}), path)
    snapshot = made(path)
    assert snapshot.quarantine().select(["position", "reason"]).to_pylist() == [
        {"position": 1, "reason": "is not a number"}
    ]
    assert snapshot.table()["odd"].null_count == 1


def test_dates_out_of_range(tmp_path: Path, made: Any) -> None:
    cells = [f"2024-01-{1 + row % 28:02d}" for row in range(N)]
    cells[:4] = ["0000-01-01", "2024-02-30", "10000-01-01", "9999-12-31"]
    snapshot = made(_csv(tmp_path, cells), prepare={"max_bad_fraction": 0.1})
    assert snapshot.schema.column("odd").kind is Kind.DATETIME
    assert snapshot.quarantine()["value"].to_pylist() == cells[:3]
    assert snapshot.table()["odd"][0].as_py().year == 9999


@pytest.mark.parametrize("rows", [0, 3])
def test_a_line_of_a_million_columns_is_refused(tmp_path: Path, made: Any, rows: int) -> None:
    path = tmp_path / "t.csv"
    wide = ",".join(str(place) for place in range(10**6))
    path.write_text("\n".join([wide, *[wide] * rows]))
    began = time.process_time()
    with pytest.raises(DataError) as caught:
        made(path)
    assert time.process_time() - began < 5
    assert str(caught.value) == (
        f"source 't': the header of {path} must end within 1048576 bytes, and does not; "
        "it has no line ends, or a quote is not closed there"
    )
    path.write_text(",".join(["a"] * (MAX_COLUMNS + 1)) + "\n1\n")
    with pytest.raises(DataError, match=r"at most 50000 columns, and the header of .* names 50001"):
        made(path)


def test_a_row_of_a_million_cells_is_one_bad_row(tmp_path: Path, made: Any) -> None:
    path = _csv(tmp_path, [str(row % 9) for row in range(N)])
    path.write_text(path.read_text() + "1," * 10**6 + "\n")
    snapshot = made(path)
    assert snapshot.n_rows == N
    assert snapshot.quarantine()["reason"].to_pylist() == ["has 1000001 cells, the header names 3"]
    assert len(snapshot.quarantine()["value"][0].as_py()) == 200


def test_an_unclosed_quote_of_64_mb_is_named_and_eats_no_memory(tmp_path: Path, made: Any) -> None:
    path = tmp_path / "t.csv"
    with path.open("wb") as file:
        file.write(b'x,y\n1,yes\n2,"no\n')
        for _ in range(65):
            file.write((b"3,yes\n" * 180_000)[: 1024 * 1024])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match=r"no end of a record for 67108864 bytes after byte"):
        made(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 128 * 1024


class _Bomb:
    """Unpickled, it raises in this very process."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (eval, ("1/0",))


def test_extension_types_are_refused_and_nothing_is_unpickled(tmp_path: Path, made: Any) -> None:
    path = tmp_path / "t.parquet"
    metadata = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickle.dumps(_Bomb()),
    }
    schema = pa.schema([pa.field("x", pa.int64(), metadata=metadata), ("y", pa.string())])
    pq.write_table(pa.table([list(range(N)), ANSWERS], schema=schema), path)
    with pytest.raises(DataError) as caught:
        made(path)
    assert str(caught.value) == (
        f"source 't': {path} must have flat columns of plain types, and 'x' has the extension "
        "type 'arrow.py_extension_type'; write it again as text, numbers or dates"
    )
    known = pa.array([row.to_bytes(16) for row in range(N)], pa.binary(16)).cast(pa.uuid())
    pq.write_table(pa.table({"x": known, "y": ANSWERS}), path)
    with pytest.raises(DataError, match=r"'x' has the extension type 'arrow\.uuid'"):
        made(path)


@pytest.mark.parametrize("values", [[[1]] * N, [{"a": 1}] * N, [b"x"] * N])
def test_nested_and_binary_columns_are_refused(tmp_path: Path, made: Any, values: list) -> None:  # type: ignore[type-arg]
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"x": list(range(N)), "odd": values, "y": ANSWERS}), path)
    with pytest.raises(DataError, match=r"column 'odd' has type .* Tenfold reads flat columns"):
        made(path)


def test_texts_that_are_no_utf_8_in_parquet_are_refused(tmp_path: Path, made: Any) -> None:
    path = tmp_path / "t.parquet"
    bad = pa.array([b"\xff\xfe"] * N, pa.binary()).view(pa.string())
    pq.write_table(pa.table({"x": list(range(N)), "odd": bad, "y": ANSWERS}), path)
    with pytest.raises(DataError, match=r"t\.parquet is damaged in row groups 0 to 0 .*UTF8"):
        made(path)


def _wide(path: Path, n_columns: int) -> Path:
    random = np.random.default_rng(1)
    names = ",".join(f"c{place}" for place in range(n_columns))
    rows = [
        ",".join(map(str, random.integers(0, 9, n_columns).tolist())) + f",{answer}"
        for answer in ANSWERS
    ]
    path.write_text("\n".join([f"{names},y", *rows]))
    return path


@pytest.mark.parametrize("n_columns", [1500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_wide_tables_cost_what_their_columns_cost(
    tmp_path: Path, made: Any, n_columns: int
) -> None:
    began = time.process_time()
    snapshot = made(_wide(tmp_path / "t.csv", n_columns))
    assert (snapshot.n_rows, len(snapshot.schema.columns)) == (N, n_columns + 1)
    assert len(snapshot.manifest["blocks"]) == 1
    assert time.process_time() - began < 5 + 0.008 * n_columns


LAUGHS = """<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<lolz>&b;</lolz>
"""


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("t.xml", LAUGHS.encode(), "is XML; write its records"),
        ("t.csv", b"\xef\xbb\xbf" + LAUGHS.encode(), "is XML; write its records"),
        ("t.xlsx", b"PK\x03\x04" + bytes(40), "is a spreadsheet or another ZIP archive"),
        ("t.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is a spreadsheet of the old kind"),
        ("t.csv.gz", b"\x1f\x8b\x08\x00", "is compressed by gzip; unpack it"),
        ("t.csv", b"<HTML><body>404</body>", "is a page, perhaps a server's error"),
        ("t.db", b"SQLite format 3\x00", "name it as a source of type sql"),
    ],
)
def test_what_holds_no_table_is_told_and_never_parsed(
    tmp_path: Path, name: str, data: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=words):
        FileSource(tmp_path / name).columns()
