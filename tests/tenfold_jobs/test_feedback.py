from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tenfold.errors import DataError
from tenfold_jobs.feedback import read_labels


def test_numbers_are_sent_as_numbers_and_classes_as_words(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("id,label,source\na,10,lab\nb,2.5,\n")
    assert list(read_labels(path, numbers=True)) == [
        {"id": "a", "label": 10.0, "source": "lab"},
        {"id": "b", "label": 2.5} | dict(list(read_labels(path, numbers=True))[1]),
    ]
    assert [row["label"] for row in read_labels(path, numbers=False)] == ["10", "2.5"]
    table = tmp_path / "labels.parquet"
    pq.write_table(pa.table({"id": ["a"], "label": [1]}), table)
    assert list(read_labels(table, numbers=False)) == [{"id": "a", "label": "1"}]


def test_a_word_for_a_number_names_its_row(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("id,label\na,10\nb,many\n")
    with pytest.raises(DataError, match="row 2 has the label 'many'; send the true value"):
        list(read_labels(path, numbers=True))


@pytest.mark.parametrize("header", ["id", "id,label,colour", "label,source"])
def test_columns_are_checked(tmp_path: Path, header: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(f"{header}\n{','.join('x' for _ in header.split(','))}\n")
    with pytest.raises(DataError, match="labels have the columns id, label"):
        list(read_labels(path, numbers=False))
