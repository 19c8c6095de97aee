"""Near duplicates: found whatever the order, and never on two sides of a split when grouped."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenfold.data import FOLD, HASH, InProcess, RayData, Snapshot, prepare
from tenfold.data.arrow_file import write_arrow
from tenfold.data.hashing import mix, row_hashes, to_binary
from tenfold.data.near import MAX_PARTS, find_near, merge_groups, near_parts, near_sums
from tenfold.data.near_jobs import NearPlan, find_near_rows
from tenfold.data.work import Work
from tenfold.errors import DataError
from tenfold.progress import SILENT
from tenfold.schema import Column, Kind, Role, Schema
from tenfold.settings import Settings
from tests.tenfold.data.bucketed import label_in_buckets, many_rows
from tests.tenfold.data.split_reference import assign_labels


def _near(table: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    parts = [(f"c{part}",) for part in range(table.shape[1])]
    seeds = 1000 * np.arange(1, table.shape[1] + 1, dtype=np.uint64)
    hashed = mix(table.astype(np.uint64) + seeds)
    lanes = np.column_stack([hashed, hashed.sum(axis=1, dtype=np.uint64)])
    near = find_near(parts, lambda part: lanes[:, part], n_rows=len(table))
    return near.leader, near.facts


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 60))
def test_groups_are_the_rows_linked_by_all_columns_but_one(seed: int, n_rows: int) -> None:
    random = np.random.default_rng(seed)
    table = random.integers(0, 3, (n_rows, 5))
    leader, facts = _near(table)
    differ = table[:, None, :] != table[None, :, :]
    near = differ.sum(axis=2) == 1
    for part in range(5):  # equal rows are linked where a third is near them, by the same column
        same = ~np.delete(differ, part, axis=2).any(axis=2)
        near |= same & (same & differ[:, :, part]).any(axis=1)[:, None]
    reach = near | np.eye(n_rows, dtype=bool)
    for _ in range(6):
        reach = (reach.astype(int) @ reach.astype(int)) > 0
    assert ((leader[:, None] == leader[None, :]) == reach).all()
    sizes = np.bincount(leader)
    assert facts["n_rows"] == int((reach.sum(axis=1) > 1).sum())
    assert (facts["n_groups"], facts["largest"]) == (int((sizes > 1).sum()), int(sizes.max()))
    order = random.permutation(n_rows)
    turned, again = _near(table[order])
    assert ((turned[:, None] == turned[None, :]) == reach[order][:, order]).all()
    assert again == facts


def test_links_join_groups_and_a_leader_is_of_its_group() -> None:
    leader = merge_groups(np.array([0, 0, 2, 3, 3]), np.array([4]), np.array([1]))
    assert leader.tolist() == [0, 0, 2, 0, 0]


def _schema(n_columns: int) -> Schema:
    features = [Column(f"x{i}", Kind.NUMBER) for i in range(n_columns - 1)]
    return Schema((*features, Column("y", Kind.CATEGORY, Role.TARGET, domain=("a", "b"))))


def test_many_columns_are_dealt_into_a_few_parts() -> None:
    assert near_parts(_schema(3)) == []
    assert near_parts(_schema(4))[-1] == ("y",)
    parts = near_parts(_schema(1000))
    assert len(parts) == MAX_PARTS
    assert [name for part in parts for name in part] == list(_schema(1000).names)


def test_numbers_are_compared_to_three_digits_and_texts_as_they_are() -> None:
    schema = _schema(4)
    columns = {"x0": [1234.5, 1234.9, 1300.0, None], "x1": [0.0, -0.0, 1e-300, float("inf")]}
    table = pa.table({**columns, "x2": [1.0] * 4, "y": ["a", "a", "b", None]})
    sums = near_sums(table.cast(schema.arrow_schema()), schema)
    assert sums.shape == (4, 4)
    assert (sums[:, 0] == sums[:, 1]).all()
    assert sums[0, 0] != sums[0, 2] != sums[0, 3]
    assert sums[1, 1] != sums[1, 2]
    assert len(set(sums[3].tolist())) == 3


@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32 - 1), st.sampled_from([60, 150, 1000]))
def test_by_bucket_they_are_those_in_memory(seed: int, bucket_rows: int) -> None:
    random = np.random.default_rng(seed)
    schema = _schema(6)
    n_rows = [0, *random.integers(0, 150, 4).tolist(), 3]
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        files = [folder / f"clean-{piece}.arrow" for piece in range(len(n_rows))]
        for file, n in zip(files, n_rows, strict=True):
            columns = {f"x{i}": random.integers(0, 3, n).astype(float) for i in range(5)}
            table = pa.table({**columns, "y": random.choice(["a", "b"], n).astype(str)})
            table = table.cast(schema.arrow_schema())
            hashes = to_binary(row_hashes(table, schema))
            write_arrow(file, table.append_column(HASH, hashes))
        marks = random.choice(np.array([0, -1, -2, -3], dtype=np.int8), sum(n_rows))
        (folder / "marks").write_bytes(marks.tobytes())
        found = []
        for name, size in (("memory", 10**9), ("buckets", bucket_rows)):
            (folder / name).mkdir()
            work = Work(folder / name, folder, InProcess(n_threads=1), SILENT, len(files))
            plan = NearPlan(files, n_rows, folder / "marks", (0, -1), size)
            found.append(find_near_rows(work, schema, plan))
        assert found[0] is not None
        assert found[1] is not None
        assert found[1].leader.tolist() == found[0].leader.tolist()
        assert found[1].facts == found[0].facts
        labels = np.where(marks >= -1, random.integers(-1, 3, len(marks)), marks).astype(np.int8)
        across = [near.across(labels, lowest=-1) for near in found if near is not None]
        assert across[0] == across[1] == _torn(found[0].leader, labels)


def _torn(leader: np.ndarray, labels: np.ndarray) -> dict[str, int]:
    groups = [set(labels[(leader == root) & (labels >= -1)]) for root in np.unique(leader)]
    torn = [group for group in groups if len(group) > 1]
    return {"n_torn": len(torn), "n_torn_from_test": sum(-1 in group for group in torn)}


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """2,000 rows and 400 copies: one column changed or a number's last digits."""
    random = np.random.default_rng(11)
    numbers = random.normal(size=(2000, 2)).tolist()
    colors, answers = (
        random.choice(["red", "green", "blue"], 2000),
        random.choice(["no", "yes"], 2000),
    )
    rows = [
        [repr(a), repr(b), str(random.integers(10**6)), str(color), str(answer)]
        for (a, b), color, answer in zip(numbers, colors, answers, strict=True)
    ]
    copies = []
    for place in range(400):
        row = list(rows[place])
        if place % 2:
            column = place // 2 % 4
            row[column] = ["7.5", "3.25", "5", "violet"][column]
        else:
            row[0] = repr(float(row[0]) * (1 + 1e-9))
        copies.append(row)
    path = tmp_path / "t.csv"
    lines = ["a,b,c,d,y", *(",".join(row) for row in [*rows, *copies])]
    path.write_text("\n".join(lines))
    return path


def _folds(snapshot: Snapshot) -> dict[int, int]:
    table = snapshot.table()
    return dict(zip(table["__row"].to_pylist(), table[FOLD].to_pylist(), strict=True))


def test_reported_they_are_counted_and_grouped_they_share_a_fold(
    copied: Path, tmp_path: Path, make_project: Any
) -> None:
    home = Settings.from_env({"TENFOLD_HOME": str(tmp_path / "home")})
    reported = prepare(make_project(copied), settings=home)
    facts = reported.manifest["near_duplicates"]
    assert facts["n_groups"] >= 390
    assert facts["n_torn"] > 100
    assert facts["n_torn_from_test"] > 50
    assert {name for each in facts["differ_in"] for name in each["columns"]} >= {"a", "b", "c"}
    grouping = make_project(copied, prepare={"near_duplicates": "group"})
    grouped = prepare(grouping, settings=home)
    facts = grouped.manifest["near_duplicates"]
    assert (facts["n_torn"], facts["n_torn_from_test"]) == (0, 0)
    folds = _folds(grouped)
    assert [folds[2000 + copy] for copy in range(400)] == [folds[copy] for copy in range(400)]
    table = grouped.table()
    for value in ("no", "yes"):
        rows = table.filter(pc.equal(table["y"], value))
        share = pc.mean(pc.cast(pc.equal(rows[FOLD], -1), pa.float64())).as_py()
        assert share == pytest.approx(0.2, abs=0.03)
    off = prepare(make_project(copied, prepare={"near_duplicates": "off"}), settings=home)
    assert off.manifest["near_duplicates"] is None
    assert _folds(off) == _folds(reported)


def test_groups_of_the_project_and_near_duplicates_stay_whole_together(
    copied: Path, tmp_path: Path, make_project: Any
) -> None:
    lines = copied.read_text().splitlines()
    marked = [f"g{place % 1000},{line}" for place, line in enumerate(lines[1:])]
    copied.write_text("\n".join([f"g,{lines[0]}", *marked]))
    project = make_project(copied, data={"group": "g"}, prepare={"near_duplicates": "group"})
    snapshot = prepare(project, settings=Settings.from_env({"TENFOLD_HOME": str(tmp_path)}))
    assert snapshot.manifest["near_duplicates"]["n_torn"] == 0
    table = snapshot.table()
    pairs = set(zip(table["g"].to_pylist(), table[FOLD].to_pylist(), strict=True))
    assert len(pairs) == 1000


def test_any_driver_and_any_order_give_the_same_groups(
    copied: Path, tmp_path: Path, make_project: Any, ray_session: None
) -> None:
    project = make_project(copied, prepare={"near_duplicates": "group"})
    made = [
        prepare(
            project,
            settings=Settings.from_env({"TENFOLD_HOME": str(tmp_path / driver.name)}),
            drivers=lambda _size_bytes, driver=driver: driver,
        )
        for driver in (InProcess(n_threads=1), RayData())
    ]
    header, *rows = copied.read_text().splitlines()
    turned = tmp_path / "turned"
    turned.mkdir()
    for part in range(3):
        (turned / f"{part}.csv").write_text("\n".join([header, *rows[::-1][part::3]]))
    again = make_project(turned, prepare={"near_duplicates": "group"})
    made.append(
        prepare(again, settings=Settings.from_env({"TENFOLD_HOME": str(tmp_path / "turned-home")}))
    )
    assert len({snapshot.digest for snapshot in made}) == 1
    assert len({snapshot.folds_digest for snapshot in made}) == 1
    facts = [snapshot.manifest["near_duplicates"] for snapshot in made]
    assert facts[0] == facts[1] == facts[2]


def test_buckets_run_anywhere(ray_session: None) -> None:
    keys, rule = many_rows()
    rule = replace(rule, near="group")
    near = np.arange(4000) // 2
    found = label_in_buckets(keys, rule, near=near, driver=RayData())
    assert np.array_equal(found, assign_labels(keys, rule, near=near))


def test_rows_that_are_all_alike_cannot_be_parted(
    tmp_path: Path, settings: Settings, make_project: Any
) -> None:
    random = np.random.default_rng(2)
    rows = [",".join(random.choice(["0", "1"], 5)) for _ in range(500)]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["a,b,c,d,y", *rows]))
    options = {"near_duplicates": "group", "drop_duplicates": False}
    with pytest.raises(DataError) as caught:
        prepare(make_project(path, prepare=options), settings=settings)
    assert str(caught.value) == (
        "a group of near duplicates must fit into one fold (16% of 500 rows), and one has 500 "
        "rows: rows of so few different values are alike by chance; "
        "set prepare.near_duplicates: report, or lower train.folds"
    )
