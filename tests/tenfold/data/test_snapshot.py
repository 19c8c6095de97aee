"""Opening, finding and checking snapshots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tenfold.canonical import canonical_json, read_json
from tenfold.data import Snapshot, prepare
from tenfold.errors import DataError, StoreError
from tenfold.settings import Settings


@pytest.fixture
def snapshot(table_file: Path, settings: Settings, make_project: Any) -> Snapshot:
    """A snapshot of 600 rows."""
    return prepare(make_project(table_file), settings=settings)


def test_a_snapshot_opens_as_it_was_made(snapshot: Snapshot) -> None:
    assert Snapshot.open(snapshot.path) == snapshot
    assert Snapshot.open(str(snapshot.path)).table().equals(snapshot.table())


def test_an_unprepared_project_is_told_how(settings: Settings) -> None:
    with pytest.raises(DataError) as caught:
        Snapshot.latest(settings, "nobody")
    assert str(caught.value) == (
        f"project 'nobody' must be prepared first, and {settings.snapshots} holds no snapshot "
        "of it; run tenfold prepare on its project file"
    )
    with pytest.raises(DataError, match="has no snapshot abcdefabcdef under"):
        Snapshot.find(settings, "nobody", "abcdefabcdef99")


def test_a_cut_block_is_found_at_once_and_a_changed_one_by_verify(snapshot: Snapshot) -> None:
    block = snapshot.path / "block-00000.arrow"
    data = block.read_bytes()
    block.write_bytes(data[:-8] + b"changed!")
    with pytest.raises(StoreError, match=r"block-00000.arrow must have SHA-256"):
        Snapshot.open(snapshot.path).verify()
    block.write_bytes(data[:-8])
    with pytest.raises(StoreError) as caught:
        Snapshot.open(snapshot.path)
    assert str(caught.value) == (
        f"{block} must have {len(data)} bytes and does not; "
        f"delete {snapshot.path} and prepare the project again"
    )


def test_changed_profiles_are_found_too(snapshot: Snapshot) -> None:
    """The preprocessor is fitted from them, so they are as good as the rows."""
    profiles = snapshot.path / "profiles.arrow"
    profiles.write_bytes(profiles.read_bytes()[:-8] + b"changed!")
    with pytest.raises(StoreError, match=r"profiles\.arrow must have SHA-256"):
        snapshot.verify()
    profiles.unlink()
    with pytest.raises(StoreError, match=r"profiles\.arrow must be readable: No such file"):
        snapshot.verify()


def test_a_changed_or_lost_survey_is_found_too(snapshot: Snapshot) -> None:
    survey = snapshot.path / "survey.bin"
    assert snapshot.survey().n_rows == snapshot.n_rows - snapshot.profiles()[-1].n_rows
    survey.write_bytes(survey.read_bytes()[:-8] + b"changed!")
    with pytest.raises(StoreError, match=r"survey\.bin must have SHA-256"):
        snapshot.verify()
    survey.unlink()
    with pytest.raises(StoreError, match=r"survey\.bin must be readable: No such file"):
        snapshot.survey()


def test_another_format_is_refused_with_its_remedy(snapshot: Snapshot) -> None:
    manifest = snapshot.path / "snapshot.json"
    manifest.write_bytes(canonical_json({**read_json(manifest), "format_version": 99}))
    with pytest.raises(StoreError, match="must have snapshot format 2, and has 99; prepare the"):
        Snapshot.open(snapshot.path)


def test_a_folder_without_manifest_is_no_snapshot(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        Snapshot.open(tmp_path)


def test_a_damaged_snapshot_is_not_taken_for_done_work(
    snapshot: Snapshot, table_file: Path, settings: Settings, make_project: Any
) -> None:
    (snapshot.path / "snapshot.json").unlink()  # deleted by hand in part
    again = prepare(make_project(table_file), settings=settings)
    assert again == snapshot
    again.verify()
