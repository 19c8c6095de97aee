"""Deployment settings: where things live, read from the environment.

They are kept apart from the project file (which is stored in every artifact) on purpose: the same
project runs on a laptop and on a cluster with nothing but these changed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tenfold.errors import UserError

__all__ = ["DEFAULT_LOCAL_BYTES", "Settings", "stays_local"]

DEFAULT_LOCAL_BYTES = 256 * 1024 * 1024
"""Tables below this go through the kernels in-process: a cold Ray Data pipeline costs 3-7 s."""


def stays_local(size_bytes: int, *, local_bytes: int) -> bool:
    """Whether a table of that size stays in one process; with a limit of 0 none does.

    >>> [stays_local(size, local_bytes=100) for size in (99, 100)], stays_local(0, local_bytes=0)
    ([True, False], False)
    """
    return size_bytes < local_bytes


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the parts of one installation live.

    Attributes:
        home: folder of this user's installation (``TENFOLD_HOME``, default ``~/.tenfold``).
        store: folder of snapshots, artifacts and logs (``TENFOLD_STORE``, default ``home/store``).
        state_url: SQLAlchemy URL of the state database (``TENFOLD_STATE``, default SQLite).
        mlflow_uri: tracking server or database (``MLFLOW_TRACKING_URI``, default SQLite).
        local_bytes: tables below this many bytes stay in one process (``TENFOLD_LOCAL_BYTES``).
        ray_address: the cluster to use (``RAY_ADDRESS``), or None for an embedded Ray.

    >>> settings = Settings.from_env({"TENFOLD_HOME": "/tmp/t", "TENFOLD_LOCAL_BYTES": "0"})
    >>> settings.snapshots.as_posix(), settings.local_bytes, settings.ray_address
    ('/tmp/t/store/snapshots', 0, None)
    """

    home: Path
    store: str
    state_url: str
    mlflow_uri: str
    local_bytes: int
    ray_address: str | None

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the settings.

        Raises:
            UserError: ``TENFOLD_LOCAL_BYTES`` is not a whole number, or ``TENFOLD_STORE`` is a
                URL of an object store, which is not there yet.
        """
        env = os.environ if environ is None else environ
        home = Path(env.get("TENFOLD_HOME") or Path.home() / ".tenfold").expanduser().absolute()
        store = env.get("TENFOLD_STORE") or str(home / "store")
        if "://" in store:
            raise UserError(
                f"TENFOLD_STORE is a folder so far, not an object store: {store!r}; "
                "name a folder that every node can reach"
            )
        return cls(
            home=home,
            store=str(Path(store).expanduser().absolute()),
            state_url=env.get("TENFOLD_STATE") or f"sqlite:///{home / 'state.db'}",
            mlflow_uri=env.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home / 'mlflow.db'}",
            local_bytes=_whole_number(env, "TENFOLD_LOCAL_BYTES", DEFAULT_LOCAL_BYTES),
            ray_address=env.get("RAY_ADDRESS") or None,
        )

    def to_env(self) -> dict[str, str]:
        """The same settings as environment variables, for a process that we start.

        >>> settings = Settings.from_env({"TENFOLD_HOME": "/tmp/t"})
        >>> Settings.from_env(settings.to_env()) == settings
        True
        """
        env = {
            "TENFOLD_HOME": str(self.home),
            "TENFOLD_STORE": self.store,
            "TENFOLD_STATE": self.state_url,
            "MLFLOW_TRACKING_URI": self.mlflow_uri,
            "TENFOLD_LOCAL_BYTES": str(self.local_bytes),
        }
        return env if self.ray_address is None else {**env, "RAY_ADDRESS": self.ray_address}

    @property
    def snapshots(self) -> Path:
        """Folder of the prepared snapshots."""
        return Path(self.store) / "snapshots"

    @property
    def pulls(self) -> Path:
        """Folder of what was pulled from databases, APIs and lakes, and of joined tables."""
        return Path(self.store) / "pulls"

    @property
    def artifacts(self) -> Path:
        """Folder of the published models."""
        return Path(self.store) / "artifacts"

    @property
    def live(self) -> Path:
        """Folder of prediction and label logs."""
        return Path(self.store) / "live"

    @property
    def reports(self) -> Path:
        """Folder of exploration reports."""
        return Path(self.store) / "reports"

    @property
    def keeper(self) -> Path:
        """Folder of the running keeper's record and log."""
        return self.home / "keeper"


def _whole_number(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit()):
        raise UserError(f"{name} is a whole number of bytes, not {text!r}; 0 sends all through Ray")
    return int(text)
