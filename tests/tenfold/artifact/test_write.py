from __future__ import annotations

import resource
from pathlib import Path

import pytest

from tenfold.artifact import MANIFEST_FILE, read_artifact, write_artifact
from tenfold.errors import ArtifactError, StoreError
from tenfold.testing.artifacts import small_files

FILES, DRAFT = small_files("linear")
ALL = FILES | {"golden.arrow": b"x"}


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    manifest = write_artifact(tmp_path / "a", files=ALL, manifest=DRAFT)
    artifact = read_artifact(tmp_path / "a", digest=manifest.digest)
    assert artifact.files == ALL
    assert artifact.manifest == manifest
    assert {p.name for p in tmp_path.iterdir()} == {"a"}


def test_same_input_same_bytes(tmp_path: Path) -> None:
    one = write_artifact(tmp_path / "a", files=ALL, manifest=DRAFT)
    other = write_artifact(tmp_path / "b", files=dict(reversed(ALL.items())), manifest=DRAFT)
    assert one.digest == other.digest


def test_a_taken_folder_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "mine").write_text("keep")
    with pytest.raises(ArtifactError, match="is taken and artifacts never change"):
        write_artifact(tmp_path / "a", files=ALL, manifest=DRAFT)
    assert (tmp_path / "a" / "mine").read_text() == "keep"
    assert {p.name for p in tmp_path.iterdir()} == {"a"}


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "a/b", ".x", MANIFEST_FILE])
def test_names_stay_inside(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArtifactError):
        write_artifact(tmp_path / "deep" / "a", files=ALL | {name: b""}, manifest=DRAFT)
    assert list(tmp_path.rglob("*")) == []


def test_golden_rows_are_needed(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"needs golden\.arrow; make it with"):
        write_artifact(tmp_path / "a", files=FILES, manifest=DRAFT)


def test_a_disk_that_refuses_leaves_nothing_half_written(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    files = ALL | {"zz.bin": b"x" * 2_000_000}
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(StoreError, match=r"zz\.bin could not be written"):
            write_artifact(tmp_path / "a", files=files, manifest=DRAFT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_of_the_store_is_the_stores_trouble(tmp_path: Path) -> None:
    (tmp_path / "store").touch()
    with pytest.raises(StoreError, match="a could not be written: "):
        write_artifact(tmp_path / "store" / "a", files=ALL, manifest=DRAFT)
