from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable

from tenfold.data import clean_table
from tenfold.errors import StoreError
from tenfold.live import log_tables
from tenfold.schema import Column, Kind, Schema
from tenfold_serve import committer as module
from tenfold_serve.committer import Committer, labels_table
from tenfold_serve.prediction_log import write_segment
from tenfold_serve.spool import frame, segment_name, segments, spool_folder
from tests.tenfold_serve.support import Publish, segment_tables
from tests.tenfold_serve.test_prediction_log import Model, entry_of
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
    write_segment(
        folder / segment_name("predictions", "a.1", 1), segment_tables([one], replica="r")
    )
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


def test_a_commit_takes_no_more_than_memory_should_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = spool_labels(tmp_path, 1).stat().st_size
    for number in (2, 3, 4, 5):
        spool_labels(tmp_path, number)
    monkeypatch.setattr(module, "_MAX_BYTES", 2 * size)
    found = []
    while (labels := Committer(tmp_path, "mixed").commit().labels) is not None:
        found.append(labels.column("id").to_pylist())
        monkeypatch.setattr(module, "_MAX_BYTES", size // 2)  # one at least, however large
    assert found == [["id1", "id2"], ["id3"], ["id4"], ["id5"]]


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
    committer = Committer(tmp_path, "mixed")
    committed = committer.commit()
    assert committed.labels is not None
    assert committed.labels.num_rows == 1
    assert committer.n_damaged == 1


def test_a_damaged_segment_is_put_aside_and_the_rest_goes_on(tmp_path: Path) -> None:
    folder = spool_folder(tmp_path, "mixed")
    spool_labels(tmp_path, 2)
    bad = folder / segment_name("labels", "a.1", 1)
    bad.write_bytes(frame(b'{"id": 1}'))
    committed = Committer(tmp_path, "mixed").commit()
    assert committed.labels is not None
    assert committed.labels.num_rows == 1
    assert [path.name for path in folder.iterdir()] == [f"damaged-{bad.name}"]


def test_the_labels_before_the_damage_are_kept_and_the_file_too(tmp_path: Path) -> None:
    """Three labels were acknowledged; a bit of the second has turned."""
    path = spool_labels(tmp_path, 1)
    first, second, third = (frame(orjson.dumps(label(number))) for number in (1, 2, 3))
    turned = bytearray(second)
    turned[20] ^= 1
    path.write_bytes(whole := first + turned + third)
    spool_labels(tmp_path, 4, app="b.1")
    committer = Committer(tmp_path, "mixed")
    assert committer.n_damaged == 0
    committed = committer.commit()
    assert committed.labels is not None
    assert sorted(committed.labels.column("id").to_pylist()) == ["id1", "id4"]
    (kept,) = path.parent.iterdir()
    assert (kept.name, kept.read_bytes()) == (f"damaged-{path.name}", whole)
    assert committer.n_damaged == 1
    assert Committer(tmp_path, "mixed").commit().labels is None
    assert Committer(tmp_path, "mixed").n_damaged == 1


@pytest.mark.parametrize("left", [0, 1, 10, 200, -1])
def test_a_prediction_segment_that_is_cut_short_stops_nothing(
    tmp_path: Path, publish: Publish, left: int
) -> None:
    folder = spool_folder(tmp_path, "mixed")
    for number in (1, 2):
        write_segment(
            folder / segment_name("predictions", "a.1", number),
            segment_tables([entry(publish)], replica="r"),
        )
    cut = folder / segment_name("predictions", "a.1", 1)
    cut.write_bytes(cut.read_bytes()[:left])
    committer = Committer(tmp_path, "mixed")
    committed = committer.commit()
    assert committed.predictions is not None
    assert committed.predictions.num_rows == 20
    assert committer.n_damaged == 1


def test_what_was_damaged_is_kept_when_the_commit_was_cut_short(tmp_path: Path) -> None:
    """Ended between the commit and the removal: the next run removes, and what is aside stays."""
    path = spool_labels(tmp_path, 1)
    path.write_bytes(damaged := path.read_bytes() + b"garbage")
    Committer(tmp_path, "mixed").commit()
    path.write_bytes(damaged)
    assert Committer(tmp_path, "mixed").commit().labels is None
    assert [kept.read_bytes() for kept in path.parent.iterdir()] == [damaged]


def test_each_table_takes_its_own_rows_whatever_the_other_does(
    tmp_path: Path, publish: Publish
) -> None:
    folder = spool_folder(tmp_path, "mixed")
    tables = dict(zip(("predictions", "labels"), log_tables(tmp_path, "mixed"), strict=True))
    for number, (kind, other) in enumerate((("predictions", "labels"), ("labels", "predictions"))):
        name = segment_name("predictions", "a.1", number + 1)
        write_segment(folder / name, segment_tables([entry(publish)], replica="r"))
        spool_labels(tmp_path, number + 1)
        tables[kind].parent.mkdir(exist_ok=True)
        aside = tmp_path / "aside"
        if tables[kind].exists():
            tables[kind].rename(aside)
        tables[kind].write_text("in the way")
        committer = Committer(tmp_path, "mixed")
        committed = committer.commit()
        assert getattr(committed, kind) is None
        assert getattr(committed, other) is not None
        (trouble,) = committed.troubles
        assert isinstance(trouble, StoreError)
        assert str(tables[kind]) in str(trouble)
        assert [segment.number for segment in segments(folder, kind)] == [number + 1]
        assert segments(folder, other) == []
        tables[kind].unlink()
        if aside.exists():
            aside.rename(tables[kind])
        assert getattr(committer.commit(), kind) is not None
    assert [count(table) for table in tables.values()] == [40, 2]


@pytest.mark.parametrize("first", ["whole", "number", "word", "moment"])
@pytest.mark.parametrize("second", ["whole", "number", "word", "moment"])
def test_one_table_serves_models_that_read_a_column_as_another_kind(
    tmp_path: Path, first: str, second: str
) -> None:
    kinds: dict[str, tuple[Kind, Any]] = {
        "whole": (Kind.INTEGER, 7),
        "number": (Kind.NUMBER, 2.5),
        "word": (Kind.CATEGORY, "red"),
        "moment": (Kind.DATETIME, "2026-01-02T03:04:05Z"),
    }
    folder = spool_folder(tmp_path, "mixed")
    for number, name in enumerate((first, second)):
        kind, value = kinds[name]
        model = Model(Schema((Column("x", kind),)), version=number)
        path = folder / segment_name("predictions", "a.1", number + 1)
        write_segment(path, segment_tables([entry_of([{"x": value}], model)], replica="r"))
        assert Committer(tmp_path, "mixed").commit().troubles == ()
    kept = DeltaTable(str(log_tables(tmp_path, "mixed")[0])).to_pyarrow_dataset().to_table()
    for number, name in enumerate((first, second)):
        own = kept.filter(pc.equal(kept.column("__version"), number))
        read, _ = clean_table(own, Schema((Column("x", kinds[name][0]),)))
        (found,) = read.column("x").to_pylist()
        wanted = kinds[name][1]
        assert found == (datetime.fromisoformat(wanted) if name == "moment" else wanted)


def test_a_model_with_other_columns_joins_the_same_table(tmp_path: Path, publish: Publish) -> None:
    folder = spool_folder(tmp_path, "mixed")
    one, other = entry(publish), entry(publish, seed=1)
    write_segment(
        folder / segment_name("predictions", "a.1", 1), segment_tables([one], replica="r")
    )
    Committer(tmp_path, "mixed").commit()
    path = folder / segment_name("predictions", "a.1", 2)
    write_segment(path, segment_tables([other], replica="r"))
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
    assert {kept.schema.field(column.name).type for column in one.arm.schema.features} == {
        pa.string()
    }


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
