"""Fixtures that every test folder shares: the real tables, settings of their own, one warm Ray."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import settings as hypothesis_settings

from tenfold.cluster.sessions import SessionRecord, session_led_by
from tenfold.settings import Settings

# Machines differ and are shared: how long one example takes says nothing about the code.
hypothesis_settings.register_profile("tenfold", deadline=None)
hypothesis_settings.load_profile("tenfold")

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
RUN_MARKER = "RUN_OF_TESTS"
LAST_WORDS_S = 20.0
"""What a process that was told to end may still need when the last test is over."""


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real public tables; a test that needs it skips where it is absent."""
    if not DATA.is_dir():
        if os.environ.get("CI"):
            pytest.fail("in CI the folder of real tables must be there")
        pytest.skip("the folder of real tables is not here")
    return DATA


@pytest.fixture(scope="session")
def paced() -> ModuleType:
    """The open-loop client of the benchmarks, which are no package."""
    path = ROOT / "benchmarks" / "serving" / "paced.py"
    spec = importlib.util.spec_from_file_location("paced", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings whose every part lies in a folder of this test."""
    return Settings.from_env({"TENFOLD_HOME": str(tmp_path / "home")})


@pytest.fixture(scope="session")
def keeper_session() -> Iterator[SessionRecord]:
    """A living process that leads a session, as a keeper does; it serves nothing."""
    command = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield session_led_by(process.pid, marker="")


@pytest.fixture(scope="session")
def ray_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One local Ray for the whole run: two CPUs, no dashboard, token authentication on."""
    from tenfold_jobs.ray_rim import start_ray

    settings = Settings.from_env({"TENFOLD_HOME": str(tmp_path_factory.mktemp("ray-home"))})
    with start_ray(settings, num_cpus=2):
        yield


def pytest_configure(config: pytest.Config) -> None:
    """Mark every process that this run will start, workers of the run included."""
    if not hasattr(config, "workerinput"):
        os.environ[RUN_MARKER] = uuid.uuid4().hex


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """No process outlives the run: one that does fails it, and is named."""
    if hasattr(session.config, "workerinput"):
        return
    began = time.monotonic()
    while (left := marked_processes()) and time.monotonic() - began < LAST_WORDS_S:
        time.sleep(0.1)  # none of them is ours to wait for
    if left:
        sys.stderr.write("\nprocesses outlived the tests:\n" + "\n".join(left) + "\n")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def marked_processes() -> list[str]:
    """Pid and command of what this run started and what still lives."""
    mark = f"{RUN_MARKER}={os.environ[RUN_MARKER]}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found.append(f"{folder.name} {command[:200]}")
        except OSError:
            continue  # it ended, or is not ours to look at
    return found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """In CI a skipped test is a failed one: what it needs must be installed there."""
    report = yield
    if os.environ.get("CI") and report.skipped:  # type: ignore[attr-defined]
        report.outcome = "failed"  # type: ignore[attr-defined]
        report.longrepr = f"skipped in CI: {report.longrepr}"  # type: ignore[attr-defined]
    return report


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out long faults and what needs a GPU, unless asked for by their marker.

    Whole paths come first: two workers that end with the quick files end together.
    """
    asked = str(config.getoption("markexpr"))

    def left_out(item: pytest.Item) -> bool:
        return any(item.get_closest_marker(mark) and mark not in asked for mark in ("slow", "gpu"))

    config.hook.pytest_deselected(items=[item for item in items if left_out(item)])
    kept = [item for item in items if not left_out(item)]
    items[:] = sorted(kept, key=lambda item: item.get_closest_marker("e2e") is None)
