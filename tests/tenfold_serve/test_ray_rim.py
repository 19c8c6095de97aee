from __future__ import annotations

import os
import re
import runpy
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from tenfold.errors import UserError
from tenfold_serve.ray_rim import (
    MAX_ONGOING,
    haproxy_binary,
    private_folder,
    require_free_port,
    serve_environment,
    write_haproxy_wrapper,
)


def rendered_template() -> str:
    """The parts of Ray's own template that the wrapper rewrites, with values filled in."""
    import ray

    path = Path(ray.__file__).parent / "serve/_private/haproxy_templates.py"
    text = str(runpy.run_path(str(path))["HAPROXY_CONFIG_TEMPLATE"])
    for name, value in {
        "config.metrics_port": "9101",
        "config.stats_port": "8404",
        "config.frontend_host": "127.0.0.1",
        "config.frontend_port": "8000",
    }.items():
        text = text.replace(f"{{{{ {name} }}}}", value)
    return text


def test_the_wrapper_closes_every_bind_and_runs_the_real_program(tmp_path: Path) -> None:
    wrapper, config = tmp_path / "haproxy", tmp_path / "h.cfg"
    config.write_text(rendered_template())
    write_haproxy_wrapper(wrapper, binary="/bin/echo")
    command = [str(wrapper), "-db", "-f", str(config), "-sf", "1 2"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"-db -f {config} -sf 1 2\n"
    lines = [line.split() for line in config.read_text().splitlines()]
    binds = [words[1] for words in lines if words[:1] == ["bind"] and words[1] != "{{"]
    assert binds == [f"unix@{tmp_path}/e.sock", "127.0.0.1:8000", f"unix@{tmp_path}/s.sock"]
    assert config.read_text().count(".sock mode 600") == 2
    assert config.read_text().count("x-request-disconnect-disabled ?1") == 1
    text = config.read_text()
    front = text[text.index("frontend http_frontend") : text.index("backend default_backend")]
    logs = [line for line in front.splitlines() if line.split()[:1] in (["log"], ["no"])]
    assert [line.strip() for line in logs] == ["no log"]  # no line a request, to nobody
    assert text.count("no project is served here") == 2 and "routes_message" not in text
    assert text.count("    http-request deny deny_status 404 ") == 1


def test_a_proxy_without_applications_says_come_back_and_not_that_there_is_nothing(
    tmp_path: Path,
) -> None:
    wrapper, config = tmp_path / "haproxy", tmp_path / "h.cfg"
    write_haproxy_wrapper(wrapper, binary="/bin/true")
    alone = (
        "backend default_backend\n    http-request return status 404 content-type text/plain x\n"
    )
    for before, status in (("", "503"), ("    use_backend http-mixed if is_http-mixed\n", "404")):
        config.write_text(f"frontend http_frontend\n    bind 127.0.0.1:1\n{before}{alone}")
        subprocess.run([str(wrapper), "-f", str(config)], check=True)
        (answer,) = re.findall("return status (.*)", config.read_text())
        assert answer.startswith(status)
        assert ("retry-after 1" in answer) == (status == "503")
        assert ('{"error":{"law":"path"' in answer) == (status == "404")


def test_a_second_run_changes_nothing_more(tmp_path: Path) -> None:
    wrapper, config = tmp_path / "haproxy", tmp_path / "h.cfg"
    write_haproxy_wrapper(wrapper, binary="/bin/true")
    results = []
    for _ in range(2):
        config.write_text(rendered_template())
        subprocess.run([str(wrapper), "-f", str(config)], check=True)
        results.append(config.read_text())
    assert results[0] == results[1]


def test_two_installations_have_no_port_in_common(tmp_path: Path) -> None:
    ports = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        flags = serve_environment(tmp_path / name)
        ports += [value for flag, value in flags.items() if re.match("RAY_SERVE_.*_PORT$", flag)]
    assert len(ports) == len(set(ports)) == 2


def test_an_unreadable_config_stops_the_start(tmp_path: Path) -> None:
    wrapper = tmp_path / "haproxy"
    write_haproxy_wrapper(wrapper, binary="/bin/true")
    command = [str(wrapper), "-f", str(tmp_path / "absent")]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1
    assert subprocess.run([str(wrapper), "-v"], check=False).returncode == 0


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


CONFIG = """global
    stats timeout 30s
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    log global
frontend prometheus
    bind :9101
    mode http
frontend http_frontend
    bind 127.0.0.1:8000
    log global
    default_backend default_backend
backend default_backend
    http-request return status 404 content-type text/plain lf-string "Path '%[path]' not found."
backend http-mixed
    log global
    http-reuse always
    server R1 127.0.0.1:30001 check observe layer4 error-limit 3 on-error mark-down
    server R2 127.0.0.1:30002 check
    server FALLBACK 127.0.0.1:30003 check backup
listen stats
  bind *:8404
  stats enable
"""
"""As Ray renders it, without what we do not touch."""


def test_the_real_program_takes_what_the_wrapper_makes(tmp_path: Path) -> None:
    binary = haproxy_binary()
    assert binary is not None
    wrapper, config = tmp_path / "haproxy", tmp_path / "h.cfg"
    config.write_text(CONFIG)
    write_haproxy_wrapper(wrapper, binary=binary)
    done = subprocess.run(
        [str(wrapper), "-c", "-f", str(config)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    servers = [line for line in config.read_text().splitlines() if line.startswith("    server")]
    assert [re.findall("maxconn [0-9]+", line) for line in servers] == [
        [f"maxconn {MAX_ONGOING}"], [f"maxconn {MAX_ONGOING}"], [],
    ]  # fmt: skip
    assert [line.count("pool-purge-delay 3600s") for line in servers] == [1, 1, 0]
    assert "set-timeout" not in config.read_text()
    alone = "\n".join(line for line in CONFIG.splitlines() if "server R" not in line) + "\n"
    config.write_text(alone)
    done = subprocess.run(
        [str(wrapper), "-c", "-f", str(config)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert config.read_text().count("http-request set-timeout server 10s") == 1
