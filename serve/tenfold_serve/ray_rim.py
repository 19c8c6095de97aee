"""All that leans on private or version-dependent behavior of Ray Serve 2.60, in one place.

What was looked at in the pinned version, and what a contract test holds:

- Serve reads its flags at import, so the environment is set before Ray starts (`serve_environment`)
  and is inherited by the raylet and every worker.
- Serve's logger makes a record of every request before a filter drops it, so the deployment's log
  level is a warning's and not only its access log off (see `tenfold_serve.app`).
- Ray makes its workers nice by 15, replicas and HAProxy with them: beside anything else that runs
  an answer then waits for a fortieth of a core. What helps Ray is as important to the kernel as
  what answers; `let_ray_give_way` lowers it. Raylet and the proxy's manager keep their place, for
  replicas and HAProxy inherit it, and so does the proxy, which answers where HAProxy cannot.
- A changed ``user_config`` alone, sent with the whole declarative config, calls ``reconfigure`` in
  the running replicas; anything else that changes restarts them.

What leans on its configuration of HAProxy is in `tenfold_serve.haproxy`.
"""

from __future__ import annotations

import re
import socket
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tenfold.cluster.connect import CLOSED_EXPORTERS, LOOPBACK
from tenfold.cluster.keeper import PRIVATE_PARENT, PRIVATE_PREFIX
from tenfold.cluster.ports import free_port
from tenfold.errors import ClusterError, UserError
from tenfold_serve.haproxy import ANSWER_S, KEPT_S, haproxy_binary, write_wrapper
from tenfold_serve.process import NICE, NICEST, let_give_way
from tenfold_serve.shortcut import CALLBACK

__all__ = [
    "SERVE_FLAGS",
    "AppStatus",
    "ServeHost",
    "import_serve",
    "let_ray_give_way",
    "niceness_of",
    "private_folder",
    "require_free_port",
    "serve_environment",
    "start_serve",
]

_OBJECT_STORE_BYTES = 200 * 1024 * 1024
"""The endpoint moves no tables through the object store; retraining in this Ray moves few."""

SERVE_FLAGS: Mapping[str, str] = {
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": CALLBACK,
    # HAProxy forgets a replica that is taken away after some 0.5 s; it answers until then.
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "2",
    # One that was silent for 12 s is not asked to finish in 10 more.
    "RAY_SERVE_FORCE_STOP_UNHEALTHY_REPLICAS": "1",
    "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "1",
    "RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S": "60",
    "RAY_SERVE_HAPROXY_TIMEOUT_SERVER_S": str(ANSWER_S),
    # Head and body of an answer in one packet: 15 us of HAProxy's CPU less a request.
    "RAY_SERVE_HAPROXY_TCP_NODELAY": "0",
}
"""On a laptop, in the image and in the manifests alike; all nodes of a cluster need them."""

_NAMING_WORDS = 3
"""Of a command: interpreter, option, script. Raylet's further words name what it starts."""
_HELPERS = {
    re.compile(rb"/gcs_server |^ray::(ServeController|RuntimeEnvAgent)"): NICE,
    re.compile(
        rb"^ray-dashboard-|^ray::DashboardAgent|/ray/dashboard/dashboard\.py "
        rb"|/ray/_private/log_monitor\.py |/ray/autoscaler/\w+/monitor\.py "
    ): NICEST,
}


def import_serve() -> Any:
    """``ray.serve``, without the deprecation warnings of its own pydantic models."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from ray import serve
    return serve


@dataclass(frozen=True, slots=True)
class AppStatus:
    """State of one application: ``RUNNING``, ``DEPLOYING``, ``UNHEALTHY``, ``DEPLOY_FAILED``…"""

    status: str
    message: str

    @property
    def is_running(self) -> bool:
        """Whether it answers."""
        return self.status == "RUNNING"


def serve_environment(folder: Path) -> dict[str, str]:
    """Every flag that Serve needs, to be set before Ray starts.

    Without an HAProxy binary Serve's own proxy is used: slower, same answers.

    Args:
        folder: private and short-named (see `private_folder`): sockets lie in it, and the kernel
            allows 107 characters for their paths.
    """
    flags = {
        **SERVE_FLAGS,
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(free_port(LOOPBACK)),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",
        # What works beside the replicas while nothing happens makes answers late: the agent looks
        # at every process, 10 ms of a core, and is asked every 15 s; the log's monitor looked for
        # new files ten times a second (now their lines may come 5 s late), and Serve's controller
        # for changes.
        "REPORTER_UPDATE_INTERVAL_MS": "15000",
        "RAY_LOG_MONITOR_MANY_FILES_THRESHOLD": "0",
        "LOG_NAME_UPDATE_INTERVAL_S": "5",
        "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.25",
        **CLOSED_EXPORTERS,
    }
    binary = haproxy_binary()
    if binary is None:
        off = {"RAY_SERVE_ENABLE_HA_PROXY": "0", "RAY_SERVE_THROUGHPUT_OPTIMIZED": "0"}
        return {**flags, **off}
    wrapper = folder / "haproxy"
    write_wrapper(wrapper, binary=binary)
    return {
        **flags,
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(wrapper),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "a.sock"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(folder / "m.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "state"),
        # One thread carries some 20,000 requests/s; four would fight the replicas for two cores.
        "RAY_SERVE_HAPROXY_NBTHREAD": "1",
    }


def private_folder() -> Path:
    """A new folder that only this user can enter, with a short name."""
    return Path(tempfile.mkdtemp(prefix=PRIVATE_PREFIX, dir=PRIVATE_PARENT))


def require_free_port(port: int, *, host: str = LOOPBACK) -> None:
    """Refuse a port that somebody listens on.

    Raises:
        UserError: it is taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UserError(
                f"port {port} on {host} must be free and is taken ({error.strerror}); "
                "run `tenfold down`, or choose another with --port"
            ) from error


def _http_options(host: str, port: int) -> dict[str, Any]:
    """Serve's HTTP options. Replicas behind HAProxy leave it to close a connection first; Serve's
    own proxy, which clients ask, keeps its default."""
    keep = {} if haproxy_binary() is None else {"keep_alive_timeout_s": 2 * KEPT_S}
    return {"host": host, "port": port, **keep}


class ServeHost:
    """A running Serve. Used from one thread of one process: the only owner of its config."""

    def __init__(self, client: Any, *, host: str, port: int) -> None:
        self._client = client
        self._http = _http_options(host, port)

    def apply(self, applications: Sequence[Mapping[str, Any]]) -> None:
        """Send the whole declarative config; applications not in it are removed.

        Raises:
            ClusterError: Serve refuses it.
        """
        from ray.serve.schema import ServeDeploySchema

        try:
            config = ServeDeploySchema.model_validate(
                {
                    "proxy_location": "HeadOnly",
                    "http_options": self._http,
                    "applications": list(applications),
                }
            )
            self._client.deploy_apps(config)
        except Exception as error:  # Ray wraps whatever went wrong in types of its own
            raise ClusterError(f"Ray Serve refused the configuration: {error}") from error

    def addresses(self) -> dict[str, str | None]:
        """``ray_address`` of the control store and ``dashboard_url``, None without a dashboard."""
        import ray

        dashboard = ray._private.worker.global_worker.node.address_info.get("webui_url")
        return {
            "ray_address": str(ray.get_runtime_context().gcs_address),
            "dashboard_url": f"http://{dashboard}" if dashboard else None,
        }

    def statuses(self) -> dict[str, AppStatus]:
        """The state of every application by name.

        Raises:
            ClusterError: Serve does not answer.
        """
        try:
            found = import_serve().status().applications
        except Exception as error:
            raise ClusterError(f"Ray Serve does not answer: {error}") from error
        return {
            name: AppStatus(str(app.status.value), _message(app)) for name, app in found.items()
        }


def _message(app: Any) -> str:
    parts = [app.message, *(deployment.message for deployment in app.deployments.values())]
    return " ".join(part for part in parts if part)[:2000]


def let_ray_give_way(pids: Iterable[int]) -> None:
    """Lower the priority of Ray's own helpers among the processes; the others are left alone. Again
    from time to time: those that died come back as they were.

    Args:
        pids: of the endpoint's session.
    """
    for pid in pids:
        with suppress(OSError):
            nice = niceness_of(Path(f"/proc/{pid}/cmdline").read_bytes())
            if nice is not None:
                let_give_way(pid, nice=nice)


def niceness_of(command: bytes) -> int | None:
    """What a process of Ray's should be nice by; None if it should stay as it is.

    Args:
        command: its words, as ``/proc/{pid}/cmdline`` has them.

    >>> niceness_of(b"/lib/ray/core/src/ray/gcs/gcs_server\\0--session=1")
    10
    >>> niceness_of(b"python\\0-u\\0/lib/ray/_private/log_monitor.py\\0--log=1")
    19
    >>> niceness_of(b"ray::ServeReplica:dashboard:EndpointReplica")
    >>> niceness_of(b"python\\0/home/me/monitor.py\\0")
    """
    words = b" ".join(command.split(b"\0")[:_NAMING_WORDS]) + b" "
    return next((nice for found, nice in _HELPERS.items() if found.search(words)), None)


@contextmanager
def start_serve(
    *,
    host: str,
    port: int,
    num_cpus: int | None = None,
    dashboard: bool = True,
    done: Callable[[str], object] = str,
) -> Iterator[ServeHost]:
    """An embedded Ray with Serve on it, stopped at the end. The flags must be set before.

    Args:
        host: address of the endpoint and of the replicas' own ports.
        port: of the endpoint.
        num_cpus: what Ray may plan with; all by default.
        dashboard: whether Ray's dashboard runs (some 0.6 GB in ten processes).
        done: told the name of each step of the start when it is over.

    Raises:
        ClusterError: Ray or Serve does not start.
    """
    serve = import_serve()
    import ray
    from ray.serve._private.api import serve_start

    try:
        ray.init(
            address="local",
            num_cpus=num_cpus,
            include_dashboard=dashboard,
            dashboard_host=LOOPBACK,
            object_store_memory=_OBJECT_STORE_BYTES,
            log_to_driver=False,
            logging_level="warning",
            namespace="tenfold",
        )
        done("Ray")
        client = serve_start(http_options=_http_options(host, port), proxy_location="HeadOnly")
        done("Serve")
    except Exception as error:
        with suppress(Exception):
            ray.shutdown()
        raise ClusterError(f"Ray Serve did not start: {error}") from error
    try:
        yield ServeHost(client, host=host, port=port)
    finally:
        with suppress(Exception):
            serve.shutdown()
        with suppress(Exception):
            ray.shutdown()
