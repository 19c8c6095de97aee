"""What the running keeper wrote down about itself, read by the commands that talk to it."""

from __future__ import annotations

from typing import Any

from tenfold.canonical import read_json
from tenfold.cluster.sessions import SessionRecord, alive
from tenfold.errors import StoreError, UserError
from tenfold.settings import Settings

__all__ = ["endpoint_url", "read_keeper", "running_keeper"]


def read_keeper(settings: Settings) -> dict[str, Any] | None:
    """The keeper's record, whether it still runs or not; None if none is readable."""
    path = settings.keeper / "keeper.json"
    if not path.exists():
        return None
    try:
        record: dict[str, Any] = read_json(path)
        SessionRecord.from_dict(record)
    except (StoreError, KeyError, TypeError, ValueError):
        return None
    return record


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
