"""Pulls from a place that behaves like a growing table, with kills in the middle."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tenfold.data.drivers import InProcess
from tenfold.data.pull import PullPlan, Stream, open_pull, pull
from tenfold.data.stored import StoredSource
from tenfold.data.watermark import Mark
from tenfold.errors import DataError
from tenfold.progress import SILENT
from tenfold.testing.sources import SourceConformance


@dataclass(frozen=True)
class Slice:
    """Some rows of a list; notes that it was read, and ends in the middle if told to."""

    number: int
    rows: tuple[tuple[int, str], ...]
    dies: bool
    read: list[int]

    def batches(self) -> Iterator[pa.Table]:
        self.read.append(self.number)
        for start in range(0, len(self.rows), 2):
            if self.dies and start:
                raise ConnectionError("gone")
            some = self.rows[start : start + 2]
            yield pa.table({"id": [i for i, _ in some], "x": [x for _, x in some]})


@dataclass
class Growing:
    """A place whose rows may be added to between pulls."""

    rows: list[tuple[int, str]]
    watermark: str | None = None
    name: str = "growing"
    dies_in: frozenset[int] = frozenset()
    read: list[int] = field(default_factory=list)
    planned: list[Mark | None] = field(default_factory=list)
    what: str = "rows"

    def identity(self) -> dict[str, Any]:
        return {"what": self.what}

    def plan(self, since: Mark | None) -> PullPlan:
        self.planned.append(since)
        streams = [{"from": n, "to": n + 5} for n in range(0, len(self.rows), 5)]
        return PullPlan(tuple(streams), {"n_rows": len(self.rows)})

    def streams(self, plan: PullPlan) -> Sequence[Stream]:
        return [
            Slice(n, tuple(self.rows[s["from"] : s["to"]]), n in self.dies_in, self.read)
            for n, s in enumerate(plan.streams)
        ]

    def sample(self) -> pa.Table:
        return pa.table({"id": [1]})

    def size_hint(self) -> int:
        return 0


def pulled(place: Growing, folder: Path) -> list[tuple[int, str]]:
    source = pull(place, folder, driver=InProcess(n_threads=1), progress=SILENT)
    return rows_of(source)


def rows_of(source: StoredSource) -> list[tuple[int, str]]:
    tables = [shard.read().table for shard in source.shards()]
    return [(row["id"], row["x"]) for table in tables for row in table.to_pylist()]


def test_a_whole_pull_replaces_the_one_before(tmp_path: Path) -> None:
    place = Growing([(n, "a") for n in range(12)])
    assert pulled(place, tmp_path) == place.rows
    before = pull(place, tmp_path, driver=InProcess(), progress=SILENT).fingerprint()
    place.rows = [(n, "b") for n in range(7)]
    assert pulled(place, tmp_path) == place.rows
    after = open_pull(place, tmp_path)
    assert after is not None
    assert rows_of(after) == place.rows
    assert after.fingerprint() != before
    assert len(list(tmp_path.glob("segment-*"))) == 1


def test_an_incremental_pull_adds_what_is_new_and_nothing_twice(tmp_path: Path) -> None:
    place = Growing([(n, "a") for n in range(12)], watermark="id")
    assert pulled(place, tmp_path) == place.rows
    assert pulled(place, tmp_path) == place.rows
    place.rows += [(11, "late, of the same watermark"), (12, "new")]
    assert sorted(pulled(place, tmp_path)) == sorted(place.rows)
    assert [mark and mark.text for mark in place.planned] == [None, "11", "11"]
    source = open_pull(place, tmp_path)
    assert source is not None
    assert len(source.lineage) == 2  # the second pull found nothing and left nothing


def test_a_pull_that_was_ended_goes_on_with_its_plan_and_its_finished_streams(
    tmp_path: Path,
) -> None:
    place = Growing([(n, "a") for n in range(12)], dies_in=frozenset({1}))
    with pytest.raises(ConnectionError):
        pulled(place, tmp_path)
    assert open_pull(place, tmp_path) is None
    place.dies_in = frozenset()
    assert pulled(place, tmp_path) == place.rows
    assert len(place.planned) == 1
    assert place.read == [0, 1, 1, 2]
    assert not (tmp_path / "pulling.json").exists()


def test_an_incremental_pull_that_was_ended_goes_on_too(tmp_path: Path) -> None:
    place = Growing([(n, "a") for n in range(3)], watermark="id")
    pulled(place, tmp_path)
    place.rows += [(n, "b") for n in range(3, 12)]
    place.dies_in = frozenset({1})
    with pytest.raises(ConnectionError):
        pulled(place, tmp_path)
    place.dies_in = frozenset()
    assert sorted(pulled(place, tmp_path)) == place.rows
    assert [mark and mark.text for mark in place.planned] == [None, "2"]
    assert place.read == [0, 0, 1, 1, 2]


@dataclass
class Noting(Growing):
    """Keeps what says how a pull goes on, as it stands while the pull runs."""

    folder: Path = Path()
    note: bytes = b""

    def streams(self, plan: PullPlan) -> Sequence[Stream]:
        self.note = (self.folder / "pulling.json").read_bytes()
        return super().streams(plan)


def kill_before_the_sweep(folder: Path, note: bytes) -> None:
    """Put back what the sweep of a pull that ended took away."""
    (folder / "pulling.json").write_bytes(note)
    plan = json.loads(note)
    work = folder / plan["folder"]
    if not work.exists():  # nothing new was found
        work.mkdir()
        for n in range(len(plan["streams"])):
            (work / f"stream-{n:05d}.json").write_text('{"parts": []}')


@pytest.mark.parametrize("watermark", [None, "id"])
def test_a_pull_killed_between_its_end_and_its_sweep_is_over(
    tmp_path: Path, watermark: str | None
) -> None:
    place = Noting([(n, "a") for n in range(7)], watermark=watermark, folder=tmp_path)
    for rows in ([], [], [(7, "b"), (8, "b")], []):  # nothing new leaves no segment
        place.rows = [*place.rows, *rows] if watermark else [*place.rows[1:], *rows]
        assert sorted(pulled(place, tmp_path)) == sorted(place.rows)
        kill_before_the_sweep(tmp_path, place.note)
    place.rows = [*place.rows, (9, "c")] if watermark else [(9, "c")]
    assert sorted(pulled(place, tmp_path)) == sorted(place.rows)
    assert len(place.planned) == 5
    assert not (tmp_path / "pulling.json").exists()


def test_another_question_starts_afresh(tmp_path: Path) -> None:
    place = Growing([(1, "a")], watermark="id")
    pulled(place, tmp_path)
    other = Growing([(1, "z")], watermark="id", what="others")
    assert open_pull(other, tmp_path) is None
    assert pulled(other, tmp_path) == [(1, "z")]
    assert other.planned == [None]


def test_a_damaged_copy_is_read_again(tmp_path: Path) -> None:
    place = Growing([(n, "a") for n in range(3)])
    pulled(place, tmp_path)
    next(tmp_path.glob("segment-*/part-*.arrow")).write_bytes(b"")
    assert open_pull(place, tmp_path) is None
    assert pulled(place, tmp_path) == place.rows


def test_no_rows_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="source 'growing' has no rows"):
        pulled(Growing([]), tmp_path)


class TestStored(SourceConformance):
    """What a pull left, with a column that came later."""

    def source(self, folder: Path) -> StoredSource:
        """Six files."""
        place = Growing([(n, "a") for n in range(30)])
        return pull(place, folder, driver=InProcess(), progress=SILENT)

    def n_rows(self) -> int:
        """All."""
        return 30
