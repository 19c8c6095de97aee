"""A disk that really is full: a small file system of our own under the store."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tenfold.registry import Registry
from tenfold.settings import Settings
from tests.command import tenfold, tenfold_json

pytestmark = pytest.mark.slow


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB, which the prepared adult table does not fit in."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("this machine mounts no file systems")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_store_is_said_and_leaves_nothing_half_written(
    small_disk: Path, tmp_path: Path, data_folder: Path
) -> None:
    project = tmp_path / "adult.yaml"
    table = str(data_folder / "adult.csv")
    home = tmp_path / "home"
    tenfold("init", table, "--target", "salary", "-o", str(project), home=home)
    store = {"TENFOLD_STORE": str(small_disk / "store")}
    refused = tenfold_json("prepare", str(project), home=home, code=1, **store)
    message = refused["error"]["message"]
    assert "is full" in message
    assert "free space or point TENFOLD_STORE elsewhere" in message
    assert list(small_disk.rglob("snapshot.json")) == []
    assert list(small_disk.rglob("latest.json")) == []
    other = {"TENFOLD_STORE": str(tmp_path / "store")}
    assert tenfold_json("prepare", str(project), home=home, **other)["rows"] == 32561


def test_a_full_state_database_promotes_nothing(
    small_disk: Path, tmp_path: Path, data_folder: Path
) -> None:
    project = tmp_path / "penguins.yaml"
    table = str(data_folder / "penguins.csv")
    home = tmp_path / "home"
    tenfold("init", table, "--target", "species", "-o", str(project), home=home)
    state = {"TENFOLD_STATE": f"sqlite:///{small_disk}/state.db"}
    tenfold_json("prepare", str(project), home=home, **state)
    tenfold("status", home=home, **state)  # makes the tables
    free = shutil.disk_usage(small_disk).free
    (small_disk / "ballast").write_bytes(b"\0" * free)
    refused = tenfold_json("train", str(project), "--budget", "5s", home=home, code=1, **state)
    assert "tenfold, -v shows where" not in refused["error"]["message"]
    (small_disk / "ballast").unlink()
    settings = Settings.from_env({"TENFOLD_HOME": str(home), **state})
    assert Registry(settings).resolve("penguins") is None
    trained = tenfold_json("train", str(project), "--budget", "5s", home=home, **state)
    assert trained["alias"] == "champion"
