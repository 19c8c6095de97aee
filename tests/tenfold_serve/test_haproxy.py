"""What is changed in the configuration that Ray makes for HAProxy, by Ray's code and HAProxy's."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tenfold_serve.haproxy import (
    KEPT_S,
    MAX_ONGOING,
    MAX_PARTLY,
    OPENING,
    haproxy_binary,
    main,
    write_wrapper,
)
from tenfold_serve.ray_rim import SERVE_FLAGS

ROOT = Path(__file__).parents[2]
LAPTOP = {"one": ["127.0.0.1:30001", "127.0.0.1:30002"], "two": ["127.0.0.1:30003"], "none": []}
CLUSTER = {"one": ["10.0.0.1:30001", "[fd00::2]:30002", "127.0.0.1:30003"], "none": []}


def as_ray_makes_it(folder: Path, host: str, backends: Mapping[str, Sequence[str]]) -> Path:
    """The configuration of a proxy with these replicas, under our flags; returns the file."""
    folder.mkdir()
    subprocess.run(
        [sys.executable, Path(__file__).with_name("haproxy_config.py"), folder, host,
         json.dumps(backends)],
        env={**os.environ, **SERVE_FLAGS}, check=True,
    )  # fmt: skip
    return folder / "h.cfg"


@pytest.fixture(scope="module")
def rays(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """As Ray makes it: on a laptop, there without applications, and on a node of a cluster."""
    folder = tmp_path_factory.mktemp("rays")
    asked: dict[str, tuple[str, Mapping[str, Sequence[str]]]] = {
        "laptop": ("127.0.0.1", LAPTOP), "empty": ("127.0.0.1", {}), "cluster": ("0.0.0.0", CLUSTER)
    }  # fmt: skip
    return {name: as_ray_makes_it(folder / name, *what).read_text() for name, what in asked.items()}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "h.cfg"


def changed(config: Path, text: str, *, in_image: bool = False) -> str:
    """What the program makes of it, taken by the real HAProxy without a warning of ours."""
    binary = haproxy_binary()
    assert binary is not None
    config.with_name("500.http").touch()
    config.write_text(re.sub("errorfile ([0-9]+) .*", r"errorfile \1 /dev/null", text))
    wrapper = config.with_name("haproxy")
    write_wrapper(wrapper, binary=binary, in_image=in_image)
    done = subprocess.run(
        [wrapper, "-c", "-f", config], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return config.read_text()


def blocks(text: str) -> dict[str, list[str]]:
    """Lines by the head of their block."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line and not line[0].isspace():
            head = line
            found[head] = []
        else:
            found[head].append(line.strip())
    return found


def logs(text: str) -> list[str]:
    lines = blocks(text)["frontend http_frontend"]
    return [line for line in lines if line.split()[:1] in (["log"], ["no"])]


def test_on_a_laptop_nobody_else_sees_metrics_and_stats_and_no_line_is_told_to_nobody(
    rays: dict[str, str], config: Path
) -> None:
    text = changed(config, rays["laptop"])
    binds = [line.split()[1] for line in text.splitlines() if line.split()[:1] == ["bind"]]
    here = f"unix@{config.parent}"
    assert binds == [f"{here}/e.sock", "127.0.0.1:8000", f"{here}/s.sock"]
    assert text.count(".sock mode 600") == 2
    assert logs(text) == ["no log"]


def test_in_an_image_rays_exporters_stay_as_they_are(rays: dict[str, str], config: Path) -> None:
    text = changed(config, rays["cluster"], in_image=True)
    binds = [line.split()[1] for line in text.splitlines() if line.split()[:1] == ["bind"]]
    assert binds == [":9101", "*:8000", "*:8404"]
    assert logs(text) == logs(rays["cluster"]) and len(logs(text)) == 2


@pytest.mark.parametrize("place", ["laptop", "cluster"])
def test_what_waits_before_a_replica_is_bounded(
    rays: dict[str, str], config: Path, place: str
) -> None:
    text = changed(config, rays[place], in_image=place == "cluster")
    replicas = {"laptop": LAPTOP, "cluster": CLUSTER}[place]
    front = blocks(text)["frontend http_frontend"]
    assert {"timeout http-request 20s", "timeout http-keep-alive 75s"} <= set(front)
    assert "http-request set-header x-request-disconnect-disabled ?1" in front
    for name, addresses in replicas.items():
        lines = blocks(text)[f"backend http-{name}"]
        servers = [line for line in lines if line.startswith("server ")]
        bound = f" maxconn {MAX_ONGOING} pool-purge-delay {KEPT_S}s"
        assert [bound in line for line in servers] == [True] * len(addresses) + [False]
        assert sum("return status 429" in line for line in lines) == 2
        assert f"acl opening req.hdr({OPENING}) -m str {config.parent}" in front
        assert {"option srvtcpka", "srvtcpka-idle 60s", "timeout queue 5s"} <= set(lines)
        others = [line.split() for line in blocks(text)[f"backend http-{name}.large"]]
        assert [one[1] for one in others if one[0] == "server"] == [s.split()[1] for s in servers]
        for one in others:
            if one[0] == "server":
                assert one[3:7] == ["track", f"http-{name}/{one[1]}", "maxconn", str(MAX_PARTLY)]
                assert not {"check", "observe"} & set(one)
    uses = [line for line in front if line.startswith("use_backend ")]
    assert uses[::2] == [
        f"use_backend http-{n}.large if is_http-{n} partly !opening" for n in sorted(replicas)
    ]
    assert uses[1::2] == [f"use_backend http-{n} if is_http-{n}" for n in sorted(replicas)]


def test_where_a_project_has_no_replica_its_callers_are_held_for_ten_seconds(
    rays: dict[str, str], config: Path
) -> None:
    for place in ("laptop", "cluster"):
        found = blocks(changed(config, rays[place]))
        held = {
            name for name, lines in found.items()
            if "http-request set-timeout server 10s" in lines
        }  # fmt: skip
        assert held == {"backend http-none", "backend http-none.large"}


def test_a_proxy_without_applications_says_come_back_and_not_that_there_is_nothing(
    rays: dict[str, str], config: Path
) -> None:
    for place, status in (("empty", "503"), ("laptop", "404")):
        text = changed(config, rays[place])
        (answer,) = blocks(text)["backend default_backend"]
        assert answer.startswith(f"http-request return status {status} ")
        assert ("retry-after 1" in answer) == (status == "503")
        assert ('{"error":{"law":"path"' in answer) == (status == "404")
        denied = [line for line in text.splitlines() if line.endswith("if routes")][-1]
        assert "deny deny_status 404 " in denied and "no project is served here" in denied


def test_a_second_run_changes_nothing_more(rays: dict[str, str], config: Path) -> None:
    """Ray writes it anew before each; what ran before leaves nothing behind."""
    assert changed(config, rays["laptop"]) == changed(config, rays["laptop"])


def test_it_is_the_real_program_with_every_word_that_ray_says(tmp_path: Path) -> None:
    wrapper, config = tmp_path / "haproxy", tmp_path / "h.cfg"
    config.touch()
    write_wrapper(wrapper, binary="/bin/echo")
    command = [wrapper, "-db", "-f", config, "-sf", "1 2"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"-db -f {config} -sf 1 2\n"


def test_an_unreadable_config_stops_the_start(tmp_path: Path) -> None:
    wrapper = tmp_path / "haproxy"
    write_wrapper(wrapper, binary="/bin/true")
    command = [str(wrapper), "-f", str(tmp_path / "absent")]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1
    assert subprocess.run([str(wrapper), "-v"], check=False).returncode == 0


def test_the_image_makes_one_that_everybody_may_run(tmp_path: Path) -> None:
    image = (ROOT / "Dockerfile").read_text()
    (made,) = re.findall("-m tenfold_serve.haproxy (/.*)", image)
    assert f"RAY_SERVE_HAPROXY_BINARY_PATH={made} " in image
    wrapper = tmp_path / "haproxy"
    command = [sys.executable, "-m", "tenfold_serve.haproxy", wrapper]
    subprocess.run(command, umask=0o077, check=True)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"haproxy": 0o755, "haproxy.sed": 0o644, "haproxy.large.sed": 0o644}


@pytest.mark.parametrize("arguments", [[], ["a", "b"]])
def test_it_says_what_it_takes(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="takes one path"):
        main(arguments)


def test_without_haproxy_no_image_is_made(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="an image needs HAProxy"):
        main([str(tmp_path / "haproxy")], find=lambda: None)
    assert not list(tmp_path.iterdir())
