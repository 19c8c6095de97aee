"""An append behind the log's end: what delta-rs then reads, and whoever is first with a number."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tenfold.errors import StoreError
from tenfold_serve.log_end import actions, append_entry, entry_path, put_entry, read_end, versions
from tenfold_serve.log_table import LogTable
from tests.tenfold_serve.test_log_table import inode, rows, watched_syncs, write, written_inodes

SCHEMA = pa.schema(
    [
        pa.field("at", pa.timestamp("us", tz="UTC")),
        pa.field("n", pa.int32()),
        pa.field("x", pa.string()),
        pa.field("scores", pa.list_(pa.float64())),
    ]
)
MOMENTS = st.datetimes().map(  # of the years 1 to 9999, as labels may be
    lambda one: one.replace(tzinfo=UTC)
)
ROWS = st.fixed_dictionaries(
    {
        "at": st.none() | MOMENTS,
        "n": st.none() | st.integers(-(2**31), 2**31 - 1),
        "x": st.none() | st.text(max_size=5),
        "scores": st.none() | st.lists(st.floats(allow_nan=False), max_size=3),
    }
)


def read(folder: Path) -> list[dict[str, Any]]:
    table = DeltaTable(str(folder)).to_pyarrow_dataset().to_table()
    return [dict(row) for row in table.select(SCHEMA.names).to_pylist()]


def least_and_most(folder: Path) -> list[tuple[Any, ...]]:
    files = pa.table(DeltaTable(str(folder)).get_add_actions(flatten=True))
    names = ("num_records", "min.at", "max.at", "null_count.at", "min.n", "max.n", "null_count.n")
    columns = [
        files.column(name).to_pylist() if name in files.column_names else [None] * files.num_rows
        for name in names
    ]
    columns = [[_millis(value) for value in column] for column in columns]
    return sorted(zip(*columns, strict=True), key=repr)


def _millis(value: Any) -> Any:
    """delta-rs cuts a moment off there, which makes the largest too small; ours is exact."""
    if not isinstance(value, datetime):
        return value
    return value.replace(microsecond=value.microsecond // 1000 * 1000)


@hypothesis_settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(ROWS, min_size=1, max_size=6), min_size=1, max_size=4))
def test_what_is_appended_is_what_delta_would_have_written(
    tmp_path_factory: pytest.TempPathFactory, commits: list[list[dict[str, Any]]]
) -> None:
    ours, theirs = (tmp_path_factory.mktemp("append") / name for name in ("ours", "theirs"))
    table = LogTable(ours)
    for number, commit in enumerate([[], *commits]):  # the first is delta's own
        batch = pa.Table.from_pylist(commit, schema=SCHEMA)
        table.append(batch, {"a.1": number})
        write_deltalake(str(theirs), batch, mode="append")
    assert DeltaTable(str(ours)).version() == len(commits)
    assert sorted(map(repr, read(ours))) == sorted(map(repr, read(theirs)))
    assert least_and_most(ours) == least_and_most(theirs)
    LogTable(ours).compact(1 << 20)
    assert sorted(map(repr, read(ours))) == sorted(map(repr, read(theirs)))
    assert LogTable(ours).known_numbers({"a.1"}) == {"a.1": len(commits)}


def test_many_rows_are_written_in_parts_and_stay_in_their_order(tmp_path: Path) -> None:
    table = LogTable(tmp_path / "t")
    write(table, 1, 0)
    parts = []
    table.append(rows(*range(1, 2501)), {"a.1": 2}, breathe=lambda: parts.append(1))
    assert len(parts) == 3
    newest = table.newest(["at", "x"], 2500, order="at")
    assert newest is not None
    assert newest.column("x").to_pylist() == [str(n) for n in range(1, 2501)]
    assert len(DeltaTable(str(tmp_path / "t")).file_uris()) == 2


def test_a_commit_without_rows_is_one(tmp_path: Path) -> None:
    table = LogTable(tmp_path / "t")
    for number in (1, 2):
        table.append(rows().slice(0, 0), {"a.1": number})
    assert LogTable(tmp_path / "t").known_numbers({"a.1"}) == {"a.1": 2}
    assert DeltaTable(str(tmp_path / "t")).version() == 1
    assert list((tmp_path / "t").glob("*.parquet")) == []


def test_columns_that_lack_are_null_and_a_new_one_is_added(tmp_path: Path) -> None:
    table = LogTable(tmp_path / "t")
    write(table, 1, 1)
    table.append(rows(2).select(["at"]), {"a.1": 2})
    table.append(rows(3).append_column("y", pa.array([1.5])), {"a.1": 3})
    table.append(rows(4), {"a.1": 4})
    found = DeltaTable(str(tmp_path / "t")).to_pyarrow_dataset().to_table().sort_by("at")
    assert found.column("x").to_pylist() == ["1", None, "3", "4"]
    assert found.column("y").to_pylist() == [None, None, 1.5, None]


@pytest.mark.parametrize("name", ["compaction", "append", "new column", "another process"])
def test_who_comes_second_goes_behind(tmp_path: Path, name: str) -> None:
    """Somebody commits while the rows are written."""
    folder = tmp_path / "t"
    table = LogTable(folder)
    for number in (1, 2):
        write(table, number, number)
    others: dict[str, Callable[[], object]] = {
        "compaction": lambda: LogTable(folder).compact(1 << 20),
        "append": lambda: LogTable(folder).append(rows(10), {"b.1": 1}),
        "new column": lambda: LogTable(folder).append(
            rows(10).append_column("y", pa.array([1.5])), {"b.1": 1}
        ),
        "another process": lambda: write_deltalake(str(folder), rows(10), mode="append"),
    }
    table.append(rows(3), {"a.1": 3}, breathe=others[name])
    write(table, 4, 4)
    newest = table.newest(["at", "x"], 100, order="at")
    assert newest is not None
    expected = ["1", "2", "3", "4"] + ([] if name == "compaction" else ["10"])
    assert newest.column("x").to_pylist() == expected
    assert table.known_numbers({"a.1"}) == {"a.1": 4}
    delta = DeltaTable(str(folder))
    files = {Path(uri).name for uri in delta.file_uris()}
    delta.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False, full=True)
    assert {path.name for path in folder.glob("*.parquet")} == files
    assert versions(folder / "_delta_log")[: delta.version()] == list(range(delta.version()))


def test_segments_that_another_committer_put_in_are_not_put_in_twice(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    table = LogTable(folder)
    write(table, 1, 1)
    with pytest.raises(StoreError, match=r"one committer, and another one has committed .* a\.1"):
        table.append(
            rows(2), {"a.1": 2}, breathe=lambda: LogTable(folder).append(rows(2), {"a.1": 2})
        )
    assert table.known_numbers({"a.1"}) == {"a.1": 2}
    newest = table.newest(["at", "x"], 100, order="at")
    assert newest is not None
    assert newest.column("x").to_pylist() == ["1", "2"]
    assert len(list(folder.glob("*.parquet"))) == 2


def test_of_many_that_put_a_number_one_does(tmp_path: Path) -> None:
    put: list[int] = []
    start = threading.Barrier(8)

    def one(who: int) -> None:
        entry = append_entry([], {f"w.{who}": 1})
        start.wait()
        try:
            put_entry(tmp_path, 3, entry)
        except FileExistsError:
            return
        put.append(who)

    threads = [threading.Thread(target=one, args=(who,)) for who in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(put) == 1
    told = [
        action["txn"]["appId"] for action in actions(entry_path(tmp_path, 3)) if "txn" in action
    ]
    assert told == [f"w.{put[0]}"]
    assert [path.name for path in tmp_path.iterdir()] == [entry_path(tmp_path, 3).name]


def test_what_a_killed_writer_left_disturbs_nobody(tmp_path: Path) -> None:
    """Rows without an entry, and an entry without its number."""
    table = LogTable(tmp_path / "t")
    write(table, 1, 1)
    whole = next((tmp_path / "t").glob("*.parquet"))
    (tmp_path / "t" / "part-00000-left-c000.zstd.parquet").write_bytes(whole.read_bytes()[:50])
    (tmp_path / "t" / "_delta_log" / "_left.json.tmp").write_text('{"add": {"pa')
    write(table, 2, 2)
    assert LogTable(tmp_path / "t").known_numbers({"a.1"}) == {"a.1": 2}
    table.compact(1 << 20)
    assert DeltaTable(str(tmp_path / "t")).to_pyarrow_dataset().count_rows() == 2


@pytest.mark.parametrize("fails", [".parquet", ".json.tmp"])
def test_a_disk_that_refuses_leaves_nothing_behind(tmp_path: Path, fails: str) -> None:
    table = LogTable(tmp_path / "t")
    write(table, 1, 1)
    before = written_inodes(tmp_path / "t")
    real = os.fsync

    def fail(handle: int) -> None:
        if str(Path(f"/proc/self/fd/{handle}").readlink()).endswith(fails):
            raise OSError(28, "No space left on device")
        real(handle)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(StoreError, match=r"could not take 1 rows: .*No space left"):
            write(table, 2, 2)
    assert written_inodes(tmp_path / "t") == before
    assert table.known_numbers({"a.1"}) == {"a.1": 1}
    write(table, 2, 2)
    assert DeltaTable(str(tmp_path / "t")).to_pyarrow_dataset().count_rows() == 2


def test_what_a_table_asks_of_its_writers_is_heeded(tmp_path: Path) -> None:
    """A constraint, as anybody may add one, is delta-rs's to check."""
    table = LogTable(tmp_path / "t")
    write(table, 1, 1)
    DeltaTable(str(tmp_path / "t")).alter.add_constraint({"short": "x < '3'"})
    write(table, 2, 2)
    with pytest.raises(StoreError, match="could not take 1 rows"):
        write(table, 3, 3)
    assert table.known_numbers({"a.1"}) == {"a.1": 2}


def failing_once(name: str, *, after: bool, error: OSError) -> Callable[..., Any]:
    """A call of `os` that fails once, before or after it has done its work."""
    real, failed = getattr(os, name), []

    def call(*arguments: Any, **others: Any) -> Any:
        if failed:
            return real(*arguments, **others)
        failed.append(1)
        if after:
            real(*arguments, **others)
        raise error

    return call


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("link", FileExistsError(17, "File exists")),  # a lost answer, and the second try's
        ("link", OSError(5, "Input/output error")),
        ("unlink", OSError(5, "Input/output error")),
    ],
)
def test_a_commit_that_stands_keeps_its_rows_whatever_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: OSError
) -> None:
    table = LogTable(tmp_path / "t")
    write(table, 1, 1)
    monkeypatch.setattr(os, name, failing_once(name, after=name == "link", error=error))
    write(table, 2, 2)
    assert table.known_numbers({"a.1"}) == {"a.1": 2}
    assert DeltaTable(str(tmp_path / "t")).to_pyarrow_dataset().count_rows() == 2


def test_an_entry_that_was_not_put_leaves_no_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = LogTable(tmp_path / "t")
    write(table, 1, 1)
    before = written_inodes(tmp_path / "t")
    fails = failing_once("link", after=False, error=OSError(5, "Input/output error"))
    monkeypatch.setattr(os, "link", fails)
    with pytest.raises(StoreError, match="could not take 1 rows"):
        write(table, 2, 2)
    assert written_inodes(tmp_path / "t") == before
    with pytest.raises(StoreError, match="could not take 1 rows: no breath"):
        table.append(rows(2), {"a.1": 2}, breathe=no_breath)
    assert written_inodes(tmp_path / "t") == before
    write(table, 2, 2)
    assert DeltaTable(str(tmp_path / "t")).to_pyarrow_dataset().count_rows() == 2


def no_breath() -> None:
    raise ValueError("no breath")


STEPS = """
import os, signal, sys
from pathlib import Path
import pyarrow as pa
from tenfold_serve.log_table import LogTable

left = int(sys.argv[2])
def counted(name):
    real = getattr(os, name)
    def call(*arguments, **others):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **others)
    setattr(os, name, call)
for name in ("open", "fsync", "link", "unlink"):
    counted(name)
table = LogTable(Path(sys.argv[1]))
known = table.known_numbers({"a.1"})
number = known.get("a.1", 0) + 1
table.append(pa.table({"x": [str(number)]}), {"a.1": number}, known=known)
"""


def test_killed_at_any_step_a_commit_is_whole_or_not_there(tmp_path: Path) -> None:
    outcomes: list[tuple[int, int]] = []
    while not outcomes or outcomes[-1][0] == -9:
        step = len(outcomes) + 1
        folder = tmp_path / f"t{step}"
        LogTable(folder).append(pa.table({"x": ["1"]}), {"a.1": 1})
        for kill_at in (step, 0):  # who comes next goes on with what is there
            command = [sys.executable, "-c", STEPS, str(folder), str(kill_at)]
            code = subprocess.run(command, timeout=60).returncode
            if kill_at:
                after = LogTable(folder).known_numbers({"a.1"})["a.1"]
                outcomes.append((code, after))
            last = LogTable(folder).known_numbers({"a.1"})["a.1"]
            found = DeltaTable(str(folder)).to_pyarrow_dataset().to_table()
            assert sorted(map(int, found.column("x").to_pylist())) == list(range(1, last + 1))
        assert code == 0 and last == outcomes[-1][1] + 1
    assert outcomes[-1][0] == 0
    assert {after for _, after in outcomes} == {1, 2}
    assert len(outcomes) > 8


RACES = """
import sys
from pathlib import Path
import pyarrow as pa
from tenfold_serve.log_table import LogTable

table, who = LogTable(Path(sys.argv[1])), sys.argv[2]
table.known_numbers({who})
print("ready", flush=True)
sys.stdin.readline()
for number in range(1, 41):
    table.append(pa.table({"x": [f"{who} {number}"]}), {who: number})
"""


def test_processes_that_race_for_numbers_lose_no_row(tmp_path: Path) -> None:
    LogTable(tmp_path / "t").append(pa.table({"x": ["first"]}), {"a.1": 1})
    commands = [[sys.executable, "-c", RACES, str(tmp_path / "t"), f"w.{k}"] for k in range(3)]
    children = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for command in commands
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.communicate("go\n", timeout=120)
        assert child.returncode == 0
    found = DeltaTable(str(tmp_path / "t")).to_pyarrow_dataset().to_table()
    expected = [f"w.{k} {number}" for k in range(3) for number in range(1, 41)]
    assert sorted(found.column("x").to_pylist()) == sorted([*expected, "first"])
    assert versions(tmp_path / "t" / "_delta_log") == list(range(121))


def test_rows_that_were_chosen_by_other_numbers_are_not_put_in(tmp_path: Path) -> None:
    """Another committer came between the look and the append."""
    table = LogTable(tmp_path / "t")
    write(table, 1, 1)
    known = table.known_numbers({"a.1"})
    write(LogTable(tmp_path / "t"), 2, 2)
    with pytest.raises(StoreError, match="one committer"):
        table.append(rows(2), {"a.1": 2}, known=known)
    with pytest.raises(StoreError, match="one committer"):  # nor by delta-rs
        more = rows(2).append_column("y", pa.array([1.5]))
        table.append(more, {"a.1": 2}, known=known)
    assert DeltaTable(str(tmp_path / "t")).to_pyarrow_dataset().count_rows() == 2


def test_entries_that_were_removed_before_they_were_read_are_no_end(tmp_path: Path) -> None:
    """A machine that slept: what it knows stands, and what followed is in a checkpoint."""
    table = LogTable(tmp_path / "t")
    for number in (1, 2, 3):
        write(table, number, number)
    other = LogTable(tmp_path / "t")
    for number in (4, 5, 6):
        write(other, number, number)
    DeltaTable(str(tmp_path / "t")).create_checkpoint()
    for version in (3, 4):
        entry_path(tmp_path / "t" / "_delta_log", version).unlink()
    assert table.known_numbers({"a.1"}) == {"a.1": 6}
    write(table, 7, 7)
    assert DeltaTable(str(tmp_path / "t")).to_pyarrow_dataset().count_rows() == 7


@pytest.mark.parametrize("type_", [pa.uint32(), pa.dictionary(pa.int32(), pa.string())])
def test_types_that_delta_lacks_are_delta_rs_to_write(tmp_path: Path, type_: pa.DataType) -> None:
    values = pa.array([1] if type_ == pa.uint32() else ["a"])
    table = LogTable(tmp_path / "t")
    for number in (1, 2):
        table.append(pa.table({"x": values.cast(type_)}), {"a.1": number})
    for path in (tmp_path / "t").glob("*.parquet"):
        assert path.name.endswith(".snappy.parquet")
    assert DeltaTable(str(tmp_path / "t")).to_pyarrow_dataset().count_rows() == 2


def test_a_table_with_features_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_deltalake(str(tmp_path / "t"), rows(1, 2), partition_by=["x"])
    table = LogTable(tmp_path / "t")
    for number in (1, 2):
        write(table, number, number)
    assert caplog.text.count("commits take longer") == 1


def test_a_table_in_partitions_stays_one(tmp_path: Path) -> None:
    write_deltalake(str(tmp_path / "t"), rows(1, 2), partition_by=["x"])
    write(LogTable(tmp_path / "t"), 1, 3)
    assert {path.name for path in (tmp_path / "t").glob("x=*")} == {"x=1", "x=2", "x=3"}


def test_an_entry_that_is_not_deltas_is_told(tmp_path: Path) -> None:
    table = LogTable(tmp_path / "t")
    write(table, 1, 1)
    entry_path(tmp_path / "t" / "_delta_log", 1).write_text("{torn")
    with pytest.raises(StoreError, match="cannot be read"):
        write(table, 2, 2)


def test_joined_files_and_old_entries_are_kept_for_a_day(tmp_path: Path) -> None:
    write(LogTable(tmp_path / "t"), 1, 1)
    told = DeltaTable(str(tmp_path / "t")).metadata().configuration
    assert told["delta.deletedFileRetentionDuration"] == "interval 1 days"
    assert told["delta.logRetentionDuration"] == "interval 1 days"


def test_a_compaction_leaves_a_checkpoint_and_removes_what_is_too_old(tmp_path: Path) -> None:
    log = tmp_path / "t" / "_delta_log"
    table = LogTable(tmp_path / "t")
    for number in range(1, 5):
        write(table, number, number)
    table.compact(1 << 20)
    assert list(log.glob("*.checkpoint.parquet"))
    assert versions(log)[0] == 0
    old = 86_400 * 3
    for path in log.glob("*"):
        os.utime(path, (path.stat().st_mtime - old,) * 2)
    for number in range(5, 8):
        write(table, number, number)
    table.compact(1 << 20)
    assert versions(log)[0] > 0
    fresh = LogTable(tmp_path / "t")
    assert fresh.known_numbers({"a.1"}) == {"a.1": 7}
    write(table, 8, 8)
    newest = fresh.newest(["at", "x"], 100, order="at")
    assert newest is not None
    assert newest.column("x").to_pylist() == [str(number) for number in range(1, 9)]


def test_a_table_of_an_earlier_version_is_kept_for_a_day_too(tmp_path: Path) -> None:
    write_deltalake(str(tmp_path / "t"), rows(1), configuration={"delta.appendOnly": "false"})
    table = LogTable(tmp_path / "t")
    write(table, 1, 2)
    table.compact(1 << 20)
    write(table, 2, 3)
    told = DeltaTable(str(tmp_path / "t")).metadata().configuration
    assert told["delta.logRetentionDuration"] == "interval 1 days"
    assert DeltaTable(str(tmp_path / "t")).to_pyarrow_dataset().count_rows() == 3


@pytest.mark.parametrize("target_bytes", [1, 1 << 20])
def test_a_checkpoint_is_durable_before_it_is_named(tmp_path: Path, target_bytes: int) -> None:
    """Also where nothing was joined, and the checkpoint is of a commit that was durable before."""
    log = tmp_path / "t" / "_delta_log"
    table = LogTable(tmp_path / "t")
    for number in range(1, 4):
        write(table, number, number)
    with watched_syncs() as synced:
        LogTable(tmp_path / "t").compact(target_bytes)
    order = list(synced)
    (checkpoint,) = log.glob("*.checkpoint.parquet")
    named = order.index(inode(log / "_last_checkpoint"))
    assert order.index(inode(checkpoint)) < named


def test_a_checkpoint_that_another_made_is_durable_with_the_next_commit(tmp_path: Path) -> None:
    """The commit syncs the name of the checkpoint: then the checkpoint, too."""
    table = LogTable(tmp_path / "t")
    for number in range(1, 4):
        write(table, number, number)
    DeltaTable(str(tmp_path / "t")).create_checkpoint()
    with watched_syncs() as synced:
        write(table, 4, 4)
    (checkpoint,) = (tmp_path / "t" / "_delta_log").glob("*.checkpoint.parquet")
    assert inode(checkpoint) in synced
    with watched_syncs() as synced:
        write(table, 5, 5)
    assert inode(checkpoint) not in synced


def test_a_file_that_cannot_be_joined_keeps_no_log_from_being_cleaned(tmp_path: Path) -> None:
    table = LogTable(tmp_path / "t")
    for number in range(1, 4):
        write(table, number, number)
    next((tmp_path / "t").glob("*.parquet")).write_bytes(b"no parquet")
    with pytest.raises(StoreError, match="could not be compacted"):
        table.compact(1 << 20)
    assert list((tmp_path / "t" / "_delta_log").glob("*.checkpoint.parquet"))


def test_what_killed_commits_left_is_removed_after_a_day(tmp_path: Path) -> None:
    table = LogTable(tmp_path / "t")
    write(table, 1, 1)
    log = tmp_path / "t" / "_delta_log"
    for name, age_s in (("_old", 90_000), ("_new", 10)):
        (log / f"{name}.json.tmp").write_text("{")
        now = (log / f"{name}.json.tmp").stat().st_mtime
        os.utime(log / f"{name}.json.tmp", (now - age_s, now - age_s))
    table.compact(1 << 20, thorough=True)
    assert [path.name for path in log.glob("*.tmp")] == ["_new.json.tmp"]


def test_there_is_no_end_where_there_is_no_table(tmp_path: Path) -> None:
    assert read_end(tmp_path / "none") is None
