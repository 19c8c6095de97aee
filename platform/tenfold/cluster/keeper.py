"""The keeper's record: how every process of an installation finds the one that serves.

The serving wing writes ``{home}/keeper/keeper.json`` before it starts anything; commands and
retrains read it here. The record names a process session, so "it runs" means that this very
process runs, not a later one of the same number. A record that cannot be read is no record.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from tenfold.canonical import read_json
from tenfold.cluster.sessions import SessionRecord, alive
from tenfold.errors import StoreError, UserError
from tenfold.settings import Settings

__all__ = [
    "PRIVATE_PARENT",
    "PRIVATE_PREFIX",
    "endpoint_url",
    "forget_keeper",
    "keeper_file",
    "read_keeper",
    "running_keeper",
    "status_file",
]

PRIVATE_PARENT = Path("/tmp")  # noqa: S108 - mkdtemp makes a folder there that is ours alone
"""Where a keeper's folder of sockets lies: the kernel allows 107 characters for a socket's path."""

PRIVATE_PREFIX = "tenfold-"
"""How its name begins."""


def keeper_file(settings: Settings) -> Path:
    """Where the record is."""
    return settings.keeper / "keeper.json"


def status_file(settings: Settings) -> Path:
    """Where the keeper tells what its supervisor knows."""
    return settings.keeper / "status.json"


def read_keeper(settings: Settings) -> dict[str, Any] | None:
    """What the last keeper wrote down, whether it lives or not; None if there is nothing.

    A record whose session cannot be read is damaged, and is nothing too.
    """
    try:
        record = read_json(keeper_file(settings))
        SessionRecord.from_dict(record)
    except (StoreError, KeyError, TypeError, ValueError):
        return None
    return dict(record)


def running_keeper(settings: Settings) -> dict[str, Any] | None:
    """The record of a keeper that is alive, else None."""
    record = read_keeper(settings)
    if record is None or not alive(SessionRecord.from_dict(record)):
        return None
    return record


def endpoint_url(settings: Settings, project: str) -> str:
    """Where a project's endpoint answers on this machine.

    Raises:
        UserError: no keeper runs, or it does not serve this project.
    """
    record = running_keeper(settings)
    if record is None:
        raise UserError("no endpoint is running here; start it with `tenfold up PROJECT`")
    urls: dict[str, str] = record["urls"]
    if project not in urls:
        raise UserError(
            f"the running endpoint serves {sorted(urls)}, not {project!r}; "
            "run `tenfold down`, then `tenfold up` with all projects"
        )
    return urls[project]


def forget_keeper(settings: Settings, record: dict[str, Any]) -> None:
    """Remove what a keeper that has ended left on the disk.

    The record, its status and its private folder. The files of a later keeper are left alone, and
    so is a folder that no keeper of this user can have made: the record is only a file.
    """
    newest = read_keeper(settings)
    if newest is None or SessionRecord.from_dict(newest) == SessionRecord.from_dict(record):
        keeper_file(settings).unlink(missing_ok=True)
        status_file(settings).unlink(missing_ok=True)
    folder = Path(str(record.get("folder") or ""))
    if _is_private(folder):
        shutil.rmtree(folder, ignore_errors=True)


def _is_private(folder: Path) -> bool:
    if folder.parent != PRIVATE_PARENT or not folder.name.startswith(PRIVATE_PREFIX):
        return False
    try:
        owner = folder.lstat().st_uid
    except OSError:
        return False
    return owner == os.getuid() and folder.is_dir() and not folder.is_symlink()
