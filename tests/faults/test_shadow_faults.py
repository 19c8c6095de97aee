"""A shadow that hangs, dies, cannot load or is a hundred times too slow (F13): no request fails.

Read from the clients' journals; and every answered row is scored, refused or counted as dropped.

Twelve minutes: a real keeper gives a silent shadow one, waits two before it starts it again, and
four the next time.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tenfold.cluster.keeper import read_keeper
from tenfold.cluster.sessions import SessionRecord, members
from tenfold.live import log_tables, read_log, shadow_table
from tenfold.registry import Registry
from tenfold.settings import Settings
from tenfold.testing.burning import burning
from tenfold.testing.mixed import json_rows, mixed_schema, mixed_table
from tests.command import tenfold
from tests.faults.test_serving_load import Journal, keep_asking
from tests.tenfold_serve.bad_models import TRAP, dying
from tests.tenfold_serve.support import PROJECT, make_artifact
from tests.tenfold_serve.test_keeper_e2e import free_port

pytestmark = pytest.mark.slow

ROWS = json_rows(mixed_schema(), mixed_table(3))
BODY = json.dumps({"rows": ROWS}).encode()


@dataclass
class Up:
    settings: Settings
    registry: Registry
    project: Path
    port: int

    def traffic(self, *words: str) -> None:
        tenfold("traffic", str(self.project), *words, home=self.settings.home)

    def shadow(self) -> dict[str, Any]:
        said = json.loads((self.settings.keeper / "status.json").read_bytes())
        return said["mixed"].get("shadow") or {}

    def until(self, holds: Callable[[dict[str, Any]], object], *, within_s: float) -> None:
        start = time.monotonic()
        while not holds(found := self.shadow()):
            assert time.monotonic() - start < within_s, found
            time.sleep(0.05)

    def pid(self) -> int:
        record = read_keeper(self.settings)
        assert record is not None
        (found,) = [
            pid
            for pid in members(SessionRecord.from_dict(record))
            if b"tenfold_serve.shadow" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        return found


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("shadowed")
    settings = Settings.from_env({"TENFOLD_HOME": str(folder / "home")})
    project = folder / "project.yaml"
    project.write_text(yaml.safe_dump(PROJECT))
    (folder / "mixed.csv").write_text("label\nyes\n")
    registry = Registry(settings)
    for seed in (0, 1):
        make_artifact(folder / f"model-{seed}", seed=seed)
        registry.publish("mixed", folder / f"model-{seed}")
    registry.promote("mixed", 1, expected=None)
    port = free_port()
    tenfold("up", str(project), "--port", str(port), home=settings.home)
    try:
        yield Up(settings, registry, project, port)
    finally:
        tenfold("down", home=settings.home)


@dataclass
class Load:
    """Two clients that ask one request after the other."""

    port: int
    body: bytes = BODY

    def __enter__(self) -> list[Journal]:
        self.stop, journals = threading.Event(), [Journal(), Journal()]
        self.threads = [
            threading.Thread(target=keep_asking, args=(self.port, self.body, journal, self.stop))
            for journal in journals
        ]
        for thread in self.threads:
            thread.start()
        return journals

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()


def test_hung_killed_and_a_hundred_times_too_slow(up: Up) -> None:
    up.traffic("--shadow", "on")
    up.until(lambda found: found.get("state") == "scoring", within_s=60)
    with Load(up.port) as journals:
        up.until(lambda found: found["rows"] > 500, within_s=60)
        hung = up.pid()
        os.kill(hung, signal.SIGSTOP)
        up.until(lambda found: found["failures"] == 1, within_s=90)
        assert not Path(f"/proc/{hung}").exists()
        up.until(lambda found: found["state"] == "scoring", within_s=240)
        os.kill(up.pid(), signal.SIGKILL)
        up.until(lambda found: found["failures"] == 2, within_s=30)
        up.until(lambda found: found["state"] == "scoring", within_s=360)
        dropped, slow = up.shadow()["dropped_rows"], up.pid()
        ends = time.monotonic() + 40
        while time.monotonic() < ends:  # it has a hundredth of its time
            os.kill(slow, signal.SIGSTOP)
            time.sleep(0.099)
            os.kill(slow, signal.SIGCONT)
            time.sleep(0.001)
        up.until(lambda found: found["dropped_rows"] > dropped, within_s=60)
    assert [failure for journal in journals for failure in journal.failures] == []
    n_rows = sum(len(journal.answers) for journal in journals) * len(ROWS)
    up.until(lambda _: _accounted(up) == n_rows, within_s=60)
    scored = read_log(shadow_table(up.settings.live, "mixed"))
    assert scored is not None
    ids = scored.column("__id").to_pylist()
    assert len(set(ids)) == len(ids) == up.shadow()["rows"]
    logged = read_log(log_tables(up.settings.live, "mixed")[0])
    assert logged is not None
    assert set(ids) <= set(logged.column("__id").to_pylist())


def test_one_that_burns_a_core_for_every_row(up: Up, tmp_path: Path) -> None:
    make_artifact(tmp_path / "slow", seed=7, graph=burning)
    slow = up.registry.publish("mixed", tmp_path / "slow").version
    up.registry.set_alias("mixed", "challenger", slow)
    up.traffic("--shadow", "on")
    up.until(lambda found: found.get("state") == "scoring", within_s=60)
    with Load(up.port) as journals:
        up.until(lambda found: found["rows"] > 3 and found["dropped_rows"] > 0, within_s=120)
    up.traffic("--shadow", "off")
    assert [failure for journal in journals for failure in journal.failures] == []
    assert {answer["version"] for journal in journals for _, answer in journal.answers} == {1}


def _accounted(up: Up) -> int:
    found = up.shadow()
    return sum(int(found[name]) for name in ("rows", "dropped_rows", "refused_rows"))


@pytest.mark.skipif(platform.machine() != "x86_64", reason="other processors divide by -1")
def test_one_whose_engine_kills_it_is_told_of_and_ended(up: Up, tmp_path: Path) -> None:
    make_artifact(tmp_path / "dying", seed=7, graph=dying)
    killer = up.registry.publish("mixed", tmp_path / "dying").version
    up.registry.set_alias("mixed", "challenger", killer)
    up.traffic("--shadow", "on")
    up.until(lambda found: found.get("state") == "scoring", within_s=60)
    body = json.dumps({"rows": [{**row, "amount": TRAP} for row in ROWS]}).encode()
    with Load(up.port, body) as journals:
        up.until(lambda found: found["failures"] >= 2, within_s=240)
        assert up.shadow()["trouble"] == f"the shadow of version {killer} failed: it died of SIGFPE"
        up.traffic("--shadow", "off")
        up.until(lambda found: not found, within_s=10)
    assert [failure for journal in journals for failure in journal.failures] == []
    assert {answer["version"] for journal in journals for _, answer in journal.answers} == {1}
