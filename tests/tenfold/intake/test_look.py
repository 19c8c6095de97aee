from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tenfold.errors import DataError
from tenfold.intake import look as look_module
from tenfold.intake.look import Look, look_at


def test_a_small_table_is_counted_exactly(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('x,y\n1,"a\nb"\n2,?\n')
    look = look_at(path)
    assert (look.n_rows, look.exact, look.names, look.size_bytes) == (2, True, ("x", "y"), 16)
    assert look.columns["y"].n_missing == 1
    assert look.rows_in_words() == "2"


def test_a_large_table_is_sampled_and_its_rows_are_estimated(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    line = "x" * 120 + "\n"
    n_rows = (look_module.SAMPLE_PIECES + 14) * 1024 * 1024 // len(line)
    path.write_text("text\n" + line * n_rows)
    look = look_at(path)
    assert not look.exact
    assert abs(look.n_rows - n_rows) < 0.02 * n_rows
    assert look.columns["text"].n_rows < 0.6 * n_rows
    assert look.rows_in_words().startswith("about 2")


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"x": [1.0, None, 3.0]}), path)
    look = look_at(path)
    assert (look.n_rows, look.exact, look.columns["x"].n_missing) == (3, True, 1)


def test_markers_are_the_project_s(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x,y\n1,a\nmissing,b\n")
    assert look_at(path, markers=("missing",)).columns["x"].n_missing == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"a,b\n", "a header and no rows"),
        (b"a,a\n1,2\n", "must be unique"),
        (b"a,b\n1,caf\xe9\n", "UTF-8"),
    ],
)
def test_what_is_no_table(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words):
        look_at(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file"):
        look_at(tmp_path / "gone.csv")


def test_estimates_keep_two_digits() -> None:
    look = Look(Path("a"), 1, 12_345_678, exact=False, scan=None)  # type: ignore[arg-type]
    assert look.rows_in_words() == "about 12,000,000"
