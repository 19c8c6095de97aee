"""Snapshots: the same for any order, cut, driver and death."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from tenfold.canonical import canonical_json
from tenfold.data import (
    FOLD,
    HASH,
    ROW,
    InProcess,
    RayData,
    Snapshot,
    prepare,
    read_batches,
    snapshot_from_table,
    source_facts,
)
from tenfold.errors import ClusterError, DataError
from tenfold.profile.sample import SAMPLE_ROWS
from tenfold.project import Project
from tenfold.schema import Kind, Role
from tenfold.settings import Settings

KILLED = Path(__file__).with_name("killed_prepare.py")

BOTH_WAYS_ROWS = 3_000
BOTH_WAYS: dict[str, dict[str, Any]] = {
    "adult": {"problem": {"task": "binary", "target": "salary"}},
    "king-county": {
        "problem": {"task": "regression", "target": "Price"},
        "data": {"time": "Date"},
    },
    "bike": {
        "problem": {"task": "regression", "target": "cnt"},
        "data": {"time": {"order": "rows"}},
    },
    "mall-customers": {
        "problem": {"task": "clustering"},
        "prepare": {"drop_duplicates": False},
    },
}
"""Real tables of every kind of split and task: by content, by date, by order, without a target."""


def _settings(folder: Path) -> Settings:
    return Settings.from_env({"TENFOLD_HOME": str(folder)})


def _digests(snapshot: Snapshot) -> list[Any]:
    profiles = {fold: profile.to_bytes() for fold, profile in snapshot.profiles().items()}
    return [snapshot.digest, snapshot.folds_digest, snapshot.schema, profiles]


def _files(snapshot: Snapshot) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in snapshot.path.iterdir()}


@pytest.fixture(scope="module")
def big_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About 4.5 MiB of CSV in five pieces, with duplicates and a few bad rows."""
    random = np.random.default_rng(3)
    rows = []
    for row in range(90_000):
        age = "old" if row % 9000 == 5 else str(random.integers(18, 90))
        rows.append(
            f"{row % 80_000},{age},{random.normal():.6f},"
            f"{'' if row % 11 == 0 else random.choice(['red', 'green'])},"
            f"2024-01-{1 + row % 28:02d},{'yes' if row % 3 else 'no'}"
        )
    rows += rows[:500]
    path = tmp_path_factory.mktemp("big") / "big.csv"
    path.write_text("n,age,x,color,day,y\n" + "\n".join(rows) + "\n")
    return path


@pytest.fixture(scope="module")
def whole(
    big_file: Path, make_project: Any, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, bytes]:
    """The files of its snapshot, prepared here and without a fault."""
    home = tmp_path_factory.mktemp("whole")
    return _files(prepare(make_project(big_file), settings=_settings(home)))


def test_a_snapshot_holds_the_rows_their_places_hashes_and_folds(
    table_file: Path, settings: Settings, make_project: Any
) -> None:
    snapshot = prepare(make_project(table_file), settings=settings)
    table = snapshot.table()
    assert table.column_names == [*snapshot.schema.names, ROW, HASH, FOLD]
    assert table.schema.field(ROW).type == pa.int64()
    assert table.schema.field(HASH).type == pa.binary(16)
    assert table.schema.field(FOLD).type == pa.int8()
    assert table[ROW].to_pylist() == list(range(600))
    assert set(table[FOLD].to_pylist()) == {-1, 0, 1, 2, 3, 4}
    assert table["city"][0].as_py() == 'Ulm, "Old"\nTown'
    assert snapshot.schema.column("when").kind is Kind.DATETIME
    assert (snapshot.n_rows, snapshot.n_quarantined, snapshot.n_duplicates) == (600, 0, 0)
    profiles = snapshot.profiles()
    assert sum(profile.n_rows for profile in profiles.values()) == 600
    assert profiles[-1].n_rows == 120
    assert Snapshot.latest(settings, "people") == snapshot
    snapshot.verify()


def test_the_sealed_test_set_is_stratified_within_class(
    data_folder: Path, settings: Settings, make_project: Any
) -> None:
    snapshot = prepare(make_project(data_folder / "adult.csv", target="salary"), settings=settings)
    table = snapshot.table()
    for value in (">50K", "<=50K"):
        rows = table.filter(pc.equal(table["salary"], value))
        test = rows.filter(pc.equal(rows[FOLD], -1))
        assert abs(test.num_rows - 0.2 * rows.num_rows) <= 0.5
    assert (snapshot.n_duplicates, snapshot.n_equal, snapshot.n_quarantined) == (0, 24, 0)


def test_csv_and_parquet_of_the_same_rows_are_the_same_snapshot(
    tmp_path: Path, data_folder: Path, make_project: Any
) -> None:
    source = data_folder / "german-credit.csv"
    table = pacsv.read_csv(source)
    pq.write_table(table, tmp_path / "german-credit.parquet", row_group_size=300)
    made = [
        prepare(make_project(path, target="class-label"), settings=_settings(tmp_path / name))
        for name, path in (("csv", source), ("parquet", tmp_path / "german-credit.parquet"))
    ]
    assert made[0].digest == made[1].digest
    assert made[0].folds_digest == made[1].folds_digest


def test_one_row_more_or_another_value_is_another_digest(
    tmp_path: Path, lines: list[str], make_project: Any
) -> None:
    digests = set()
    for name, text in (
        ("same", "\n".join(lines)),
        ("less", "\n".join(lines[:-1])),
        ("other", "\n".join([*lines[:-1], "33, Bonn,1.5,2024-01-01,no"])),
    ):
        path = tmp_path / f"{name}.csv"
        path.write_text(text)
        digests.add(prepare(make_project(path), settings=_settings(tmp_path / name)).digest)
    assert len(digests) == 3


def test_one_block_at_a_time_and_four_at_once_are_bit_identical(
    tmp_path: Path, big_file: Path, make_project: Any
) -> None:
    project = make_project(big_file)
    one, four = (
        prepare(
            project,
            settings=_settings(tmp_path / f"n{n}"),
            drivers=lambda _, n=n: InProcess(n_threads=n),
        )
        for n in (1, 4)
    )
    assert len(one.manifest["blocks"]) >= 4
    assert (one.n_equal, one.n_quarantined) == (499, 11)  # one bad row is there twice
    assert _files(one) == _files(four)


def _kill_in(step: str, project: Project, folder: Path) -> Path:
    """Prepare in a child that is killed after two pieces of a step; returns its home."""
    file = folder / "project.yaml"
    file.write_bytes(canonical_json(project.to_dict()))  # JSON is YAML
    home = folder / "killed"
    command = [sys.executable, str(KILLED), str(file), str(home), step, "2"]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    with pytest.raises(DataError, match="must be prepared first"):
        Snapshot.latest(_settings(home), project)
    return home


@pytest.mark.parametrize("step", ["read", "clean", "split", "profile"])
def test_killed_in_the_middle_and_run_again_is_bit_identical(
    tmp_path: Path,
    big_file: Path,
    whole: Mapping[str, bytes],
    make_project: Any,
    recording: Any,
    step: str,
) -> None:
    project = make_project(big_file)
    home = _kill_in(step, project, tmp_path)
    again = prepare(project, settings=_settings(home), progress=recording)
    n_blocks = len(again.manifest["blocks"])
    if step != "profile":
        assert recording.steps[step] == [2, *[1] * (n_blocks - 2)]  # two were there already
    assert recording.steps["read"][0] == (2 if step == "read" else n_blocks)
    assert _files(again) == whole
    left = sorted(path.name for path in again.path.parent.iterdir())
    assert left == sorted([".lock", "latest.json", again.path.name])


def test_killed_here_and_finished_by_ray_is_bit_identical(
    tmp_path: Path,
    big_file: Path,
    whole: Mapping[str, bytes],
    make_project: Any,
    recording: Any,
    ray_session: None,
) -> None:
    project = make_project(big_file)
    home = _kill_in("clean", project, tmp_path)
    again = prepare(
        project, settings=_settings(home), drivers=lambda _: RayData(), progress=recording
    )
    assert recording.steps["clean"][0] == 2
    assert _files(again) == whole


def test_asked_again_the_work_is_not_done_again(
    table_file: Path, settings: Settings, make_project: Any, recording: Any
) -> None:
    project = make_project(table_file)
    first = prepare(project, settings=settings)
    again = prepare(project, settings=settings, progress=recording)
    assert again == first
    assert recording.steps == {}
    table_file.write_text(table_file.read_text() + "20, Bonn,0.5,2024-02-02,no\n")
    changed = prepare(project, settings=settings)
    assert changed.n_rows == first.n_rows + 1
    assert Snapshot.latest(settings, project) == changed
    assert Snapshot.find(settings, project.name, first.digest[:12]) == first


def test_ray_data_gives_the_same_bits_at_any_width(
    tmp_path: Path,
    big_file: Path,
    whole: Mapping[str, bytes],
    make_project: Any,
    ray_session: None,
) -> None:
    project = make_project(big_file)
    for n_at_once in (1, 4):
        settings = Settings.from_env(
            {"TENFOLD_HOME": str(tmp_path / f"ray-{n_at_once}"), "TENFOLD_LOCAL_BYTES": "0"}
        )
        ray_data = RayData(n_at_once=n_at_once, cpus_per_task=0.5)
        made = prepare(project, settings=settings, drivers=lambda _, one=ray_data: one)
        assert _files(made) == whole


@pytest.mark.parametrize("name", BOTH_WAYS)
def test_a_real_table_goes_both_ways_bit_for_bit(
    name: str, tmp_path: Path, data_folder: Path, make_project: Any, ray_session: None
) -> None:
    text = (data_folder / f"{name}.csv").read_text()
    header, *rows = text.splitlines(keepends=True)[:BOTH_WAYS_ROWS]
    (tmp_path / "parts").mkdir()
    for part, at in enumerate(np.array_split(np.arange(len(rows)), 3)):  # in order: it may count
        some = rows[at[0] : at[-1] + 1]
        (tmp_path / "parts" / f"{part}.csv").write_text("".join([header, *some]))
    project = make_project(tmp_path / "parts", target=None, **BOTH_WAYS[name])
    local = prepare(project, settings=_settings(tmp_path / "local"))
    settings = Settings.from_env({"TENFOLD_HOME": str(tmp_path), "TENFOLD_LOCAL_BYTES": "0"})
    through_ray = prepare(project, settings=settings)
    assert len(local.manifest["blocks"]) == 3  # a table of one piece needs no Ray
    assert _digests(through_ray) == _digests(local)
    assert _files(through_ray) == _files(local)


def test_an_error_in_a_ray_task_is_the_same_error(
    tmp_path: Path, make_project: Any, ray_session: None
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,y\n1,no\n\xff,yes\n")
    messages = []
    for driver in (InProcess(n_threads=1), RayData()):
        with pytest.raises(DataError) as caught:
            prepare(
                make_project(path),
                settings=_settings(tmp_path / driver.name),
                drivers=lambda _, one=driver: one,
            )
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert "byte 0xFF at offset 9" in messages[0]


def test_without_ray_the_ray_driver_says_so(tmp_path: Path, table_file: Path) -> None:
    """In a process of its own: this one may be connected."""
    code = (
        "import sys; from tenfold.data.drivers import RayData\n"
        "try: list(RayData().run(print, [0]))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.startswith(f"{ClusterError.__name__} the Ray Data driver needs a connected")


@pytest.mark.parametrize("drop", [True, False])
def test_exact_duplicates_are_dropped_or_share_a_fold(
    tmp_path: Path, lines: list[str], make_project: Any, drop: bool
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("\n".join([*lines, *lines[1:200]]))
    project = make_project(path, prepare={"drop_duplicates": drop})
    snapshot = prepare(project, settings=_settings(tmp_path))
    table = snapshot.table()
    folds: dict[bytes, set[int]] = {}
    for key, fold in zip(table[HASH].to_pylist(), table[FOLD].to_pylist(), strict=True):
        folds.setdefault(key, set()).add(fold)
    assert all(len(labels) == 1 for labels in folds.values())
    assert snapshot.n_rows == (600 if drop else 799)
    assert (snapshot.n_duplicates, snapshot.n_equal) == ((199, 0) if drop else (0, 199))


@pytest.mark.parametrize("timed", [False, True])
def test_the_newest_row_of_a_key_stays_and_a_corrected_row_keeps_its_fold(
    tmp_path: Path, make_project: Any, timed: bool
) -> None:
    random = np.random.default_rng(4)
    rows = [
        f"k{n},{random.normal()},2024-01-{1 + n % 28:02d},{'yes' if n % 3 else 'no'}"
        for n in range(400)
    ]
    corrected = [f"k{n},99,2023-01-01,{'yes' if n % 3 else 'no'}" for n in range(0, 400, 4)]
    nameless = [",5,2024-01-01,yes", ",5,2024-01-01,yes", ",6,2024-01-01,yes"]
    folder = tmp_path / "parts"
    folder.mkdir()
    header = "id,x,day,y"
    (folder / "a.csv").write_text("\n".join([header, *rows, *nameless]))
    sections = {"data": {"key": "id", **({"time": "day"} if timed else {})}}
    project = make_project(folder, **sections)
    first = prepare(project, settings=_settings(tmp_path / "home"))
    assert (first.n_rows, first.n_equal, first.manifest["n_replaced"]) == (403, 1, 0)
    (folder / "b.csv").write_text("\n".join([header, *corrected]))
    second = prepare(project, settings=_settings(tmp_path / "home"))
    assert second.n_rows == 403
    assert (second.n_equal, second.manifest["n_replaced"]) == (1, 100)
    table = second.table()
    assert pc.sum(pc.equal(table["x"], 99)).as_py() == (0 if timed else 100)
    folds = [
        dict(zip(each["id"].to_pylist(), each[FOLD].to_pylist(), strict=True))
        for each in (first.table(), table)
    ]
    folds[0].pop(None), folds[1].pop(None)
    assert folds[0] == folds[1]
    kept = prepare(
        make_project(folder, prepare={"duplicate_keys": "keep"}, **sections),
        settings=_settings(tmp_path / "home"),
    )
    assert (kept.n_rows, kept.n_equal) == (503, 1)


def test_order_of_rows_seals_the_newest_rows(
    data_folder: Path, settings: Settings, make_project: Any
) -> None:
    project = make_project(
        data_folder / "bike.csv", task="regression", target="cnt", data={"time": {"order": "rows"}}
    )
    snapshot = prepare(project, settings=settings)
    assert snapshot.ordered
    folds = snapshot.table()[FOLD].to_numpy()
    ages = np.where(folds == -1, 99, folds)
    assert (np.diff(ages) >= 0).all()
    assert sorted(set(folds.tolist())) == [-1, 0, 1, 2, 3, 4, 5]


def test_a_time_column_seals_the_newest_dates(
    data_folder: Path, settings: Settings, make_project: Any
) -> None:
    project = make_project(
        data_folder / "king-county.csv", task="regression", target="Price", data={"time": "Date"}
    )
    snapshot = prepare(project, settings=settings)
    table = snapshot.table()
    assert snapshot.schema.column("Date").role is Role.TIME
    test = table.filter(pc.equal(table[FOLD], -1))
    rest = table.filter(pc.not_equal(table[FOLD], -1))
    assert pc.min(test["Date"]).as_py() > pc.max(rest["Date"]).as_py()


def test_groups_are_not_split(table_file: Path, settings: Settings, make_project: Any) -> None:
    project = make_project(table_file, data={"group": "when"}, train={"folds": 3})
    table = prepare(project, settings=settings).table()
    pairs = set(zip(table["when"].to_pylist(), table[FOLD].to_pylist(), strict=True))
    assert len(pairs) == len({when for when, _ in pairs})


def test_quarantine_names_source_place_column_value_and_reason(
    tmp_path: Path, lines: list[str], make_project: Any
) -> None:
    lines[5] = "old, Bonn,0.5,2024-01-01,no"
    lines[9] = "20, Bonn,0.5,2024-01-01,"
    lines[11] = "20, Bonn,0.5"
    lines[13] = "200, Bonn,0.5,2024-01-01,no"
    path = tmp_path / "people.csv"
    path.write_text("\n".join(lines))
    project = make_project(path, data={"columns": {"age": {"maximum": 120}}})
    snapshot = prepare(project, settings=_settings(tmp_path))
    assert snapshot.n_quarantined == 4
    assert [tuple(row.values()) for row in snapshot.quarantine().to_pylist()] == [
        ("people", 5, "age", "old", "is not a whole number"),
        ("people", 9, "y", "", "the target is missing"),
        ("people", 11, None, "20, Bonn,0.5", "has 3 cells, the header names 5"),
        ("people", 13, "age", "200", "is above the maximum 120"),
    ]
    rows = snapshot.table()[ROW].to_pylist()
    assert set(range(600)) - set(rows) == {4, 8, 10, 12}


def test_a_table_in_memory_with_a_schema_makes_a_snapshot(
    table_file: Path, settings: Settings, make_project: Any
) -> None:
    project = make_project(table_file)
    made = prepare(project, settings=settings)
    raw = pa.concat_tables(read_batches(table_file)).append_column("extra", pa.nulls(600))
    again = snapshot_from_table(raw, made.schema, project=project, settings=settings)
    assert (again.digest, again.folds_digest) == (made.digest, made.folds_digest)
    typed = made.table().select(made.schema.names)
    third = snapshot_from_table(typed, made.schema, project=project, settings=settings)
    assert (third.digest, third.schema) == (made.digest, made.schema)
    assert Snapshot.latest(settings, project) == made
    fresh = snapshot_from_table(
        typed.slice(0, 300), made.schema, project=project, settings=settings, make_latest=True
    )
    assert Snapshot.latest(settings, project) == fresh


def test_facts_of_a_source_are_cheap_and_close(
    big_file: Path, make_project: Any, settings: Settings
) -> None:
    facts = source_facts(make_project(big_file), settings)
    assert facts.n_columns == 6
    assert facts.size_bytes == big_file.stat().st_size
    assert facts.n_rows == pytest.approx(90_500, rel=0.3)


def test_the_manifest_says_what_cleaning_passed_over(
    table_file: Path, settings: Settings, make_project: Any
) -> None:
    snapshot = prepare(make_project(table_file), settings=settings)
    facts = snapshot.manifest["cleaning"]
    assert facts["trim"] is True
    assert facts["columns"]["age"] == {"padded": 0, "dressed": 0, "missing": {"": 36}}
    assert facts["columns"]["city"]["padded"] == 573  # 600 but for the quoted ones
    assert set(facts["columns"]) == {"age", "city"}


def test_the_survey_is_of_the_training_rows_along_the_declared_time(
    table_file: Path, settings: Settings, make_project: Any
) -> None:
    by_rows = prepare(make_project(table_file), settings=settings)
    survey = by_rows.survey()
    n_sealed = by_rows.profiles()[-1].n_rows
    assert survey.axis.column is None
    assert survey.n_rows == survey.sample.n_rows == 600 - n_sealed
    by_time = prepare(make_project(table_file, data={"time": "when"}), settings=settings)
    course = by_time.survey().course
    assert by_time.survey().axis.column == "when"
    assert int(course.rows.sum()) == by_time.survey().n_rows
    assert (course.low[1:] > course.high[:-1]).all()


def test_the_sample_is_of_the_same_rows_whatever_their_order_and_cut(
    big_file: Path, settings: Settings, make_project: Any
) -> None:
    snapshot = prepare(make_project(big_file), settings=settings)
    sample = snapshot.survey().sample
    assert sample.n_rows == SAMPLE_ROWS
    table = snapshot.table()
    train = table.filter(pc.greater_equal(table[FOLD], 0)).sort_by(HASH).slice(0, SAMPLE_ROWS)
    expected = train.sort_by(ROW).select(sample.table.column_names)
    assert sample.table.to_pylist() == expected.to_pylist()

    head, *rows = big_file.read_text().splitlines()
    order = np.random.default_rng(1).permutation(len(rows))
    shuffled = big_file.with_name("shuffled.csv")
    shuffled.write_text("\n".join([head, *(rows[i] for i in order)]) + "\n")
    again = prepare(make_project(shuffled), settings=settings).survey().sample
    key = [(name, "ascending") for name in sample.table.column_names]
    assert again.table.sort_by(key).to_pylist() == sample.table.sort_by(key).to_pylist()


def test_the_sample_is_full_when_half_of_the_rows_are_sealed(
    tmp_path: Path, settings: Settings, make_project: Any
) -> None:
    path = tmp_path / "half.csv"
    rows = [f"{row},{'yes' if row % 3 else 'no'}" for row in range(24_000)]
    path.write_text("\n".join(["x,y", *rows]) + "\n")
    snapshot = prepare(
        make_project(path, prepare={"test_fraction": 0.5, "trim": False}), settings=settings
    )
    n_train = snapshot.n_rows - snapshot.profiles()[-1].n_rows
    assert n_train == pytest.approx(12_000, abs=600)
    assert snapshot.survey().sample.n_rows == SAMPLE_ROWS
