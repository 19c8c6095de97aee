from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path

import pytest

from tenfold.artifact import MANIFEST_FILE, read_artifact
from tenfold.canonical import canonical_json
from tenfold.errors import ArtifactError
from tenfold.testing.artifacts import small_artifact

N_FLIPS = 200


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    manifest = small_artifact(tmp_path / "new", engine="xgboost")
    return (tmp_path / "new").rename(tmp_path / manifest.digest)


def test_every_bit_flip_is_rejected_before_an_engine_sees_a_byte(folder: Path) -> None:
    rng = random.Random(0)
    files = sorted(folder.iterdir())
    for flip in range(N_FLIPS):
        path = files[flip % len(files)]
        good = path.read_bytes()
        place = rng.randrange(len(good))
        bad = bytearray(good)
        bad[place] ^= 1 << rng.randrange(8)
        path.write_bytes(bad)
        with pytest.raises(ArtifactError):
            read_artifact(folder)
        path.write_bytes(good)
    assert read_artifact(folder).manifest.digest == folder.name


def test_truncated_and_longer_files_are_rejected(folder: Path) -> None:
    path = folder / "model.ubj"
    good = path.read_bytes()
    for bad in (b"", good[:-1], good + b"\0"):
        path.write_bytes(bad)
        with pytest.raises(ArtifactError, match=r"model\.ubj has \d+ bytes"):
            read_artifact(folder)


def test_another_digest_than_asked_for_is_rejected(tmp_path: Path, folder: Path) -> None:
    plain = folder.rename(tmp_path / "plain")
    assert read_artifact(plain).manifest.project_name == "mixed"
    with pytest.raises(ArtifactError, match="does not have the digest"):
        read_artifact(plain, digest="0" * 64)


def test_extra_and_missing_files_are_rejected(folder: Path) -> None:
    (folder / "extra.py").write_text("import os")
    with pytest.raises(ArtifactError, match=r"missing \[\], unknown \['extra.py'\]"):
        read_artifact(folder)
    (folder / "extra.py").unlink()
    (folder / "golden.arrow").unlink()
    with pytest.raises(ArtifactError, match=r"missing \['golden.arrow'\]"):
        read_artifact(folder)


@pytest.mark.parametrize("kind", ["symlink", "hardlink", "fifo", "folder"])
@pytest.mark.parametrize("name", ["model.ubj", MANIFEST_FILE])
def test_only_plain_files_are_read(tmp_path: Path, folder: Path, kind: str, name: str) -> None:
    outside = tmp_path / "outside"
    (folder / name).rename(outside)
    match kind:
        case "symlink":
            (folder / name).symlink_to(outside)
        case "hardlink":
            (folder / name).hardlink_to(outside)
        case "fifo":
            os.mkfifo(folder / name)
        case _:
            (folder / name).mkdir()
    with pytest.raises(ArtifactError, match=f"{name} .*nothing of it was used"):
        read_artifact(folder)


def test_a_link_to_a_folder_is_rejected(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(ArtifactError, match="is not a folder of an artifact"):
        read_artifact(tmp_path / "link")


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="is not a folder of an artifact"):
        read_artifact(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArtifactError, match=r"manifest\.json cannot be opened"):
        read_artifact(tmp_path / "empty")


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[" * 100_000, b"null"])
def test_a_manifest_that_is_no_json_is_rejected(tmp_path: Path, folder: Path, text: bytes) -> None:
    plain = folder.rename(tmp_path / "plain")
    (plain / MANIFEST_FILE).write_bytes(text)
    with pytest.raises(ArtifactError):
        read_artifact(plain)


def test_a_future_format_says_what_to_do(tmp_path: Path, folder: Path) -> None:
    plain = folder.rename(tmp_path / "plain")
    value = json.loads((plain / MANIFEST_FILE).read_bytes()) | {"format_version": 99}
    (plain / MANIFEST_FILE).write_bytes(canonical_json(value))
    with pytest.raises(ArtifactError, match="format 99 and this tenfold reads 1; upgrade tenfold"):
        read_artifact(plain)


def test_a_manifest_in_another_form_is_rejected(tmp_path: Path, folder: Path) -> None:
    plain = folder.rename(tmp_path / "plain")
    value = json.loads((plain / MANIFEST_FILE).read_bytes())
    (plain / MANIFEST_FILE).write_text(json.dumps(value, indent=1))
    with pytest.raises(ArtifactError, match="is not in canonical form"):
        read_artifact(plain)


def test_a_copy_on_another_disk_is_the_same_artifact(tmp_path: Path, folder: Path) -> None:
    copy = tmp_path / "elsewhere" / folder.name
    shutil.copytree(folder, copy)
    assert read_artifact(copy).manifest == read_artifact(folder).manifest
