"""Contract with the pinned Ray: token on, quiet, nothing left behind, clear words when it fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tenfold.settings import Settings

LOCAL = """
import os, ray
from tenfold.settings import Settings
from tenfold_jobs.ray_rim import start_ray
settings = Settings.from_env()
with start_ray(settings, num_cpus=1) as address:
    @ray.remote
    def where(): return os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN_PATH"]
    mode, path = ray.get(where.remote())
    assert mode == "token", mode
    assert path == str(settings.home / "ray-token"), path
    with start_ray(settings) as again:
        assert again == address
    assert ray.is_initialized(), "an inner context must leave the outer one alone"
assert not ray.is_initialized()
"""

UNREACHABLE = """
from tenfold.errors import ClusterError
from tenfold.settings import Settings
from tenfold_jobs.ray_rim import start_ray
try:
    with start_ray(Settings.from_env()): pass
except ClusterError as error:
    assert "check RAY_ADDRESS" in str(error), error
else:
    raise SystemExit("a dead address was accepted")
"""


def run(code: str, home: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "TENFOLD_"))}
    env |= {"TENFOLD_HOME": str(home), "TENFOLD_SESSION": home.name, **extra}
    return subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120
    )


def marked(mark: str) -> list[str]:
    """Processes that inherited a mark in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"TENFOLD_SESSION={mark}".encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def test_a_local_ray_demands_the_token_and_leaves_nothing(settings: Settings) -> None:
    home = settings.home.with_name(f"home-{os.getpid()}")
    done = run(LOCAL, home)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert marked(home.name) == []


def test_a_dead_address_is_said_at_once(tmp_path: Path) -> None:
    done = run(UNREACHABLE, tmp_path, RAY_ADDRESS="127.0.0.1:1")
    assert done.returncode == 0, done.stderr[-2000:]
