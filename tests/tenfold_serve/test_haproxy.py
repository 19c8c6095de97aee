"""What is changed in the configuration that Ray makes for HAProxy, by the real program."""

from __future__ import annotations

import re
import runpy
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tenfold.errors import ClusterError
from tenfold_serve.haproxy import MAX_ONGOING, haproxy_binary, main, write_wrapper


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
    write_wrapper(wrapper, binary="/bin/echo")
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
    write_wrapper(wrapper, binary="/bin/true")
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
    write_wrapper(wrapper, binary="/bin/true")
    results = []
    for _ in range(2):
        config.write_text(rendered_template())
        subprocess.run([str(wrapper), "-f", str(config)], check=True)
        results.append(config.read_text())
    assert results[0] == results[1]


def test_an_unreadable_config_stops_the_start(tmp_path: Path) -> None:
    wrapper = tmp_path / "haproxy"
    write_wrapper(wrapper, binary="/bin/true")
    command = [str(wrapper), "-f", str(tmp_path / "absent")]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1
    assert subprocess.run([str(wrapper), "-v"], check=False).returncode == 0


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
    write_wrapper(wrapper, binary=binary)
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


def test_the_image_makes_one_that_everybody_may_run(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    image = (root / "Dockerfile").read_text()
    ((made, *_),) = (
        line.split()[-1:] for line in image.splitlines() if "tenfold_serve.haproxy" in line
    )
    assert f"RAY_SERVE_HAPROXY_BINARY_PATH={made} " in image
    wrapper, config = tmp_path / "haproxy", tmp_path / "h.cfg"
    subprocess.run([sys.executable, "-m", "tenfold_serve.haproxy", str(wrapper)], check=True)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (wrapper, tmp_path / "haproxy.sed")]
    assert modes == [0o755, 0o644]
    config.write_text(CONFIG)
    subprocess.run([str(wrapper), "-c", "-f", str(config)], check=True)
    assert f"maxconn {MAX_ONGOING}" in config.read_text()


def test_where_there_is_no_haproxy_the_image_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenfold_serve.haproxy.haproxy_binary", lambda: None)
    with pytest.raises(ClusterError, match="HAProxy must be installed"):
        main(tmp_path / "haproxy")
    assert not list(tmp_path.iterdir())
