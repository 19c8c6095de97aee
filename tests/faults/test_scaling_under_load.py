"""Another replica when one is busy, one less when it idles, and nobody fails for either."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.faults.served import ROWS, Clients, Served, kill, served
from tests.tenfold_serve.test_keeper_e2e import eventually

pytestmark = pytest.mark.slow

RESUMES_S = 30
"""Within which replicas follow the load again after their controller was killed (F4)."""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    bounds = {"min": 1, "max": 2, "idle": "5s"}
    with served(tmp_path_factory.mktemp("scaled"), replicas=bounds) as found:
        yield found


class Wave(NamedTuple):
    """Seconds until the second replica's process was there, and rows that were answered."""

    started_s: float
    n_rows: int


def wave(up: Served, *, kill_controller: bool) -> Wave:
    """Load that comes, stays until two answer, and goes; a little of it stays until one is left."""
    assert len(up.answering()) == 1
    crowd = Clients(up.port, ROWS, n_clients=8)
    few = Clients(up.port, ROWS[:1], n_clients=4, pause_s=0.02)
    with few.asking():
        with crowd.asking():
            (before,) = up.pids("ray::ServeController")
            if kill_controller:
                kill(before)
            started = eventually(lambda: len(up.replicas()) == 2, within_s=120)
            assert (before in up.pids("ray::ServeController")) != kill_controller
            more = started + eventually(lambda: len(up.answering()) == 2, within_s=60)
            n_crowd = len(crowd.all)
            crowd.wait_for(lambda: len(crowd.all) > n_crowd + 1000, within_s=60)
        fewer = eventually(lambda: len(up.replicas()) == 1, within_s=120)
        n_few = len(few.all)
        few.wait_for(lambda: len(few.all) > n_few + 300, within_s=60)
    print(f"a second one started {started:.0f} s and answered {more:.0f} s after the load began, "
          f"gone {fewer:.0f} s after it ended")  # fmt: skip
    assert crowd.failures() == []
    assert few.failures() == [], few.failures()[:5]
    return Wave(started, len(few.all) + len(ROWS) * len(crowd.all))


def test_replicas_come_and_go_with_the_load_and_no_request_fails(up: Served) -> None:
    """Twice, the second time without the controller, which is killed when the load begins (F4)."""
    as_it_is = wave(up, kill_controller=False)
    without = wave(up, kill_controller=True)
    assert as_it_is.started_s <= 40
    assert without.started_s <= as_it_is.started_s + RESUMES_S
    # What those that left had answered is in the log: they handed over before they ended.
    answered = as_it_is.n_rows + without.n_rows
    eventually(lambda: up.logged_rows() + up.dropped_rows() >= answered, within_s=60)
