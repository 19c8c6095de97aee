"""A supervisor that is killed at any step of a promotion (F14).

Serve is told of the old model or of the new one, never of none and never of both, and the next
supervisor does the rest.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tenfold.artifact import ProbeResult
from tenfold.monitor.arms import ArmTotals
from tenfold.project import Project
from tenfold.registry import Registry
from tenfold.settings import Settings
from tenfold.traffic import Canary, read_canary, write_canary
from tenfold.withdrawal import WITHDRAWN
from tenfold_serve.aggregator import Aggregator
from tenfold_serve.shipping import Report, RequestStats
from tenfold_serve.supervisor import Supervisor
from tests.killing import Bomb, killing
from tests.tenfold_serve.support import Publish

MAX_STEPS = 300


class Host:
    """Serve: it keeps what it was told, also when the one who told it was killed meanwhile."""

    def __init__(self) -> None:
        self.told: list[list[tuple[int, float]]] = []
        self.bomb: Bomb | None = None

    def apply(self, applications: Sequence[Mapping[str, Any]]) -> None:
        if self.bomb is not None:
            self.bomb.tick()
        (application,) = applications
        arms = application["deployments"][0]["user_config"]["arms"]
        self.told.append([(arm["version"], arm["weight"]) for arm in arms])
        if self.bomb is not None:
            self.bomb.tick()


@pytest.mark.parametrize("canary", [None, 30], ids=["promotion", "canary"])
def test_old_or_new_and_the_next_one_goes_on(
    settings: Settings, project: Project, project_file: Path, publish: Publish, canary: int | None
) -> None:
    publish(0, promote=True)
    publish(1)
    registry = Registry(settings)
    registry.set_alias("mixed", "challenger", 2)
    old = [(1, 1.0)]
    new = [(2, 1.0)] if canary is None else [(1, 0.7), (2, 0.3)]
    host = Host()
    probed: list[Path] = []

    def probe(path: Path) -> ProbeResult:
        probed.append(path)
        if host.bomb is not None:
            host.bomb.tick()
        return ProbeResult(ok=True, reason="", n_rows=64, seconds=0.1, peak_bytes=1)

    def supervisor() -> Supervisor:
        made = Supervisor(
            [(project, project_file)],
            settings=settings,
            host=host,
            aggregator=Aggregator(settings),
            probe_artifact=probe,
        )
        made.start()
        return made

    def wish(percent: int | None) -> None:
        """Everything as before, then the change."""
        if registry.alias("mixed", "champion") != 1:
            registry.rollback("mixed")
            registry.set_alias("mixed", "challenger", 2)
        write_canary(registry.state, "mixed", Canary(2, 0))
        running = supervisor()
        assert host.told[-1] == old
        if percent is None:
            registry.promote("mixed", 2, expected=1)
        else:
            write_canary(registry.state, "mixed", Canary(2, percent))
        host.told.clear()
        with killing(step) as bomb:
            host.bomb = bomb
            running.step()
        host.bomb = None
        went_off.append(bomb.went_off)

    reached = set()
    for step in itertools.count(1):
        went_off: list[bool] = []
        wish(canary)
        assert all(told in (old, new) for told in host.told), (step, host.told)
        reached.add(bool(host.told))
        again = supervisor()
        again.step()
        assert host.told[-1] == new
        n_told = len(host.told)
        again.step()
        assert len(host.told) == n_told  # done is done
        if not went_off[0]:
            break
        assert step < MAX_STEPS
    assert reached == {False, True}
    assert set(probed) == {registry.require("mixed", version).path for version in (1, 2)}


def test_a_canary_is_taken_back_once_whoever_is_killed(
    settings: Settings, project: Project, project_file: Path, publish: Publish
) -> None:
    publish(0, promote=True)
    publish(1)
    registry = Registry(settings)
    old, new = [(1, 0.7), (2, 0.3)], [(1, 1.0)]
    host, aggregator = Host(), Aggregator(settings)

    def probe(_path: Path) -> ProbeResult:
        return ProbeResult(ok=True, reason="", n_rows=64, seconds=0.1, peak_bytes=1)

    def supervisor() -> Supervisor:
        made = Supervisor(
            [(project, project_file)],
            settings=settings,
            host=host,
            aggregator=aggregator,
            probe_artifact=probe,
        )
        made.start()
        return made

    def journaled() -> int:
        return len(registry.state.journal.tail("mixed", 999, kind=WITHDRAWN))

    reached = set()
    for step in itertools.count(1):
        registry.set_alias("mixed", "challenger", 2)
        write_canary(registry.state, "mixed", Canary(2, 30))
        running = supervisor()
        running.step()  # from here on its requests count
        assert host.told[-1] == old
        aggregator.take(harm(step))
        n_before = journaled()
        host.told.clear()
        with killing(step) as bomb:
            host.bomb = bomb
            running.step()
        host.bomb = None
        assert all(told in (old, new) for told in host.told), (step, host.told)
        reached.add(journaled() > n_before)
        again = supervisor()
        for _ in range(2):
            again.step()
        assert host.told[-1] == new and journaled() == n_before + 1
        assert read_canary(registry.state, "mixed") == Canary(2, 0)
        assert registry.alias("mixed", "challenger") is None
        if not bomb.went_off:
            break
        assert step < MAX_STEPS
    assert reached == {False, True}


def harm(number: int) -> Report:
    """A second in which the canary fails every request."""
    arms = [
        ArmTotals("champion", 1, requests=70),
        ArmTotals("challenger", 2, requests=30, failures={"error": 30}),
    ]
    told = tuple(arm.to_dict() for arm in arms)
    return Report("mixed", "r", 1, number, (), RequestStats.empty().to_dict(), 0, told)
