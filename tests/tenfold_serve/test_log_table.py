"""A commit is durable before it is told; the newest rows cost the newest files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from tenfold.errors import StoreError
from tenfold_serve.committer import Committer
from tenfold_serve.log_end import entry_path, versions
from tenfold_serve.log_table import LogTable
from tenfold_serve.spool import segments, spool_folder
from tests.tenfold_serve.test_committer import spool_labels


def rows(*at: int) -> pa.Table:
    times = pa.array([one * 10**6 for one in at]).cast(pa.timestamp("us", tz="UTC"))
    return pa.table({"at": times, "x": [str(one) for one in at]})


def write(table: LogTable, number: int, *at: int) -> None:
    table.append(rows(*at), {"a.1": number})


@contextmanager
def watched_syncs() -> Iterator[dict[int, bool]]:
    """The inode of all that is synced, and whether spooled segments were still there then."""
    synced: dict[int, bool] = {}
    real = os.fsync
    patch = pytest.MonkeyPatch()

    def fsync(handle: int) -> None:
        path = Path(f"/proc/self/fd/{handle}").readlink()
        spool = next((p / "spool" for p in path.parents if (p / "spool").is_dir()), None)
        kept = spool is None or bool(segments(spool, "labels"))
        synced[os.fstat(handle).st_ino] = kept
        real(handle)

    patch.setattr(os, "fsync", fsync)
    try:
        yield synced
    finally:
        patch.undo()


def inode(path: Path) -> int:
    return path.stat().st_ino


def written_inodes(folder: Path) -> set[int]:
    """Of all files of a table."""
    return {inode(path) for path in folder.rglob("*") if path.is_file()}


def inodes_of(folder: Path) -> set[int]:
    """Of its files and the folders that name them."""
    return written_inodes(folder) | {inode(folder), inode(folder / "_delta_log")}


def test_all_that_a_commit_wrote_is_synced_before_its_segments_go(tmp_path: Path) -> None:
    committer = Committer(tmp_path, "mixed")
    folder = tmp_path / "mixed" / "labels"
    before: set[int] = set()
    for number in (1, 2, 3):
        spool_labels(tmp_path, number)
        with watched_syncs() as synced:
            committer.commit()
        assert segments(spool_folder(tmp_path, "mixed"), "labels") == []
        written = inodes_of(folder) - before
        assert len(written) >= 2
        assert written <= synced.keys()
        assert inode(folder.parent) in synced
        assert all(synced.values())
        before = written_inodes(folder)


def test_a_commit_that_was_not_synced_is_synced_by_the_next_run(tmp_path: Path) -> None:
    """The keeper ended after the commit: the segments are there, their numbers are known."""
    path = spool_labels(tmp_path, 1)
    body = path.read_bytes()
    Committer(tmp_path, "mixed").commit()
    path.write_bytes(body)
    with watched_syncs() as synced:
        assert Committer(tmp_path, "mixed").commit().labels is None
    assert inodes_of(tmp_path / "mixed" / "labels") <= synced.keys()
    assert all(synced.values())
    assert not path.exists()


def test_a_disk_that_does_not_sync_keeps_the_segments(tmp_path: Path) -> None:
    spool_labels(tmp_path, 1)
    real = os.fsync

    def fail(handle: int) -> None:
        if "_delta_log" in str(Path(f"/proc/self/fd/{handle}").readlink()):
            raise OSError(5, "Input/output error")
        real(handle)

    committer = Committer(tmp_path, "mixed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        (trouble,) = committer.commit().troubles
    assert "could not be made durable" in str(trouble)
    assert len(segments(spool_folder(tmp_path, "mixed"), "labels")) == 1
    assert committer.commit().troubles == ()
    assert DeltaTable(str(tmp_path / "mixed" / "labels")).to_pyarrow_dataset().count_rows() == 1


def test_numbers_are_known_by_writer(tmp_path: Path) -> None:
    table = LogTable(tmp_path / "t")
    assert table.known_numbers({"a.1"}) == {}
    table.append(rows(1), {"a.1": 3, "b.1": 1})
    assert LogTable(tmp_path / "t").known_numbers({"a.1", "c.1"}) == {"a.1": 3}


def test_only_the_files_that_hold_the_newest_rows_are_read(tmp_path: Path) -> None:
    table = LogTable(tmp_path / "t")
    assert table.newest(["x"], 5, order="at") is None
    for number, at in enumerate(((1, 2, 3), (10, 11), (20, 21, 22))):
        write(table, number + 1, *at)
    files = pa.table(DeltaTable(str(tmp_path / "t")).get_add_actions(flatten=True))
    oldest = files.sort_by("max.at").column("path")[0].as_py()
    (tmp_path / "t" / oldest).unlink()  # who reads it fails
    found = table.newest(["at", "x"], 4, order="at")
    assert found is not None
    assert found.column("x").to_pylist() == ["11", "20", "21", "22"]
    with pytest.raises(StoreError, match="cannot be read"):
        table.newest(["at", "x"], 6, order="at")


def test_compaction_keeps_the_rows_and_the_numbers(tmp_path: Path) -> None:
    table = LogTable(tmp_path / "t")
    for number in range(1, 7):
        write(table, number, number)
    with watched_syncs() as synced:
        table.compact(1 << 20)
    write(table, 7, 7)
    found = DeltaTable(str(tmp_path / "t"))
    assert len(found.file_uris()) == 2
    files = {inode(tmp_path / "t" / Path(uri).name) for uri in found.file_uris()}
    assert len(files & synced.keys()) == 1
    assert inode(tmp_path / "t" / "_delta_log" / f"{6:020d}.json") in synced
    newest = table.newest(["at", "x"], 100, order="at")
    assert newest is not None
    assert newest.column("x").to_pylist() == [str(number) for number in range(1, 8)]
    assert table.known_numbers({"a.1"}) == {"a.1": 7}


@pytest.mark.parametrize("fresh", [False, True])
def test_what_another_committed_beneath_a_commit_is_durable_with_it(
    tmp_path: Path, fresh: bool
) -> None:
    table = LogTable(tmp_path / "t")
    write(table, 1, 1)
    before = inodes_of(tmp_path / "t")
    write_deltalake(DeltaTable(str(tmp_path / "t")), rows(2), mode="append")
    if fresh:  # a keeper that was started since
        table = LogTable(tmp_path / "t")
        table.known_numbers({"a.1"})
    with watched_syncs() as synced:
        write(table, 2, 3)
    assert inodes_of(tmp_path / "t") - before <= synced.keys()


def test_a_commit_after_a_start_syncs_from_the_newest_checkpoint_on(tmp_path: Path) -> None:
    table = LogTable(tmp_path / "t")
    for number in (1, 2, 3):
        write(table, number, number)
    DeltaTable(str(tmp_path / "t")).create_checkpoint()
    with watched_syncs() as synced:
        write(LogTable(tmp_path / "t"), 4, 4)
    log = tmp_path / "t" / "_delta_log"
    assert [n for n in versions(log) if inode(entry_path(log, n)) in synced] == [2, 3]
    with watched_syncs() as synced:
        write(table, 5, 5)
    assert inode(entry_path(log, 4)) in synced


def test_only_small_files_are_joined(tmp_path: Path) -> None:
    table = LogTable(tmp_path / "t")
    for number in (1, 2, 3):
        write(table, number, number)
    sizes = pa.table(DeltaTable(str(tmp_path / "t")).get_add_actions(flatten=True))
    table.compact(min(sizes.column("size_bytes").to_pylist()) - 1)
    assert DeltaTable(str(tmp_path / "t")).version() == 2


def test_files_that_were_joined_are_removed_after_their_time(tmp_path: Path) -> None:
    table = LogTable(tmp_path / "t")
    for number in (1, 2, 3):
        write(table, number, number)
    table.compact(1 << 20)
    delta = DeltaTable(str(tmp_path / "t"))
    assert len(list((tmp_path / "t").glob("*.parquet"))) == 4  # three are kept for readers
    delta.alter.set_table_properties({"delta.deletedFileRetentionDuration": "interval 0 hours"})
    for number in (4, 5, 6):
        write(table, number, number)
    table.compact(1 << 20)
    assert len(list((tmp_path / "t").glob("*.parquet"))) == 1
    newest = table.newest(["x", "at"], 100, order="at")
    assert newest is not None
    assert newest.num_rows == 6


def test_a_table_that_is_not_there_or_broken_is_not_compacted(tmp_path: Path) -> None:
    table = LogTable(tmp_path / "t")
    table.compact(1 << 20)
    assert not (tmp_path / "t").exists()
    for number in (1, 2):
        write(table, number, number)
    next((tmp_path / "t").glob("*.parquet")).write_bytes(b"no parquet")
    with pytest.raises(StoreError, match="could not be compacted"):
        table.compact(1 << 20)


def test_a_table_in_whose_place_is_a_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be read"):
        write(LogTable(tmp_path / "t"), 1, 1)


def made(folder: Path, *batches: pa.Table) -> Path:
    table = LogTable(folder)
    for number, batch in enumerate(batches):
        table.append(batch, {"b.1": number + 1})
    return folder


def swap(folder: Path, other: Path) -> None:
    shutil.rmtree(folder)
    other.rename(folder)


def columns_of(folder: Path) -> set[str]:
    return set(DeltaTable(str(folder)).schema().to_arrow().names)


def test_what_others_do_to_the_table_is_seen(tmp_path: Path) -> None:
    table, other = LogTable(tmp_path / "t"), LogTable(tmp_path / "t")
    write(table, 1, 1)
    other.append(rows(2), {"b.1": 7})
    other.compact(1 << 20)
    assert table.known_numbers({"a.1", "b.1"}) == {"a.1": 1, "b.1": 7}
    delta = DeltaTable(str(tmp_path / "t"))
    delta.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
    write(table, 2, 3)
    newest = table.newest(["x", "at"], 10, order="at")
    assert newest is not None
    assert newest.column("x").to_pylist() == ["1", "2", "3"]


@pytest.mark.parametrize("n_commits", [1, 2, 5])
def test_another_table_in_its_place_is_read_from_its_start(tmp_path: Path, n_commits: int) -> None:
    table = LogTable(tmp_path / "t")
    write(table, 1, 1)
    write(table, 2, 2)
    with_old = rows(10).append_column("old", pa.array(["kept"]))
    swap(tmp_path / "t", made(tmp_path / "other", *[with_old] * n_commits))
    assert table.known_numbers({"a.1", "b.1"}) == {"b.1": n_commits}
    table.append(rows(20).append_column("new", pa.array(["n"])), {"a.1": 3})
    assert columns_of(tmp_path / "t") == {"at", "x", "old", "new"}
    newest = table.newest(["x", "at"], 1, order="at")
    assert newest is not None
    assert newest.column("x").to_pylist() == ["20"]


@pytest.mark.parametrize("folder_stays", [True, False])
def test_a_table_that_was_removed_starts_again(tmp_path: Path, folder_stays: bool) -> None:
    table = LogTable(tmp_path / "t")
    write(table, 1, 1)
    shutil.rmtree(tmp_path / "t")
    if folder_stays:
        (tmp_path / "t" / "_delta_log").mkdir(parents=True)
    assert table.known_numbers({"a.1"}) == {}
    write(table, 2, 2)
    assert table.known_numbers({"a.1"}) == {"a.1": 2}


def test_a_table_that_only_grew_is_not_opened_again(tmp_path: Path) -> None:
    table = LogTable(tmp_path / "t")
    write(table, 1, 1)
    table.known_numbers({"a.1"})
    first = table._known
    for number in range(2, 8):
        write(table, number, number)
        if number == 4:
            LogTable(tmp_path / "t").compact(1 << 20)
    assert first is not None and table._known is first
