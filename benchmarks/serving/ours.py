"""Our endpoint as everybody gets it: ``tenfold up``, HAProxy, one replica a project."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from serving.processes import free_port
from tenfold.cluster.keeper import read_keeper
from tenfold.cluster.sessions import SessionRecord, members
from tenfold.registry import CHAMPION, Registry
from tenfold.settings import Settings

__all__ = ["Ours", "tenfold_up"]

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Ours:
    """What runs.

    Attributes:
        settings: of its home.
        port: of the endpoint.
        startup_s: seconds of each step until requests were answered.
    """

    settings: Settings
    port: int
    startup_s: Mapping[str, float]

    def url(self, project: str) -> str:
        return f"http://127.0.0.1:{self.port}/{project}/predict"

    def publish(self, project: str, artifact: Path) -> int:
        """Publish a copy; returns the version."""
        return _publish(Registry(self.settings), project, artifact)

    def promote(self, project: str, version: int) -> None:
        registry = Registry(self.settings)
        registry.promote(project, version, expected=registry.alias(project, CHAMPION))

    def probed_s(self, project: str) -> float:
        """When the version that was sent last to the replicas had passed its probe, by
        `time.monotonic`."""
        (row,) = Registry(self.settings).state.journal.tail(project, 1, kind="swap")
        return datetime.fromisoformat(row.at).timestamp() - time.time() + time.monotonic()

    def cpu_s(self) -> dict[str, float]:
        """Seconds of CPU so far of the ``replica`` processes and of ``haproxy``."""
        record = read_keeper(self.settings)
        assert record is not None
        found = {"replica": 0.0, "haproxy": 0.0}
        for pid in members(SessionRecord.from_dict(record)):
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
            for kind, word in (("replica", b"ServeReplica"), ("haproxy", b"bin/haproxy")):
                if word in words:
                    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                    found[kind] += (int(fields[11]) + int(fields[12])) * _TICK_S
        return found


@contextmanager
def tenfold_up(
    artifacts: Mapping[str, Path], targets: Mapping[str, str], *, work: Path
) -> Iterator[Ours]:
    """Projects with one published champion each, served until the block ends.

    Args:
        artifacts: by project.
        targets: the column that each predicts.
        work: an existing folder.
    """
    settings = Settings.from_env({"TENFOLD_HOME": str(work / "home")})
    registry, port = Registry(settings), free_port()
    files = []
    for project, artifact in artifacts.items():
        version = _publish(registry, project, artifact)
        registry.promote(project, version, expected=None)
        files.append(work / f"{project}.yaml")
        data = work / f"{project}.csv"
        data.write_text(f"a,{targets[project]}\n1,yes\n2,no\n")
        files[-1].write_text(
            f"name: {project}\nproblem: {{task: binary, target: {targets[project]}}}\n"
            f"data: {{sources: [{{path: {data.name}}}]}}\n"
        )
    command = [sys.executable, "-m", "tenfold_jobs"]
    env = {**os.environ, **settings.to_env()}
    try:
        told = _run([*command, "up", *map(str, files), "--port", str(port), "--json"], env)
        yield Ours(settings, port, told["startup_s"])
    finally:
        _run([*command, "down", "--json"], env)


def _publish(registry: Registry, project: str, artifact: Path) -> int:
    copy = artifact.with_name(f"{artifact.name}-{project}-copy")
    shutil.copytree(artifact, copy)
    return int(registry.publish(project, copy).version)


def _run(command: list[str], env: Mapping[str, str]) -> Any:
    done = subprocess.run(command, env=dict(env), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[2:])} failed:\n{done.stdout}\n{done.stderr}")
    return json.loads(done.stdout)
