"""Who answers is old or new, never none or both: killed at every step, and many at once."""

from __future__ import annotations

import dataclasses
import itertools
import threading
from pathlib import Path

import pytest

from tenfold.errors import RegistryConflict
from tenfold.project import Project
from tenfold.registry import Registry
from tenfold.settings import Settings
from tenfold.traffic import read_canary, read_shadow
from tenfold_jobs.aliases import run_promote, run_rollback, run_traffic
from tests.killing import killing
from tests.tenfold_jobs.conftest import PublishSmall

MAX_STEPS = 100


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Without an MLflow: it is told afterwards, and what it says decides nothing."""
    return dataclasses.replace(settings, mlflow_uri="nowhere://")


def fresh(settings: Settings, folder: Path) -> Settings:
    """Another installation, whose state is a copy."""
    home = folder / "home"
    home.mkdir(parents=True)
    (home / "state.db").write_bytes((settings.home / "state.db").read_bytes())
    return Settings.from_env(
        {
            "TENFOLD_HOME": str(home),
            "TENFOLD_STORE": settings.store,
            "MLFLOW_TRACKING_URI": "nowhere://",
        }
    )


def test_a_promotion_that_is_killed_anywhere_has_happened_or_not(
    settings: Settings, mixed_project: Project, publish_small: PublishSmall, tmp_path: Path
) -> None:
    publish_small(promote=True)
    publish_small()
    Registry(settings).set_alias("mixed", "challenger", 2)
    seen = set()
    for step in itertools.count(1):
        copy = fresh(settings, tmp_path / str(step))
        with killing(step) as bomb:
            run_promote(mixed_project, copy, version=2)
        registry = Registry(copy)
        aliases = registry.aliases("mixed")
        assert aliases in (
            {"champion": 1, "challenger": 2},
            {"champion": 2, "challenger": None},
        ), step
        seen.add(aliases["champion"])
        assert run_promote(mixed_project, copy, version=2)["champion"] == 2
        assert registry.aliases("mixed") == {"champion": 2, "challenger": None}
        moves = [m for m in registry.history("mixed") if m.alias == "champion"]
        assert [(m.from_version, m.to_version) for m in moves] == [(None, 1), (1, 2)]
        assert run_rollback(mixed_project, copy)["champion"] == 1
        if not bomb.went_off:
            break
        assert step < MAX_STEPS
    assert seen == {1, 2}


def test_traffic_that_is_killed_anywhere_is_set_when_it_runs_again(
    settings: Settings, mixed_project: Project, publish_small: PublishSmall, tmp_path: Path
) -> None:
    publish_small(promote=True)
    publish_small()
    Registry(settings)  # its database is whole before it is copied
    for step in itertools.count(1):
        copy = fresh(settings, tmp_path / str(step))
        with killing(step) as bomb:
            run_traffic(mixed_project, copy, canary_percent=25, shadow=True)
        registry = Registry(copy)
        canary, shadow = read_canary(registry.state, "mixed"), read_shadow(registry.state, "mixed")
        assert canary is None or (canary.version, canary.percent) == (2, 25)
        assert shadow is None or shadow.version == 2
        if canary is not None or shadow is not None:
            assert registry.alias("mixed", "challenger") == 2
        found = run_traffic(mixed_project, copy, canary_percent=25, shadow=True)
        assert found == {
            "project": "mixed",
            "champion": 1,
            "challenger": 2,
            "canary_percent": 25,
            "shadow": True,
        }
        if shadow is not None:
            assert read_shadow(registry.state, "mixed") == shadow  # it goes on, not anew
        if not bomb.went_off:
            break
        assert step < MAX_STEPS


def test_of_many_who_promote_at_once_the_moves_are_one_line(
    settings: Settings, mixed_project: Project, publish_small: PublishSmall
) -> None:
    publish_small(promote=True)
    for _ in range(7):
        publish_small()
    told: list[str] = []
    won: list[int] = []
    gate = threading.Barrier(7)

    def deploy(version: int) -> None:
        gate.wait()
        try:
            won.append(run_promote(mixed_project, settings, version=version)["champion"])
        except RegistryConflict as conflict:
            told.append(str(conflict))

    threads = [threading.Thread(target=deploy, args=(version,)) for version in range(2, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) + len(told) == 7 and won
    for text in told:
        assert text.startswith("the champion of 'mixed' was expected to be ")
        assert text.endswith("look at `tenfold status` and decide again")
    registry = Registry(settings)
    moves = [m for m in registry.history("mixed") if m.alias == "champion"]
    assert moves[0].from_version is None
    assert [m.to_version for m in moves[:-1]] == [m.from_version for m in moves[1:]]
    assert sorted(m.to_version or 0 for m in moves[1:]) == sorted(won)
    assert registry.alias("mixed", "champion") == moves[-1].to_version
