"""The guard of the supervisor: from counts to a canary without traffic, once, whoever is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tenfold.canonical import canonical_json
from tenfold.monitor.arms import ArmTotals
from tenfold.monitor.canary import CanaryEvidence, judge
from tenfold.registry import Registry
from tenfold.settings import Settings
from tenfold.traffic import Canary, read_canary, write_canary
from tenfold.withdrawal import WITHDRAWN, last_withdrawal, withdraw_canary
from tenfold_serve.flight import flights_folder
from tenfold_serve.guarding import Guarding
from tenfold_serve.lineups import Wanted, arms_of
from tests.killing import killing
from tests.tenfold_serve.support import Publish

REQUESTS = 20


class Traffic:
    """What an aggregator would have heard of a champion and a canary."""

    def __init__(self) -> None:
        self.champion = ArmTotals("champion", 1)
        self.canary = ArmTotals("challenger", 2)
        self.life = 0

    def second(self, *, failed: int = 0) -> None:
        self.champion.add(ArmTotals("champion", 1, requests=REQUESTS))
        self.canary.add(ArmTotals("challenger", 2, requests=4, failures={"error": failed}))

    def snapshot(self) -> dict[str, Any]:
        arms = [each.to_dict() for each in (self.champion, self.canary)]
        return {"arms": arms, "life": self.life}


class Scene:
    def __init__(self, settings: Settings, publish: Publish, *, enabled: bool = True) -> None:
        self.registry = Registry(settings)
        self.arms = arms_of(
            Wanted(publish(0, promote=True), publish(1), canary_percent=20),
        )
        self.registry.set_alias("mixed", "challenger", 2)
        write_canary(self.registry.state, "mixed", Canary(2, 20))
        self.flights = flights_folder(settings.keeper, "mixed")
        self.traffic = Traffic()
        self.enabled = enabled
        self.guard = self.again()

    def again(self) -> Guarding:
        return Guarding("mixed", registry=self.registry, flights=self.flights, enabled=self.enabled)

    def look(self, guard: Guarding | None = None, *, at_s: float = 1.0) -> bool:
        used = guard or self.guard
        return used.follow(self.arms, self.traffic.snapshot(), now_s=at_s)

    def until_back(self, *, failed: int, within: int) -> int:
        """Seconds until the canary is back; fails if it takes longer."""
        for second in range(1, within + 1):
            self.traffic.second(failed=failed)
            if self.look():
                return second
        raise AssertionError(self.guard.status())

    def rows(self) -> list[Mapping[str, Any]]:
        return [row.body for row in self.registry.state.journal.tail("mixed", 99, kind=WITHDRAWN)]


@pytest.fixture
def scene(settings: Settings, publish: Publish) -> Scene:
    return Scene(settings, publish)


def test_a_canary_that_fails_loses_traffic_and_alias_and_the_journal_says_why(
    scene: Scene,
) -> None:
    assert not scene.look()
    assert scene.until_back(failed=2, within=20) <= 10
    assert read_canary(scene.registry.state, "mixed") == Canary(2, 0)
    assert scene.registry.aliases("mixed") == {"champion": 1, "challenger": None}
    assert scene.registry.history("mixed")[-1].kind == "withdraw"
    (row,) = scene.rows()
    assert row["version"] == 2 and row["reason"].startswith("canary 2 is worse than champion 1")
    evidence = CanaryEvidence.from_dict(row["evidence"])
    assert judge(evidence).to_dict() == row["decision"]
    assert scene.guard.status()["withdrawn"]["reason"] == row["reason"]
    assert scene.again().status()["withdrawn"]["version"] == 2  # a later keeper says it, too


def test_a_good_canary_stays(scene: Scene) -> None:
    for _ in range(100):
        scene.traffic.second()
        assert not scene.look()
    assert read_canary(scene.registry.state, "mixed") == Canary(2, 20)
    told = scene.guard.status()
    assert told["decision"]["action"] == "wait" and "withdrawn" not in told
    assert told["evidence"]["requests"] == [99 * REQUESTS, 99 * 4]  # the first is where it begins


def test_a_guard_that_is_off_tells_and_does_nothing(settings: Settings, publish: Publish) -> None:
    scene = Scene(settings, publish, enabled=False)
    for _ in range(30):
        scene.traffic.second(failed=3)
        assert not scene.look()
    assert scene.guard.status()["decision"]["reason"].endswith("serve.canary_guard is false")
    assert read_canary(scene.registry.state, "mixed") == Canary(2, 20)


def test_evidence_goes_on_after_a_kill_and_counts_nothing_twice(scene: Scene) -> None:
    scene.look()
    scene.traffic.second(failed=1)
    scene.look()
    again = scene.again()
    scene.look(again)
    assert again.status()["evidence"]["requests"] == [REQUESTS, 4]
    scene.traffic.second()
    scene.look(again)
    assert again.status()["evidence"]["requests"] == [2 * REQUESTS, 8]


def test_an_aggregator_that_forgot_is_a_new_beginning(scene: Scene) -> None:
    scene.look()
    for _ in range(3):
        scene.traffic.second()
        scene.look()
    scene.traffic.life += 1
    scene.traffic.champion = ArmTotals("champion", 1, requests=10)
    scene.traffic.canary = ArmTotals("challenger", 2, requests=1, failures={"error": 1})
    scene.look()
    assert scene.guard.status()["evidence"]["requests"] == [3 * REQUESTS, 12]
    scene.traffic.second()
    scene.look()
    assert scene.guard.status()["evidence"]["requests"] == [4 * REQUESTS, 16]


def test_totals_that_shrank_are_a_new_beginning(scene: Scene) -> None:
    scene.look()
    scene.traffic.second(failed=2)
    scene.look()
    scene.traffic.canary = ArmTotals("challenger", 2, requests=9, failures={"error": 1})
    scene.traffic.champion.requests += 1
    scene.look()
    assert scene.guard.status()["evidence"]["requests"] == [REQUESTS, 4]
    scene.traffic.second()
    scene.look()
    assert scene.guard.status()["evidence"]["requests"] == [2 * REQUESTS, 8]


def test_the_champions_requests_wait_for_some_of_the_canary(scene: Scene) -> None:
    scene.look()
    for _ in range(3):
        scene.traffic.champion.add(ArmTotals("champion", 1, requests=REQUESTS))
        scene.look()
    assert scene.guard.status()["evidence"]["requests"] == [0, 0]
    scene.traffic.second()
    scene.look()
    assert scene.guard.status()["evidence"]["requests"] == [4 * REQUESTS, 4]


def test_a_canary_that_ended_leaves_no_evidence_for_the_next(scene: Scene) -> None:
    scene.look()
    scene.traffic.second(failed=1)
    scene.look()
    scene.guard.idle()
    assert scene.guard.status() == {}
    scene.look()
    assert scene.guard.status()["evidence"]["requests"] == [0, 0]


@pytest.mark.parametrize("body", [b"no json", b"[]", canonical_json({"key": "other"})])
def test_a_broken_checkpoint_costs_only_its_evidence(scene: Scene, body: bytes) -> None:
    scene.registry.state.put_checkpoint("guard/mixed", body)
    assert not scene.look()
    assert scene.guard.status()["evidence"]["requests"] == [0, 0]


@pytest.mark.parametrize(
    "change",
    [
        lambda registry: write_canary(registry.state, "mixed", Canary(2, 0)),
        lambda registry: write_canary(registry.state, "mixed", Canary(3, 50)),
        lambda registry: registry.state.drop_checkpoint("canary/mixed"),
    ],
    ids=["ended", "another", "never"],
)
def test_what_is_no_canary_any_more_is_left_alone(
    scene: Scene, change: Callable[[Registry], None]
) -> None:
    change(scene.registry)
    before = read_canary(scene.registry.state, "mixed")
    assert not withdraw_canary(scene.registry, "mixed", 2, {"reason": "r"})
    assert read_canary(scene.registry.state, "mixed") == before
    assert scene.registry.alias("mixed", "challenger") == 2 and scene.rows() == []


def test_an_alias_that_moved_on_is_not_cleared(scene: Scene, publish: Publish) -> None:
    publish(2)
    scene.registry.set_alias("mixed", "challenger", 3)
    assert withdraw_canary(scene.registry, "mixed", 2, {"reason": "r"})
    assert scene.registry.alias("mixed", "challenger") == 3
    assert read_canary(scene.registry.state, "mixed") == Canary(2, 0)


@pytest.mark.parametrize(
    "kept", [False, True], ids=["share goes along", "share of an older writer"]
)
def test_a_canary_that_was_promoted_is_not_taken_back(scene: Scene, *, kept: bool) -> None:
    scene.registry.promote("mixed", 2, expected=1)
    assert read_canary(scene.registry.state, "mixed") is None
    if kept:
        write_canary(scene.registry.state, "mixed", Canary(2, 20))
    assert not withdraw_canary(scene.registry, "mixed", 2, {"reason": "r"})
    assert read_canary(scene.registry.state, "mixed") == (Canary(2, 20) if kept else None)
    assert scene.rows() == [] and last_withdrawal(scene.registry, "mixed") is None


def test_a_promotion_leaves_the_share_of_another_version(scene: Scene, publish: Publish) -> None:
    publish(2)
    scene.registry.promote("mixed", 3, expected=1)
    assert read_canary(scene.registry.state, "mixed") == Canary(2, 20)


def test_a_withdrawal_that_is_killed_anywhere_is_whole_or_nothing(scene: Scene) -> None:
    body = {"reason": "r", "version": 2, "evidence": {}}
    for step in range(1, 60):
        scene.registry.set_alias("mixed", "challenger", 2)
        write_canary(scene.registry.state, "mixed", Canary(2, 20))
        n_rows = len(scene.rows())
        with killing(step) as bomb:
            withdraw_canary(scene.registry, "mixed", 2, body)
        canary = read_canary(scene.registry.state, "mixed")
        assert canary is not None
        done = canary.percent == 0
        assert (scene.registry.alias("mixed", "challenger") is None) == done
        assert len(scene.rows()) == n_rows + done
        again = withdraw_canary(scene.registry, "mixed", 2, body)
        assert again != done and len(scene.rows()) == n_rows + 1  # once, however often it is asked
        if not bomb.went_off:
            assert done
            break
    else:
        raise AssertionError("the withdrawal has no end")
    found = last_withdrawal(scene.registry, "mixed")
    assert found is not None and found["reason"] == "r"


DIES = """
import os, signal, sys
from pathlib import Path
from tenfold_serve.flight import Flight
flight = Flight(Path(sys.argv[1]))
flight.beside.begin(2)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_replicas_that_die_while_the_canary_scores(scene: Scene) -> None:
    scene.look()
    for number in range(2):
        command = [sys.executable, "-c", DIES, str(scene.flights / f"r.{number}")]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
        scene.guard = scene.again()  # evidence about deaths is kept at once
        assert scene.look() == (number == 1)
    (row,) = scene.rows()
    assert "deaths of replicas while it scored 100.00 %" in row["reason"]
    assert list(scene.flights.iterdir()) == []


def test_deaths_before_the_canary_say_nothing_of_it(scene: Scene) -> None:
    command = [sys.executable, "-c", DIES, str(scene.flights / "r.1")]
    subprocess.run(command, check=False)
    scene.guard.idle()
    assert list(scene.flights.iterdir()) == []
