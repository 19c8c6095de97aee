from __future__ import annotations

import shutil
from pathlib import Path

import orjson
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from tenfold.errors import StoreError
from tenfold_serve.committer import Committer, labels_table, log_tables
from tenfold_serve.prediction_log import write_segment
from tenfold_serve.spool import frame, segment_name, segments, spool_folder
from tests.tenfold_serve.support import Publish
from tests.tenfold_serve.test_recorder import entry


def label(number: int) -> dict[str, str]:
    return {
        "id": f"id{number}",
        "label": "yes",
        "observed_at": "2026-01-02T03:04:05+00:00",
        "received_at": "2026-01-02T03:04:06+00:00",
        "source": "test",
    }


def spool_labels(live: Path, number: int, *, app: str = "a.1", ending: str = "") -> Path:
    folder = spool_folder(live, "mixed")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (segment_name("labels", app, number) + ending)
    path.write_bytes(frame(orjson.dumps(label(number))))
    return path


def count(folder: Path) -> int:
    return DeltaTable(str(folder)).to_pyarrow_dataset().count_rows()


def test_segments_become_rows_and_are_removed(tmp_path: Path, publish: Publish) -> None:
    one = entry(publish)
    folder = spool_folder(tmp_path, "mixed")
    write_segment(folder / segment_name("predictions", "a.1", 1), [one], replica="r")
    spool_labels(tmp_path, 1)
    committed = Committer(tmp_path, "mixed").commit()
    assert committed.predictions is not None
    assert committed.predictions.column("__id").to_pylist() == list(one.ids)
    assert committed.labels is not None
    assert committed.labels.column("id").to_pylist() == ["id1"]
    predictions, labels = log_tables(tmp_path, "mixed")
    assert (count(predictions), count(labels)) == (20, 1)
    assert list(folder.iterdir()) == []
    nothing = Committer(tmp_path, "mixed").commit()
    assert nothing.predictions is None
    assert nothing.labels is None


def test_a_crash_before_the_files_are_removed_doubles_nothing(tmp_path: Path) -> None:
    live, backup = tmp_path / "live", tmp_path / "backup"
    spool_labels(live, 1)
    spool_labels(live, 2)
    shutil.copytree(spool_folder(live, "mixed"), backup)
    Committer(live, "mixed").commit()
    shutil.copytree(backup, spool_folder(live, "mixed"), dirs_exist_ok=True)
    spool_labels(live, 3)
    spool_labels(live, 1, app="b.1")
    committed = Committer(live, "mixed").commit()
    assert committed.labels is not None
    assert sorted(committed.labels.column("id").to_pylist()) == ["id1", "id3"]
    assert count(log_tables(live, "mixed")[1]) == 4


def test_a_dead_replicas_open_journal_is_committed(tmp_path: Path) -> None:
    path = spool_labels(tmp_path, 1, ending=".open")
    with path.open("ab") as file:
        file.write(frame(b"torn")[:-2])
    committed = Committer(tmp_path, "mixed").commit()
    assert committed.labels is not None
    assert committed.labels.num_rows == 1


def test_a_damaged_segment_is_put_aside_and_the_rest_goes_on(tmp_path: Path) -> None:
    folder = spool_folder(tmp_path, "mixed")
    spool_labels(tmp_path, 2)
    bad = folder / segment_name("labels", "a.1", 1)
    bad.write_bytes(frame(b'{"id": 1}'))
    committed = Committer(tmp_path, "mixed").commit()
    assert committed.labels is not None
    assert committed.labels.num_rows == 1
    assert [path.name for path in folder.iterdir()] == [f"damaged-{bad.name}"]


def test_a_table_that_cannot_be_written_loses_nothing(tmp_path: Path) -> None:
    spool_labels(tmp_path, 1)
    (tmp_path / "mixed" / "labels").write_text("in the way")
    with pytest.raises((StoreError, OSError)):
        Committer(tmp_path, "mixed").commit()
    assert len(segments(spool_folder(tmp_path, "mixed"), "labels")) == 1
    (tmp_path / "mixed" / "labels").unlink()
    assert Committer(tmp_path, "mixed").commit().labels is not None


def test_a_model_with_other_columns_joins_the_same_table(tmp_path: Path, publish: Publish) -> None:
    folder = spool_folder(tmp_path, "mixed")
    one, other = entry(publish), entry(publish, seed=1)
    write_segment(folder / segment_name("predictions", "a.1", 1), [one], replica="r")
    Committer(tmp_path, "mixed").commit()
    path = folder / segment_name("predictions", "a.1", 2)
    write_segment(path, [other], replica="r")
    with pa.OSFile(str(path), "rb") as file:
        table = pa.ipc.open_file(file).read_all()
    more = table.append_column("new", pa.array(["x"] * table.num_rows)).drop_columns(["void"])
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, more.schema) as writer:
        writer.write_table(more)
    Committer(tmp_path, "mixed").commit()
    kept = DeltaTable(str(log_tables(tmp_path, "mixed")[0])).to_pyarrow_dataset().to_table()
    assert kept.num_rows == 40
    assert sorted(kept.column("__version").unique().to_pylist()) == [1, 2]
    assert kept.column("new").null_count == 20


def test_the_newest_rows_come_back_after_a_restart(tmp_path: Path) -> None:
    for number in range(1, 6):
        spool_labels(tmp_path, number)
    committer = Committer(tmp_path, "mixed")
    assert committer.recent(10).labels is None
    committer.commit()
    recent = committer.recent(3)
    assert recent.predictions is None
    assert recent.labels is not None
    assert recent.labels.num_rows == 3


def test_no_labels_make_an_empty_table_of_the_same_form() -> None:
    assert labels_table([]).schema == labels_table([label(1)]).schema
