"""A shadow that hangs, dies, cannot load or is a hundred times too slow (F13): no request fails.

Read from the clients' journals; and every answered row is scored, refused or counted as dropped.

Twelve minutes: a real keeper gives a silent shadow one, waits two before it starts it again, and
four the next time.
"""

from __future__ import annotations

import os
import platform
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tenfold.live import log_tables, read_log, shadow_table
from tenfold.testing.burning import burning
from tests.faults.served import ROWS, Clients, Served, served
from tests.tenfold_serve.bad_models import TRAP, dying

pytestmark = pytest.mark.slow

ASKED = ROWS[:3]
PACE = 100
"""Requests a second, an open loop."""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("shadowed")) as found:
        found.publish(found.settings.home.parent / "second", seed=1)
        yield found


def until(up: Served, holds: Callable[[dict[str, Any]], object], *, within_s: float) -> None:
    """Wait until it holds of what the keeper says of the shadow."""
    start = time.monotonic()
    while not holds(found := up.shadow()):
        assert time.monotonic() - start < within_s, found
        time.sleep(0.05)


def shadow_pid(up: Served) -> int:
    (found,) = up.pids("tenfold_serve.shadow")
    return found


def test_hung_killed_and_a_hundred_times_too_slow(up: Served) -> None:
    up.traffic("--shadow", "on")
    until(up, lambda found: found.get("state") == "scoring", within_s=60)
    clients = Clients(up.port, ASKED, rate=PACE)
    with clients.asking():
        until(up, lambda found: found["rows"] > 500, within_s=60)
        hung = shadow_pid(up)
        os.kill(hung, signal.SIGSTOP)
        until(up, lambda found: found["failures"] == 1, within_s=90)
        assert not Path(f"/proc/{hung}").exists()
        until(up, lambda found: found["state"] == "scoring", within_s=240)
        os.kill(shadow_pid(up), signal.SIGKILL)
        until(up, lambda found: found["failures"] == 2, within_s=30)
        until(up, lambda found: found["state"] == "scoring", within_s=360)
        dropped, slow = up.shadow()["dropped_rows"], shadow_pid(up)
        ends = time.monotonic() + 40
        while time.monotonic() < ends:  # it has a hundredth of its time
            os.kill(slow, signal.SIGSTOP)
            time.sleep(0.099)
            os.kill(slow, signal.SIGCONT)
            time.sleep(0.001)
        until(up, lambda found: found["dropped_rows"] > dropped, within_s=60)
    assert clients.failures() == []
    n_rows = len(clients.all) * len(ASKED)
    until(up, lambda _: _accounted(up) == n_rows, within_s=60)
    scored = read_log(shadow_table(up.settings.live, "mixed"))
    assert scored is not None
    ids = scored.column("__id").to_pylist()
    assert len(set(ids)) == len(ids) == up.shadow()["rows"]
    logged = read_log(log_tables(up.settings.live, "mixed")[0])
    assert logged is not None
    assert set(ids) <= set(logged.column("__id").to_pylist())


def test_one_that_burns_a_core_for_every_row(up: Served, tmp_path: Path) -> None:
    slow = up.publish(tmp_path / "slow", seed=7, graph=burning)
    up.registry.set_alias("mixed", "challenger", slow)
    up.traffic("--shadow", "on")
    until(up, lambda found: found.get("state") == "scoring", within_s=60)
    clients = Clients(up.port, ASKED, rate=PACE)
    with clients.asking():
        until(up, lambda found: found["rows"] > 3 and found["dropped_rows"] > 0, within_s=120)
    up.traffic("--shadow", "off")
    assert clients.failures() == []
    assert {one.version for one in clients.all} == {1}


def _accounted(up: Served) -> int:
    found = up.shadow()
    return sum(int(found[name]) for name in ("rows", "dropped_rows", "refused_rows"))


@pytest.mark.skipif(platform.machine() != "x86_64", reason="other processors divide by -1")
def test_one_whose_engine_kills_it_is_told_of_and_ended(up: Served, tmp_path: Path) -> None:
    killer = up.publish(tmp_path / "dying", seed=7, graph=dying)
    up.registry.set_alias("mixed", "challenger", killer)
    up.traffic("--shadow", "on")
    until(up, lambda found: found.get("state") == "scoring", within_s=60)
    clients = Clients(up.port, [{**row, "amount": TRAP} for row in ASKED], rate=PACE)
    with clients.asking():
        until(up, lambda found: found["failures"] >= 2, within_s=240)
        assert up.shadow()["trouble"] == f"the shadow of version {killer} failed: it died of SIGFPE"
        up.traffic("--shadow", "off")
        until(up, lambda found: not found, within_s=10)
    assert clients.failures() == []
    assert {one.version for one in clients.all} == {1}
