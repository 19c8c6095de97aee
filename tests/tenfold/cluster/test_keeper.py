"""One reader of the keeper's record: damaged is absent, and forgetting is narrow."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tenfold.canonical import canonical_json, write_atomic
from tenfold.cluster.connect import keeper_address
from tenfold.cluster.keeper import (
    PRIVATE_PARENT,
    PRIVATE_PREFIX,
    forget_keeper,
    keeper_file,
    read_keeper,
    running_keeper,
    status_file,
)
from tenfold.cluster.sessions import SessionRecord
from tenfold.settings import Settings

Write = Callable[..., dict[str, Any]]


@pytest.fixture
def write(settings: Settings, keeper_session: SessionRecord) -> Write:
    """Writes the record of a living session, with more, as a keeper writes it."""

    def write(**more: Any) -> dict[str, Any]:
        body = {**keeper_session.to_dict(), "ray_address": "127.0.0.1:6379", "port": 1, **more}
        write_atomic(keeper_file(settings), canonical_json(body))
        return body

    return write


@pytest.fixture
def private() -> Path:
    return Path(tempfile.mkdtemp(prefix=PRIVATE_PREFIX, dir=PRIVATE_PARENT))


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"7", b"null", b'{"pid": 1}', b'{"pid": "x"}', b"\xff\xfe"]
)
def test_a_damaged_record_is_no_record(settings: Settings, text: bytes) -> None:
    assert read_keeper(settings) is None
    write_atomic(keeper_file(settings), text)
    assert read_keeper(settings) is None
    assert running_keeper(settings) is None
    assert keeper_address(settings) is None


def test_a_living_keeper_is_found_with_all_it_wrote(settings: Settings, write: Write) -> None:
    body = write()
    assert read_keeper(settings) == running_keeper(settings) == body
    assert keeper_address(settings) == "127.0.0.1:6379"


def test_a_number_used_again_is_not_the_keeper(
    settings: Settings, write: Write, keeper_session: SessionRecord
) -> None:
    """The process of that number runs, and started at another time, or before the last boot."""
    for more in ({"started": keeper_session.started - 1}, {"boot": "another"}):
        body = write(**more)
        assert read_keeper(settings) == body
        assert running_keeper(settings) is None
        assert keeper_address(settings) is None


def test_a_keeper_is_forgotten_with_all_it_left(
    settings: Settings, private: Path, write: Write
) -> None:
    body = write(folder=str(private))
    (private / "a.sock").touch()
    write_atomic(status_file(settings), b"{}")
    (settings.keeper / "keeper.log").touch()
    forget_keeper(settings, body)
    forget_keeper(settings, body)
    assert [path.name for path in settings.keeper.iterdir()] == ["keeper.log"]
    assert not private.exists()


def test_a_later_keepers_files_stay(
    settings: Settings, private: Path, write: Write, keeper_session: SessionRecord
) -> None:
    old = dataclasses.replace(keeper_session, started=1).to_dict() | {"folder": str(private)}
    body = write()
    write_atomic(status_file(settings), b"{}")
    forget_keeper(settings, old)
    assert read_keeper(settings) == body
    assert status_file(settings).exists()
    assert not private.exists()


def test_folders_that_no_keeper_made_stay(settings: Settings, tmp_path: Path, write: Write) -> None:
    mine = tmp_path / "tenfold-mine"
    mine.mkdir()
    link = Path(tempfile.mktemp(prefix=PRIVATE_PREFIX, dir=PRIVATE_PARENT))  # noqa: S306
    link.symlink_to(mine)
    try:
        for folder in (mine, link, PRIVATE_PARENT, Path(), Path("/tmp/tenfold-x/../.."), None):
            forget_keeper(settings, write(folder=folder and str(folder)))
        assert mine.is_dir()
        assert link.is_symlink()
    finally:
        link.unlink()


def test_a_record_without_a_folder_is_forgotten(settings: Settings, write: Write) -> None:
    forget_keeper(settings, json.loads(json.dumps(write())))
    assert read_keeper(settings) is None
