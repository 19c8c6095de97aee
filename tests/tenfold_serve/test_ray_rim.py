from __future__ import annotations

import os
import re
import socket
import stat
from pathlib import Path

import pytest

from tenfold.errors import UserError
from tenfold_serve.haproxy import haproxy_binary
from tenfold_serve.ray_rim import (
    private_folder,
    require_free_port,
    serve_environment,
)


def test_two_installations_have_no_port_in_common(tmp_path: Path) -> None:
    ports = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        flags = serve_environment(tmp_path / name)
        ports += [value for flag, value in flags.items() if re.match("RAY_SERVE_.*_PORT$", flag)]
    assert len(ports) == len(set(ports)) == 2


def test_the_bundled_program_is_found_and_flags_name_the_wrapper() -> None:
    assert haproxy_binary() is not None
    folder = private_folder()
    try:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        flags = serve_environment(folder)
        assert flags["RAY_SERVE_ENABLE_HA_PROXY"] == "1"
        wrapper = Path(flags["RAY_SERVE_HAPROXY_BINARY_PATH"])
        assert os.access(wrapper, os.X_OK)
        # 56 characters of node id and the socket's name must fit into the kernel's 107.
        sockets = [Path(v) for k, v in flags.items() if k.endswith("SOCKET_PATH")]
        assert max(len(str(path)) for path in sockets) + 57 + 12 < 108
        assert all(path.parent == folder for path in sockets)
    finally:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


def test_every_flag_is_one_that_this_ray_reads(tmp_path: Path) -> None:
    import ray

    sources = Path(ray.__file__).parent
    names = (
        "serve/_private/constants.py",
        "_common/usage/usage_constants.py",
        "autoscaler/_private/constants.py",
        "dashboard/consts.py",
        "dashboard/modules/reporter/reporter_consts.py",
        "_private/log_monitor.py",
        "_private/ray_constants.py",
    )
    text = "".join((sources / name).read_text() for name in names)
    flags = serve_environment(tmp_path)
    native = "RAY_enable_metrics_collection"  # read by the raylet; the open ports show its effect
    assert [name for name in flags if name not in text and name != native] == []


def test_a_taken_port_is_refused_with_a_remedy() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} on 127.0.0.1 must be free"):
            require_free_port(port)
    require_free_port(port)
