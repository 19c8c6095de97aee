"""What stands in a finished snapshot, and only that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tenfold.data import InProcess, prepare
from tenfold.data.publish import merge_in_order
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


def test_merged_profiles_do_not_depend_on_how_many_are_held_at_once(
    settings: Settings, data_folder: Path, make_project: Any
) -> None:
    project = make_project(data_folder / "adult.csv", target="salary")
    snapshot = prepare(project, settings=settings)
    schema = snapshot.schema
    parts = [
        Profile.from_table(table.slice(start, 2000), schema)
        for table in snapshot.blocks()
        for start in range(0, table.num_rows, 2000)
    ]
    few, many = (merge_in_order(parts, held=held).to_bytes() for held in (1, 99))
    assert few == many
    assert Profile.from_bytes(few).n_rows == snapshot.n_rows
