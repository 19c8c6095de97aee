"""The keeper: one process that holds Ray, Serve, the aggregator and the supervisor.

::

    python -m tenfold_serve.keeper --project FILE… --port 8000 [--host IP] [--mlflow-port N]

It leads a process session of its own and writes down, before it starts anything, how to find it:
``{home}/keeper/keeper.json``. SIGTERM stops everything in order; whatever a SIGKILL leaves behind
is found by the session (`tenfold.cluster.sessions`). ``{home}/keeper/status.json`` shows what the
supervisor knows. Everything listens on loopback, the endpoint elsewhere only if it has keys.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

from tenfold.canonical import canonical_json, finite_json, write_atomic
from tenfold.cluster import inventory_ray
from tenfold.cluster.connect import LOOPBACK, auth_environment
from tenfold.cluster.keeper import forget_keeper, keeper_file, read_keeper, status_file
from tenfold.cluster.sessions import SessionRecord, alive, end_session, members, open_session
from tenfold.errors import ClusterError, StoreError, TenfoldError, UserError
from tenfold.project import Project, load_project
from tenfold.settings import Settings
from tenfold_serve.aggregator import start_aggregator
from tenfold_serve.connections import Connections
from tenfold_serve.exposure import (
    EVERYWHERE,
    LISTENS_ON,
    REQUIRE_KEYS,
    beyond_loopback,
    require_keys,
)
from tenfold_serve.grpc_server import grpc_ports
from tenfold_serve.haproxy import MAX_ONGOING, haproxy_binary
from tenfold_serve.mlflow_pages import MlflowPages, mlflow_pages, require_database
from tenfold_serve.process import give_way, set_aside_what_stays, tables_on_one_core
from tenfold_serve.ray_rim import (
    ServeHost,
    let_ray_give_way,
    private_folder,
    require_free_port,
    serve_environment,
    start_serve,
)
from tenfold_serve.seating import seats_for
from tenfold_serve.startup import Startup
from tenfold_serve.supervisor import Supervisor

__all__ = ["Keeper", "main"]

log = logging.getLogger("tenfold.serve")

_STEP_S: Final = 1.0
_STATUS_S: Final = 2.0
_LOWER_S: Final = 60.0
_READY_S: Final = 150.0
_CALL_S: Final = 30.0
"""An index that is filled again takes seconds. The supervisor waits for less, see `asking`."""
_QUICK_S: Final = {"arms": 1.0}
"""Asked every second while a canary answers: a later answer is asked for again."""


class Keeper:
    """Everything that runs, from start to stop. Used once, from the main thread.

    Args:
        projects: each with the path of its project file.
        settings: where everything lies.
        port: of the endpoint.
        mlflow_port: of MLflow's pages; None: they are not served.
        host: the IPv4 address that the endpoint listens on; beyond loopback keys are needed.
    """

    def __init__(
        self,
        projects: Sequence[tuple[Project, Path]],
        *,
        settings: Settings,
        port: int,
        mlflow_port: int | None = None,
        host: str = LOOPBACK,
    ) -> None:
        self._host = host
        self._projects = list(projects)
        self._settings = settings
        self._port = port
        self._mlflow_port = mlflow_port
        self._stop = threading.Event()
        self._startup = Startup()
        self._record: dict[str, Any] = {}
        self._pages: MlflowPages | None = None

    def run(self) -> None:
        """Start, serve until SIGTERM or SIGINT, stop.

        Raises:
            UserError: a port is taken, a keeper runs already, a project without keys would listen
                beyond loopback, MLflow's pages are asked for and the runs are on a server, or a
                project asks for a GPU that is not there.
            ClusterError: something did not start.
        """
        self._refuse_a_second()
        if self._mlflow_port is not None:
            require_database(self._settings.mlflow_uri)
        exposed = beyond_loopback(self._host)
        if exposed:
            require_keys([project.name for project, _ in self._projects], self._settings)
        require_free_port(self._port, host=self._host)
        if self._mlflow_port is not None:
            require_free_port(self._mlflow_port)
        for port in grpc_ports([project for project, _ in self._projects], taken=self._port):
            require_free_port(port, host=self._host)
        session = open_session()
        self._listen()
        folder = private_folder()
        near = LOOPBACK if self._host == EVERYWHERE else self._host
        self._record = {
            **session.to_dict(),
            "port": self._port,
            "projects": [project.name for project, _ in self._projects],
            "urls": {p.name: f"http://{near}:{self._port}/{p.name}" for p, _ in self._projects},
            "haproxy": haproxy_binary() is not None,
            "grpc": {
                p.name: f"{near}:{p.serve.grpc_port}"
                for p, _ in self._projects
                if p.serve.grpc_port is not None
            },
            "folder": str(folder),
            "ray_address": None,
            "dashboard_url": None,
            "mlflow_url": None,
            "started_s": time.time(),
            "ready": False,
        }
        self._write()
        try:
            os.environ.update(auth_environment(self._settings))
            os.environ.update(self._settings.to_env())
            os.environ.update(serve_environment(folder))
            os.environ[REQUIRE_KEYS] = "1" if exposed else "0"
            os.environ[LISTENS_ON] = self._host
            with self._mlflow():
                self._serve()
        finally:
            forget_keeper(self._settings, self._record)

    def _serve(self) -> None:
        dashboard = os.environ.get("TENFOLD_DASHBOARD", "1") != "0"
        startup = self._startup
        with start_serve(
            host=self._host, port=self._port, dashboard=dashboard, done=startup.done
        ) as host:
            self._listen()  # ray.init puts a handler of its own in place
            self._record |= host.addresses()
            self._write()
            aggregator = _RemoteAggregator()
            projects = [project for project, _ in self._projects]
            seats = seats_for(projects, self._settings, inventory_ray())
            for name, seat in seats.items():
                log.info("%s: %s", name, seat.reason)
            tables_on_one_core()
            supervisor = Supervisor(
                self._projects,
                settings=self._settings,
                host=host,
                aggregator=aggregator,
                seats=seats,
            )
            supervisor.start()
            startup.done("probe of the models")
            give_way()  # this thread and those it starts from now on, not Ray's processes
            urls = self._record["urls"]
            connections = Connections(Path(self._record["folder"]), urls, each=MAX_ONGOING)
            try:
                self._await_ready(host, supervisor, connections)
                set_aside_what_stays()
                self._keep(supervisor, connections)
            finally:
                supervisor.stop()
                aggregator.save()

    def _await_ready(
        self, host: ServeHost, supervisor: Supervisor, connections: Connections
    ) -> None:
        deadline = time.monotonic() + _READY_S
        reasons: dict[str, str] = {}
        while not self._stop.is_set():
            reasons = self._not_ready(host)
            if not reasons:
                connections.step()
                self._tell(supervisor.status())  # who is told of readiness finds the status there
                self._startup.done("replicas")
                self._record |= {"ready": True, "startup_s": self._startup.steps_s}
                self._write()
                log.info("ready: %s", ", ".join(self._record["urls"].values()))
                return
            refused = {n: s["refused"] for n, s in supervisor.status().items() if "refused" in s}
            if refused or time.monotonic() > deadline:
                reasons |= refused
                raise ClusterError(f"the endpoint did not become ready: {reasons}")
            self._stop.wait(0.1)

    def _not_ready(self, host: ServeHost) -> dict[str, str]:
        statuses = host.statuses()
        reasons = {}
        for name, url in self._record["urls"].items():
            status = statuses.get(name)
            if status is None or not status.is_running:
                reasons[name] = "not deployed" if status is None else str(status)
                continue
            reason = _ask_ready(url)
            if reason:
                reasons[name] = reason
        if self._pages is not None:
            reason = self._pages.trouble()
            if reason:
                reasons["mlflow"] = reason
            else:
                self._record["mlflow_url"] = self._pages.url
        return reasons

    def _keep(self, supervisor: Supervisor, connections: Connections) -> None:
        told = lowered = -math.inf
        while not self._stop.wait(_STEP_S):
            supervisor.step()
            connections.step()
            if time.monotonic() - lowered >= _LOWER_S:
                lowered = time.monotonic()
                let_ray_give_way(members(SessionRecord.from_dict(self._record)))
            if time.monotonic() - told >= _STATUS_S:
                told = time.monotonic()
                self._tell(supervisor.status())

    def _tell(self, status: Mapping[str, Any]) -> None:
        try:
            write_atomic(status_file(self._settings), canonical_json(finite_json(status)))
        except (StoreError, ValueError):
            log.exception("the status was not written")

    @contextmanager
    def _mlflow(self) -> Iterator[None]:
        if self._mlflow_port is None:
            yield
            return
        folder = self._settings.keeper
        with mlflow_pages(self._settings.mlflow_uri, self._mlflow_port, folder=folder) as pages:
            self._pages = pages
            yield

    def _refuse_a_second(self) -> None:
        found = read_keeper(self._settings)
        if found is None:
            return
        session = SessionRecord.from_dict(found)
        if alive(session) and session.pid != os.getpid():
            raise UserError(
                f"one keeper runs at a time and pid {session.pid} serves "
                f"{found.get('projects')} on port {found.get('port')}; run `tenfold down` first"
            )
        end_session(session, grace_s=0.0)
        forget_keeper(self._settings, found)

    def _write(self) -> None:
        write_atomic(keeper_file(self._settings), canonical_json(self._record), mode=0o600)

    def _listen(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        log.info("stopping on %s", signal.Signals(number).name)
        self._stop.set()


class _RemoteAggregator:
    """The aggregator's methods as plain calls; the actor is found again after it was lost."""

    def __init__(self) -> None:
        self._handle: Any = None

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> Any:
            import ray

            if self._handle is None:
                self._handle = start_aggregator()
            try:
                method = getattr(self._handle, name)
                return ray.get(method.remote(*arguments), timeout=_QUICK_S.get(name, _CALL_S))
            except ray.exceptions.RayTaskError as error:
                raise error.cause from error
            except (ray.exceptions.RayError, TimeoutError) as error:
                self._handle = None
                raise ClusterError(f"the aggregator is away: {error}") from error

        return call


def _ask_ready(url: str) -> str:
    """Why it is not ready; empty if it is."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url}/readyz", timeout=5) as answer:
            body = json.loads(answer.read())
            return str(body["reason"])
    except urllib.error.HTTPError as error:
        return error.read().decode(errors="replace")[:500]
    except (OSError, ValueError, KeyError) as error:
        return str(error) or type(error).__name__


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; errors go to standard error as one last line ``error: …``."""
    parser = argparse.ArgumentParser(prog="python -m tenfold_serve.keeper")
    parser.add_argument("--project", action="append", required=True, type=Path)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--host", default=LOOPBACK)
    parser.add_argument("--mlflow-port", type=int)
    asked = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        settings = Settings.from_env()
        projects = [(load_project(path), path.absolute()) for path in asked.project]
        keeper = Keeper(
            projects,
            settings=settings,
            port=asked.port,
            mlflow_port=asked.mlflow_port,
            host=asked.host,
        )
        keeper.run()
    except TenfoldError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
