"""A canary that is good on its golden rows and bad on live ones is taken back by itself (F12).

At some thirty requests a second, a fifth of them the canary's: taken back within a minute of its
first answer, no more requests hurt than its share beyond what is slow without it, no request
failed, and those that the split gives to the champion not slower than before, also where the canary
is slow or hangs for ever. Read from the clients' journals.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tenfold.testing.mixed import json_rows, mixed_schema, mixed_table
from tenfold.withdrawal import last_withdrawal
from tenfold_serve.traffic import choose_arm
from tests.command import tenfold
from tests.faults.served import Asked, Clients, Served, Told, served
from tests.tenfold_serve.bad_models import TRAP, failing, hanging, shifting, slowing
from tests.tenfold_serve.test_keeper_e2e import eventually

pytestmark = pytest.mark.slow

ROWS = json_rows(mixed_schema(), mixed_table(300, seed=5))
PACE = 35
"""Requests a second, an open loop."""
SHARE = 20
"""Percent of the requests that the canary answers."""
N_BEFORE = 150
"""Requests without a canary, to compare with."""
SLOW_S = 0.02
OWN_FACTOR, OWN_SLOW_S = 3.0, 0.1
"""The 99th percentile of the champion's own requests beside a canary: at most three times that
before it, or 100 ms; who waited for the one that hangs would take a second. It is about the slowest
of a hundred, for a canary that is found out in three seconds: 12 to 68 ms in an open loop on two
cores, whichever canary it is, after 2 to 18 before."""


def callers(up: Served, *, trapped: bool) -> Clients:
    """Of one row each, another every time; every second row springs the trap."""

    def asked(number: int) -> Asked:
        row = ROWS[(number * 7) % len(ROWS)]
        if trapped and number % 2:
            row = {**row, "amount": TRAP}
        return Asked([row], split_key=str(number))

    return Clients(up.port, asked, rate=PACE)


def own(one: Told) -> bool:
    """Whether the split gives it to the champion."""
    return not choose_arm((100 - SHARE, SHARE), str(one.number).encode(), salt=b"mixed")


def of(clients: Clients, arm: str) -> list[Told]:
    return [one for one in clients.all if one.arm == arm]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("canaries")) as found:
        yield found


def give_traffic(up: Served, version: int, percent: int = SHARE) -> None:
    up.registry.set_alias("mixed", "challenger", version)
    up.traffic("--canary", str(percent))


def hurt_by_time(one: Told) -> bool:
    return one.seconds > SLOW_S


def hurt_by_score(one: Told) -> bool:
    return bool(one.scores) and one.scores[0][-1] > 0.97


def no_harm(_one: Told) -> bool:
    return False  # the champion answers what the canary fails


def test_a_good_canary_stays(up: Served, tmp_path: Path) -> None:
    version = up.publish(tmp_path / "model", seed=1)
    before = last_withdrawal(up.registry, "mixed")
    with callers(up, trapped=False).asking() as clients:
        give_traffic(up, version)
        eventually(lambda: len(of(clients, "challenger")) > 300, within_s=120)
    assert {one.status for one in clients.all} == {200}
    assert last_withdrawal(up.registry, "mixed") == before
    assert up.registry.alias("mixed", "challenger") == version
    give_traffic(up, version, percent=0)


@pytest.mark.parametrize(
    ("graph", "channel", "hurt"),
    [
        (failing, "failures", no_harm),
        (slowing, "latency", hurt_by_time),
        (shifting, "scores", hurt_by_score),
        (hanging, "failures", hurt_by_time),  # the last: its thread stays behind
    ],
    ids=["fails", "slow", "shifted", "hangs"],
)
def test_it_is_taken_back_within_a_minute_and_hurts_its_share_at_most(
    up: Served,
    tmp_path: Path,
    graph: Callable[[bytes], bytes],
    channel: str,
    hurt: Callable[[Told], bool],
) -> None:
    version = up.publish(tmp_path / "model", seed=10 + len(graph.__name__), graph=graph)
    replicas = up.replicas()
    with callers(up, trapped=True).asking() as clients:
        eventually(lambda: len(clients.all) >= N_BEFORE, within_s=60)
        without = clients.all
        n_swaps = up.registry.state.journal.count("mixed", "swap")
        give_traffic(up, version)
        began = time.monotonic()
        eventually(lambda: up.registry.state.journal.count("mixed", "swap") > n_swaps, within_s=30)
        probed = time.monotonic()  # until then a child tried it, on the same cores

        def back() -> bool:
            found = last_withdrawal(up.registry, "mixed")
            return found is not None and found["version"] == version

        eventually(back, within_s=75)
        ended = time.monotonic()
        lines = tenfold("status", home=up.settings.home).stdout
        eventually(lambda: quiet(clients), within_s=15)
    of_canary = of(clients, "challenger")
    assert {one.status for one in clients.all} == {200}
    if of_canary:
        assert max(of_canary[-1].sent_s, ended) - of_canary[0].sent_s <= 60
    during = [one for one in clients.all if began <= one.sent_s <= ended]
    share = SHARE / 100 + sum(map(hurt, without)) / len(without)
    expected = share * len(during)
    n_hurt = sum(map(hurt, during))
    before_s = slowest([one for one in without if own(one)])
    own_s = slowest([one for one in during if own(one) and one.sent_s >= probed])
    print(f"own {1000 * own_s:.0f} ms, before {1000 * before_s:.0f} ms")
    assert own_s <= max(OWN_FACTOR * before_s, OWN_SLOW_S), (own_s, before_s)
    assert up.replicas() == replicas
    assert n_hurt <= expected + 3 * math.sqrt(expected) + 1, (n_hurt, expected, len(during))
    found = last_withdrawal(up.registry, "mixed")
    assert found is not None
    proven = {
        name
        for name, one in found["evidence"]["channels"].items()
        if one["evidence"] >= one["level"]
    }
    assert channel in proven
    said = "has shifted beside" if proven == {"scores"} else "is worse than"
    assert f"canary {version} {said} champion 1" in lines
    assert up.registry.alias("mixed", "challenger") is None
    assert up.metric("tenfold_canary_withdrawn_timestamp_seconds") > 0


def slowest(journal: list[Told]) -> float:
    """The 99th percentile of the seconds."""
    times = sorted(one.seconds for one in journal)
    return times[int(0.99 * len(times))]


def quiet(clients: Clients, for_s: float = 5.0) -> bool:
    """Whether the champion alone has answered for a while."""
    newest = [one for one in clients.all if one.sent_s > time.monotonic() - for_s]
    return len(newest) > 20 and all(one.arm == "champion" for one in newest)
