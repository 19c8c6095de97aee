"""How processes of one installation find and trust its Ray: the token, the keeper's address.

Ray's ports run anyone's code, so the token is never left to Ray's defaults: every process that
starts or joins a Ray gets `auth_environment` first. Imports no Ray.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from tenfold.cluster.keeper import running_keeper
from tenfold.errors import ClusterError
from tenfold.settings import Settings

__all__ = [
    "AUTH_MODE",
    "AUTH_TOKEN",
    "AUTH_TOKEN_PATH",
    "CLOSED_EXPORTERS",
    "LOOPBACK",
    "TOKEN_FILE",
    "auth_environment",
    "keeper_address",
    "token_file",
]

AUTH_MODE = "RAY_AUTH_MODE"
AUTH_TOKEN = "RAY_AUTH_TOKEN"  # noqa: S105 - a variable's name
AUTH_TOKEN_PATH = "RAY_AUTH_TOKEN_PATH"  # noqa: S105 - a variable's name
TOKEN_FILE = "ray-token"  # noqa: S105 - a file's name
TOKEN_BYTES = 32
LOOPBACK = "127.0.0.1"

CLOSED_EXPORTERS = {
    "AUTOSCALER_METRIC_PORT": "-1",
    "DASHBOARD_METRIC_PORT": "-1",
    "METRICS_RECORD_INTERVAL_S": "86400",
    "RAY_enable_metrics_collection": "0",
}
"""Closes the three Prometheus exporters of a Ray that we start on this machine (44217, 44227, the
agent's): they answer on every interface and ask for no token. -1 is no port, so Ray 2.60 says so
in its log and goes on without. What the dashboard gathers for them, every 5 s the memory maps of
its processes, is gathered once a day: it took 35 ms of a core in one piece, and requests waited.
Our metrics are at ``/{project}/metrics``; a cluster keeps Ray's."""


def token_file(settings: Settings) -> Path:
    """The file with this installation's Ray token, made on first use, readable by its owner only.

    Raises:
        ClusterError: the file cannot be written, or others may read it.
    """
    path = settings.home / TOKEN_FILE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _create(path)
        mode = path.stat().st_mode & 0o777
    except OSError as error:
        raise ClusterError(f"Ray's token must be kept in {path}: {error}; free the path") from error
    if mode & 0o077:
        raise ClusterError(
            f"Ray's token must be readable by its owner only, {path} has mode {mode:o}; "
            f"run chmod 600 {path}"
        )
    return path


def _create(path: Path) -> None:
    """Writes a whole private file beside and links it in place: the first of two racers wins."""
    staged = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(TOKEN_BYTES))
            file.flush()
            os.fsync(file.fileno())
        os.link(staged, path)
    except FileExistsError:
        pass
    finally:
        staged.unlink(missing_ok=True)


def auth_environment(
    settings: Settings, environ: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Variables that make a process start and join Ray with token authentication.

    A token that the environment already names (a cluster's own) is kept; the mode is always stated.
    """
    env = os.environ if environ is None else environ
    if env.get(AUTH_TOKEN) or env.get(AUTH_TOKEN_PATH):
        return {AUTH_MODE: "token"}
    return {AUTH_MODE: "token", AUTH_TOKEN_PATH: str(token_file(settings))}


def keeper_address(settings: Settings) -> str | None:
    """The address of the Ray that a living keeper of this installation holds, or None."""
    record = running_keeper(settings)
    address = None if record is None else record.get("ray_address")
    return str(address) if address else None
