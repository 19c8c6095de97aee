"""A database of MLflow with its tables and no run, which MLflow takes 1.5 s of a CPU to make."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from tenfold.settings import Settings
from tenfold.tracking import Tracker

DATABASE = "mlflow.db"


def with_runs(settings: Settings) -> Settings:
    """The same settings; if their home has no database, it gets what a first training makes."""
    path = settings.home / DATABASE
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_database())
    return settings


@cache
def _database() -> bytes:
    """Made by the mirror itself, once a process."""
    with TemporaryDirectory() as folder:
        tracker = Tracker(Settings.from_env({"TENFOLD_HOME": folder}))
        assert tracker.client() is not None, tracker.fault
        return (Path(folder) / DATABASE).read_bytes()
