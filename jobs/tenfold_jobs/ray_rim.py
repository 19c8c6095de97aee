"""Everything of the jobs' wing that leans on version-dependent behavior of Ray (2.60).

`start_ray` is the one entrance. Facts it rests on, each with a contract test:

- environment variables are read when Ray is imported or started, so they are set first, and what
  it read of authentication before is read again;
- token authentication is stated, never left to the default of the version;
- Train's controller polls every `RAY_TRAIN_HEALTH_CHECK_INTERVAL_S` and a report waits for the
  poll: the default of 2 s costs 2 s a report;
- ``ray.shutdown()`` ends the processes of a Ray that this process started, and only leaves one that
  it joined.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tenfold.cluster.connect import CLOSED_EXPORTERS, LOOPBACK, auth_environment, keeper_address
from tenfold.errors import ClusterError
from tenfold.settings import Settings

__all__ = ["QUIET_ENVIRONMENT", "RAY_ENVIRONMENT", "is_connected", "start_ray"]

RAY_ENVIRONMENT = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_RESULT_BUFFER_LENGTH": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    # Tune would take Ctrl-C for "finish early" and let the command end well.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    **CLOSED_EXPORTERS,
}
"""Behavior: quick reports, no phoning home, no result files that nobody reads."""

QUIET_ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_TRAIN_ENABLE_CONTROLLER_STRUCTURED_LOGGING": "0",
    "RAY_TRAIN_ENABLE_WORKER_STRUCTURED_LOGGING": "0",
    "RAY_LOG_TO_STDERR": "0",
}
"""Ray's own chatter stays out of the user's sight."""

KNOCK_TIMEOUT_S = 10.0
"""A healthy head accepts a connection in milliseconds, over a bad network in a second or two."""

NOISY_LOGGERS = ("ray", "ray.data", "ray.train", "ray.tune", "ray.serve")


@contextmanager
def start_ray(
    settings: Settings,
    *,
    quiet: bool = True,
    num_cpus: int | None = None,
    dashboard: bool = False,
) -> Iterator[str]:
    """A Ray to work on, for as long as the context lasts.

    In this order: the Ray this process is in already (left as it is), the cluster of
    ``RAY_ADDRESS``, the Ray of a running keeper, else a local one, which ends with the context.

    Args:
        settings: where the token, the keeper's record and the address come from.
        quiet: keep Ray's own logs off the terminal.
        num_cpus: logical CPUs of a local Ray; the machine's by default.
        dashboard: start the dashboard of a local Ray, on loopback.

    Yields:
        The address of its control store.

    Raises:
        ClusterError: the cluster cannot be reached or the local Ray does not start.
    """
    os.environ |= RAY_ENVIRONMENT | auth_environment(settings)
    if quiet:
        os.environ |= QUIET_ENVIRONMENT
    import ray

    if ray.is_initialized():
        yield _address(ray)
        return
    _refresh_authentication()
    address = settings.ray_address or keeper_address(settings)
    if address:
        _knock(address)
    local: dict[str, Any] = {"address": address} if address else _local(num_cpus, dashboard)
    _quiet_logs(quiet)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ray.init(
                log_to_driver=not quiet,
                logging_level=logging.ERROR if quiet else logging.INFO,
                configure_logging=True,
                **local,
            )
    except KeyboardInterrupt:
        ray.shutdown()  # half of it may be there already
        raise
    except (ConnectionError, RuntimeError, OSError, ValueError, TimeoutError) as error:
        where = f"the Ray at {address}" if address else "a local Ray"
        raise ClusterError(
            f"{where} must answer with this installation's token: {error}; "
            "check RAY_ADDRESS and the token, or unset RAY_ADDRESS for a local one"
        ) from error
    _quiet_logs(quiet)
    try:
        yield _address(ray)
    finally:
        ray.shutdown()


def is_connected() -> bool:
    """Whether this process is in a Ray already; imports none."""
    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


def _refresh_authentication() -> None:
    """Ray reads mode and token once, at its import, which may have been before they were set."""
    from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


def _knock(address: str) -> None:
    """Fails within seconds where nothing listens: Ray itself tries for minutes.

    Raises:
        ClusterError: nobody answers at the address.
    """
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK_TIMEOUT_S).close()
    except OSError as error:
        raise ClusterError(
            f"a Ray must listen at {address}: {error}; check RAY_ADDRESS, or unset it"
        ) from error


def _local(num_cpus: int | None, dashboard: bool) -> dict[str, Any]:  # noqa: FBT001
    return {
        "num_cpus": num_cpus,
        "include_dashboard": dashboard,
        "dashboard_host": LOOPBACK,
        "address": "local",
    }


def _address(ray: Any) -> str:
    return str(ray.get_runtime_context().gcs_address)


def _quiet_logs(quiet: bool) -> None:  # noqa: FBT001
    if quiet:
        for name in NOISY_LOGGERS:
            logging.getLogger(name).setLevel(logging.ERROR)
        # A session that died is told by the search in one line; Tune would add a page.
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
