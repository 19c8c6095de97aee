"""Another replica when one is busy, one less when it idles, and nobody fails for either."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.served import ROWS, Clients, served
from tests.tenfold_serve.test_keeper_e2e import eventually

pytestmark = pytest.mark.slow


def test_replicas_come_and_go_with_the_load_and_no_request_fails(tmp_path: Path) -> None:
    bounds = {"min": 1, "max": 2, "idle": "5s"}
    with served(tmp_path, replicas=bounds) as up:
        assert len(up.answering()) == 1
        crowd = Clients(up.port, ROWS, n_clients=8)
        few = Clients(up.port, ROWS[:1], n_clients=4, pause_s=0.02)
        with few.asking():
            with crowd.asking():
                more = eventually(lambda: len(up.answering()) == 2, within_s=120)
                so_far = len(crowd.all)
                crowd.wait_for(lambda: len(crowd.all) > so_far + 1000, within_s=60)
            fewer = eventually(lambda: len(up.replicas()) == 1, within_s=120)
            so_far = len(few.all)
            few.wait_for(lambda: len(few.all) > so_far + 300, within_s=60)
        print(f"two after {more:.0f} s of load, one again {fewer:.0f} s after it")
        assert crowd.failures() == []
        assert few.failures() == [], few.failures()[:5]
        # What the one that left had answered is in the log: it handed over before it ended.
        answered = len(few.all) + len(ROWS) * len(crowd.all)
        eventually(lambda: up.logged_rows() + up.dropped_rows() >= answered, within_s=30)
