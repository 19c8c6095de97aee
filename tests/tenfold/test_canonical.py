from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.canonical import (
    canonical_json,
    finite_or_none,
    json_or_none,
    move_whole,
    read_json,
    store_error,
    write_atomic,
)
from tenfold.errors import StoreError

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abc"), inner),
    max_leaves=20,
)


@given(values)
def test_equal_values_have_equal_bytes_whatever_the_order(value: object) -> None:
    import json

    text = canonical_json(value)
    assert canonical_json(json.loads(text)) == text


def test_a_write_is_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "file.json"
    write_atomic(path, b'{"a":1}')
    write_atomic(path, b'{"a":2}', mode=0o600)
    assert read_json(path) == {"a": 2}
    assert [entry.name for entry in path.parent.iterdir()] == ["file.json"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_full_disk_leaves_the_old_file_and_says_what_to_do(tmp_path: Path) -> None:
    """A file-size limit stands for the full disk: the kernel refuses the write the same way."""
    path = tmp_path / "file"
    write_atomic(path, b"old")
    program = (
        "import resource, signal, sys, pathlib\n"
        "from tenfold.canonical import write_atomic\n"
        "from tenfold.errors import StoreError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n    write_atomic(pathlib.Path(sys.argv[1]), b'x' * 5000)\n"
        "except StoreError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    assert "could not be written: File too large" in done.stdout
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 1000


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_no_space_left_names_the_remedy() -> None:
    with pytest.raises(OSError) as caught, Path("/dev/full").open("wb", buffering=0) as full:
        full.write(b"x")
    error = store_error(Path("/store/model.onnx"), caught.value, size_bytes=9)
    assert str(error) == (
        "the disk under /store is full: model.onnx needs 9 bytes; "
        "free space or point TENFOLD_STORE elsewhere, then run the command again"
    )


def test_a_missing_or_broken_json_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(StoreError, match="must be a readable JSON file"):
        read_json(tmp_path / "x.json")
    with pytest.raises(StoreError, match="must be a readable JSON file"):
        read_json(tmp_path / "none.json")


def test_a_folder_is_moved_whole_also_from_another_file_system(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        for number, parent in enumerate((tmp_path, Path(other))):
            folder, place = parent / "made", tmp_path / "store" / f"v{number}"
            folder.mkdir()
            (folder / "model").write_bytes(b"x" * 5000)
            move_whole(folder, place)
            assert (place / "model").read_bytes() == b"x" * 5000
            (tmp_path / "late").mkdir(exist_ok=True)
            move_whole(tmp_path / "late", place)  # it is there already
            assert (place / "model").is_file()
    assert sorted(entry.name for entry in (tmp_path / "store").iterdir()) == ["v0", "v1"]


def test_a_folder_that_cannot_be_moved_leaves_nothing(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        folder = Path(other) / "made"
        folder.mkdir()
        (folder / "model").write_bytes(b"x" * 5000)
        assert folder.stat().st_dev != tmp_path.stat().st_dev, "the test needs two file systems"
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
        try:
            with pytest.raises(StoreError, match=r"v1 could not be written: .*File too large"):
                move_whole(folder, tmp_path / "store" / "v1")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list((tmp_path / "store").iterdir()) == []


def test_what_json_cannot_say_is_null() -> None:
    values = (1.0, float("inf"), -float("inf"), float("nan"), None)
    assert [finite_or_none(value) for value in values] == [1.0, None, None, None, None]


@pytest.mark.parametrize("data", [None, b"", b"{", b"[1]", b"7", b"null", b"\xff"])
def test_what_is_no_json_object_is_none(tmp_path: Path, data: bytes | None) -> None:
    if data is not None:
        (tmp_path / "a.json").write_bytes(data)
    assert json_or_none(tmp_path / "a.json") is None
    write_atomic(tmp_path / "a.json", canonical_json({"a": 1}))
    assert json_or_none(tmp_path / "a.json") == {"a": 1}
