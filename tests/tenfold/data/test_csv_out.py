"""S25: what we write runs in no spreadsheet."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from tenfold.data import prepare, safe_cells
from tenfold.data.csv_out import write_csv
from tenfold.settings import Settings

BAD = ["=1+1", "+49 170", "-x", "@SUM(A1)", "\tx", "\rx", "=cmd|' /C calc'!A0"]


def test_texts_that_begin_a_formula_are_marked_and_numbers_are_not() -> None:
    numbers = ["-5", "+1.5", "-1e3", "-1,234"]
    table = pa.table({"=a": [*BAD, *numbers, None, ""], "n": [-1.5] * 13})
    safe = safe_cells(table)
    assert safe.column_names == ["'=a", "n"]
    assert safe["'=a"].to_pylist() == [*(f"'{text}" for text in BAD), *numbers, None, ""]
    assert safe["n"] == table["n"]


@given(st.lists(st.text(max_size=5) | st.none(), min_size=1, max_size=10))
def test_no_text_is_lost_and_none_begins_a_formula(texts: list[str | None]) -> None:
    column = pa.chunked_array([texts[:3], texts[3:]], pa.string())
    safe = safe_cells(pa.table({"a": column}))["a"].to_pylist()
    for text, cell in zip(texts, safe, strict=True):
        assert cell in (text, f"'{text}")
        assert not cell or cell[0] not in "=@\t\r"


def test_a_dictionary_column_is_text_too(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    write_csv(path, pa.table({"a": pa.array(["=1", "x"]).dictionary_encode(), "b": [-1, 2]}))
    with path.open(newline="") as file:
        assert list(csv.reader(file)) == [["a", "b"], ["'=1", "-1"], ["x", "2"]]


def test_the_quarantine_is_exported_safely(
    tmp_path: Path, lines: list[str], make_project: Any
) -> None:
    lines[5] = '"=HYPERLINK(""http://x"")", Bonn,0.5,2024-01-01,no'
    path = tmp_path / "people.csv"
    path.write_text("\n".join(lines))
    snapshot = prepare(
        make_project(path), settings=Settings.from_env({"TENFOLD_HOME": str(tmp_path)})
    )
    snapshot.export_quarantine(tmp_path / "bad.csv")
    with (tmp_path / "bad.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    snapshot.export_quarantine(tmp_path / "bad.parquet")
    assert pq.read_table(tmp_path / "bad.parquet") == snapshot.quarantine()
    assert rows[1] == ["people", "5", "age", '\'=HYPERLINK("http://x")', "is not a whole number"]
