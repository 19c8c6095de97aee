"""MLflow's pages, where they are asked for: a child of the keeper that listens on loopback.

MLflow's server reads the database that the commands mirror runs into. It starts processes of its
own, so it gets a process group that is ended as a whole; it stays in the keeper's session, where
whoever reaps a killed keeper finds it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tenfold.cluster.connect import LOOPBACK
from tenfold.errors import ClusterError, UserError

__all__ = ["MlflowPages", "mlflow_pages", "require_database"]

_STOP_S: Final = 10.0


def require_database(uri: str) -> None:
    """Refuse a tracking URI that is no database or folder: its server shows pages already.

    Raises:
        UserError: it is a server's address.

    >>> require_database("sqlite:////data/mlflow.db")
    """
    scheme = uri.split(":", 1)[0].lower()
    if scheme in {"http", "https", "databricks", "databricks-uc", "uc"}:
        raise UserError(
            f"--mlflow-port shows the runs of a database, and MLFLOW_TRACKING_URI names a server "
            f"({scheme}:…), which has pages of its own; leave --mlflow-port out"
        )


class MlflowPages:
    """The running server. Used from one thread.

    Attributes:
        url: where it answers, once `trouble` is empty.
    """

    def __init__(self, child: subprocess.Popen[bytes], port: int) -> None:
        self._child = child
        self.url = f"http://{LOOPBACK}:{port}"

    def trouble(self) -> str:
        """Why it does not answer; empty if it does.

        Raises:
            ClusterError: it has ended.
        """
        code = self._child.poll()
        if code is not None:
            raise ClusterError(f"MLflow's pages ended with {code}; the keeper's log says why")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"{self.url}/health", timeout=5) as answer:
                answer.read()
        except OSError as error:
            return f"MLflow's pages do not answer yet: {error}"
        return ""


@contextmanager
def mlflow_pages(uri: str, port: int, *, folder: Path) -> Iterator[MlflowPages]:
    """Start the server; end it and what it started at the end.

    Args:
        uri: of the database. It may hold a password, so it travels in the child's environment,
            which only this user can read, and not in its arguments, which everybody can.
        port: on loopback.
        folder: to work in.
    """
    command = [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--host", LOOPBACK, "--port", str(port), "--workers", "1"),
    ]
    environment = {
        **os.environ,
        "MLFLOW_BACKEND_STORE_URI": uri,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # no queue and no workers: pages only
    }
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, env=environment, cwd=folder, process_group=0
    )
    try:
        yield MlflowPages(child, port)
    finally:
        _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the whole group, SIGKILL to what is left of it."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=_STOP_S)
