"""What stands in a finished snapshot, and only that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tenfold.data import InProcess, prepare
from tenfold.data.publish import ProfileJob, fold_profile
from tenfold.data.snapshot import block_name
from tenfold.profile import Profile
from tenfold.settings import Settings


def test_the_folder_holds_the_manifest_and_what_it_names(
    table_file: Path, settings: Settings, make_project: Any
) -> None:
    snapshot = prepare(make_project(table_file), settings=settings)
    named = {block["name"] for block in snapshot.manifest["blocks"]}
    found = {path.name for path in snapshot.path.iterdir()}
    assert found == named | {
        "snapshot.json", "profiles.arrow", "quarantine.parquet", "survey.bin",
    }  # fmt: skip


class _Litter(InProcess):
    """A driver whose writer died once: it leaves a temporary file beside the blocks."""

    def __init__(self, snapshots: Path) -> None:
        super().__init__(n_threads=1)
        self._snapshots = snapshots

    def run(self, job: Any, pieces: Any) -> Any:
        """Run, and litter."""
        yield from super().run(job, pieces)
        for folder in self._snapshots.glob("*/.work-*/snapshot"):
            (folder / ".block-00000.arrow.dead.tmp").touch()


def test_what_a_dead_writer_left_does_not_get_in(
    table_file: Path, settings: Settings, make_project: Any
) -> None:
    driver = _Litter(settings.snapshots)
    snapshot = prepare(make_project(table_file), settings=settings, drivers=lambda _: driver)
    assert not list(snapshot.path.glob(".*"))


def test_a_profile_of_several_runs_is_that_of_the_rows(
    settings: Settings, data_folder: Path, make_project: Any, tmp_path: Path
) -> None:
    project = make_project(data_folder / "adult.csv", target="salary")
    snapshot = prepare(project, settings=settings)
    whole = snapshot.profiles()[0]
    rows = pa.concat_tables(snapshot.blocks())
    for piece, start in enumerate(range(0, len(rows), 5000)):
        block = rows.slice(start, 5000)
        (tmp_path / block_name(piece)).write_bytes(_ipc(block))
    job = ProfileJob(tmp_path, tmp_path, snapshot.schema, piece + 1, (0, 1), run_blocks=2)
    assert job.n_pieces == 2 * -(-(piece + 1) // 2)
    for place in range(job.n_pieces):
        job(place)
    found = Profile.from_bytes(fold_profile(job, 0))
    assert found.n_rows == whole.n_rows
    for name, number in whole.numbers.items():
        assert np.array_equal(found.numbers[name].values, number.values)
        assert np.array_equal(found.numbers[name].counts, number.counts)
        assert found.numbers[name].mean == number.mean
    for name, category in whole.categories.items():
        assert found.categories[name].counts == category.counts


def _ipc(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())
