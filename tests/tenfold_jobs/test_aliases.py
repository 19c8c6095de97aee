"""Who answers is moved on purpose, once, with a journal row and without the canary of before."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tenfold.errors import UserError
from tenfold.inference import pack_artifact
from tenfold.progress import Advance
from tenfold.project import Project
from tenfold.registry import Registry
from tenfold.settings import Settings
from tenfold.testing.artifacts import small_files
from tenfold.testing.mixed import wide_table
from tenfold.traffic import read_shadow
from tenfold_jobs.aliases import run_promote, run_rollback, run_traffic
from tests.tenfold_jobs.conftest import PublishSmall


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Without an MLflow: opening its database takes seconds, and it is only told afterwards."""
    return dataclasses.replace(settings, mlflow_uri="nowhere://")


class Heard:
    """A progress that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.steps: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    @contextmanager
    def step(self, name: str, *, total: int | None = None) -> Iterator[Advance]:
        self.steps.append(name)
        yield lambda _n: None


def journal(settings: Settings) -> list[tuple[str, dict[str, object]]]:
    return [(row.kind, row.body) for row in Registry(settings).state.journal.tail("mixed")]


def test_without_a_model_every_command_says_what_to_run(
    settings: Settings, mixed_project: Project
) -> None:
    message = "project 'mixed' has no trained model yet; run `tenfold run` first"
    with pytest.raises(UserError) as caught:
        run_promote(mixed_project, settings, version=None)
    assert str(caught.value) == message
    with pytest.raises(UserError) as caught:
        run_traffic(mixed_project, settings, canary_percent=None)
    assert str(caught.value) == message
    with pytest.raises(UserError, match="no earlier champion to roll back to"):
        run_rollback(mixed_project, settings)
    assert journal(settings) == []


def test_promote_takes_the_named_else_the_challenger_else_the_newest(
    settings: Settings, mixed_project: Project, publish_small: PublishSmall
) -> None:
    for _ in range(4):
        publish_small()
    registry = Registry(settings)
    assert run_promote(mixed_project, settings, version=None) == {
        "project": "mixed", "champion": 4, "previous": None,
    }  # fmt: skip
    registry.set_alias("mixed", "challenger", 2)
    assert run_promote(mixed_project, settings, version=3)["champion"] == 3
    assert registry.alias("mixed", "challenger") == 2
    assert run_promote(mixed_project, settings, version=None) == {
        "project": "mixed", "champion": 2, "previous": 3,
    }  # fmt: skip
    assert registry.alias("mixed", "challenger") is None
    assert [row for row, _ in journal(settings)] == ["promote"] * 3
    assert journal(settings)[-1][1] == {
        "version": 2, "previous": 3, "reason": "asked for by a person",
    }  # fmt: skip


@pytest.mark.parametrize("version", [0, 9, -1])
def test_a_version_that_does_not_exist_is_refused_and_nothing_moves(
    settings: Settings, mixed_project: Project, publish_small: PublishSmall, version: int
) -> None:
    publish_small(promote=True)
    publish_small()
    Registry(settings).set_alias("mixed", "challenger", 2)
    with pytest.raises(UserError) as caught:
        run_promote(mixed_project, settings, version=version)
    assert str(caught.value) == (
        f"project 'mixed' has no version {version}; it has [1, 2], champion: 1"
    )
    assert Registry(settings).alias("mixed", "champion") == 1
    assert journal(settings) == []


def test_promoting_the_champion_changes_nothing(
    settings: Settings, mixed_project: Project, publish_small: PublishSmall
) -> None:
    publish_small(promote=True)
    publish_small()
    shares = run_traffic(mixed_project, settings, canary_percent=30)
    heard = Heard()
    found = run_promote(mixed_project, settings, version=1, progress=heard)
    assert found == {"project": "mixed", "champion": 1, "previous": 1}
    assert (len(journal(settings)), heard.steps) == (1, [])
    assert run_traffic(mixed_project, settings, canary_percent=None) == shares


def test_a_new_champion_leaves_no_share_to_anybody(
    settings: Settings, mixed_project: Project, publish_small: PublishSmall
) -> None:
    publish_small(promote=True)
    publish_small()
    run_traffic(mixed_project, settings, canary_percent=30)
    run_promote(mixed_project, settings, version=2)
    shares = {
        "project": "mixed", "champion": 2, "challenger": None, "canary_percent": 0, "shadow": False,
    }  # fmt: skip
    assert run_traffic(mixed_project, settings, canary_percent=None) == shares
    publish_small()
    Registry(settings).set_alias("mixed", "challenger", 3)
    assert run_traffic(mixed_project, settings, canary_percent=None)["canary_percent"] == 0


def test_a_rollback_points_to_the_champion_that_was_replaced(
    settings: Settings, mixed_project: Project, publish_small: PublishSmall
) -> None:
    for _ in range(3):
        publish_small(promote=True)
    heard = Heard()
    assert run_rollback(mixed_project, settings, progress=heard) == {
        "project": "mixed", "champion": 2, "previous": 3,
    }  # fmt: skip
    assert Registry(settings).alias("mixed", "champion") == 2
    assert journal(settings) == [
        ("rollback", {"version": 2, "previous": 3, "reason": "asked for by a person"}),
    ]
    assert heard.steps == ["mirror to MLflow"]


def test_the_first_champion_cannot_be_rolled_back(
    settings: Settings, mixed_project: Project, publish_small: PublishSmall
) -> None:
    publish_small(promote=True)
    with pytest.raises(UserError, match=r"no earlier champion .* \(champion: 1\)"):
        run_rollback(mixed_project, settings)
    assert journal(settings) == []


def test_traffic_is_shown_without_being_changed(
    settings: Settings, mixed_project: Project, publish_small: PublishSmall
) -> None:
    publish_small(promote=True)
    publish_small()
    assert run_traffic(mixed_project, settings, canary_percent=None) == {
        "project": "mixed", "champion": 1, "challenger": None, "canary_percent": 0, "shadow": False,
    }  # fmt: skip
    assert journal(settings) == []


def test_a_share_makes_the_newest_version_the_challenger(
    settings: Settings, mixed_project: Project, publish_small: PublishSmall
) -> None:
    publish_small(promote=True)
    publish_small()
    heard = Heard()
    found = run_traffic(mixed_project, settings, canary_percent=25, progress=heard)
    expected = {
        "project": "mixed", "champion": 1, "challenger": 2, "canary_percent": 25, "shadow": False,
    }  # fmt: skip
    assert found == run_traffic(mixed_project, settings, canary_percent=None) == expected
    assert heard.steps == ["mirror to MLflow"]
    publish_small()
    assert run_traffic(mixed_project, settings, canary_percent=50)["challenger"] == 2
    assert run_traffic(mixed_project, settings, canary_percent=0)["challenger"] == 2
    assert [body for _, body in journal(settings)] == [
        {"canary_percent": percent, "challenger": 2} for percent in (25, 50, 0)
    ]


def test_a_share_needs_somebody_to_take_it(
    settings: Settings, mixed_project: Project, publish_small: PublishSmall
) -> None:
    publish_small(promote=True)
    with pytest.raises(UserError) as caught:
        run_traffic(mixed_project, settings, canary_percent=10)
    assert str(caught.value) == ("project 'mixed' has no challenger; train another version first")
    assert run_traffic(mixed_project, settings, canary_percent=0)["canary_percent"] == 0


@pytest.mark.parametrize("percent", [-1, 101])
def test_a_share_that_is_none_is_not_given(
    settings: Settings, mixed_project: Project, publish_small: PublishSmall, percent: int
) -> None:
    publish_small(promote=True)
    publish_small()
    run_traffic(mixed_project, settings, canary_percent=40)
    with pytest.raises(ValueError, match=f"a share is 0 to 100 percent, not {percent}"):
        run_traffic(mixed_project, settings, canary_percent=percent)
    assert run_traffic(mixed_project, settings, canary_percent=None)["canary_percent"] == 40
    assert len(journal(settings)) == 1


def test_a_shadow_is_the_challengers_and_begins_once(
    settings: Settings, mixed_project: Project, publish_small: PublishSmall
) -> None:
    publish_small(promote=True)
    publish_small()
    state = Registry(settings).state
    found = run_traffic(mixed_project, settings, canary_percent=None, shadow=True)
    assert (found["challenger"], found["canary_percent"], found["shadow"]) == (2, 0, True)
    begun = read_shadow(state, "mixed")
    assert begun is not None and begun.version == 2
    run_traffic(mixed_project, settings, canary_percent=10, shadow=True)
    assert read_shadow(state, "mixed") == begun
    for _ in range(2):
        found = run_traffic(mixed_project, settings, canary_percent=None, shadow=False)
    assert (found["shadow"], found["canary_percent"]) == (False, 10)
    assert [body for _, body in journal(settings)] == [
        {"shadow": "on", "challenger": 2},
        {"canary_percent": 10, "challenger": 2},
        {"shadow": "off"},
    ]


def test_a_later_challenger_is_in_no_shadow(
    settings: Settings, mixed_project: Project, publish_small: PublishSmall
) -> None:
    publish_small(promote=True)
    publish_small()
    run_traffic(mixed_project, settings, canary_percent=None, shadow=True)
    publish_small()
    Registry(settings).set_alias("mixed", "challenger", 3)
    assert run_traffic(mixed_project, settings, canary_percent=None)["shadow"] is False
    assert run_traffic(mixed_project, settings, canary_percent=None, shadow=True)["shadow"]
    run_promote(mixed_project, settings, version=3)
    assert run_traffic(mixed_project, settings, canary_percent=None)["shadow"] is False


def test_a_shadow_needs_a_challenger(
    settings: Settings, mixed_project: Project, publish_small: PublishSmall
) -> None:
    publish_small(promote=True)
    with pytest.raises(UserError, match="has no challenger; train another version first"):
        run_traffic(mixed_project, settings, canary_percent=None, shadow=True)
    assert (
        run_traffic(mixed_project, settings, canary_percent=None, shadow=False)["shadow"] is False
    )
    assert journal(settings) == []


def test_a_challenger_that_reads_more_than_is_sent_cannot_be_in_shadow(
    settings: Settings, mixed_project: Project, publish_small: PublishSmall, tmp_path: Path
) -> None:
    publish_small(family="boosting", promote=True)
    files, draft = small_files("boosting", wide=True)
    pack_artifact(tmp_path / "wide", files=files, manifest=draft, table=wide_table(100))
    registry = Registry(settings)
    registry.publish("mixed", tmp_path / "wide")
    with pytest.raises(UserError) as caught:
        run_traffic(mixed_project, settings, canary_percent=None, shadow=True)
    assert str(caught.value) == (
        "version 2 beside 1: the challenger reads 'note', 'ticket', 'until', 'part', which "
        "requests of the champion do not carry, so it cannot score in shadow; compare the two "
        "offline, with tenfold retrain or tenfold predict"
    )
    assert registry.alias("mixed", "challenger") is None


def test_an_absent_mlflow_is_told_about_and_stops_nothing(
    settings: Settings, mixed_project: Project, publish_small: PublishSmall
) -> None:
    publish_small()
    heard = Heard()
    assert run_promote(mixed_project, settings, version=1, progress=heard)["champion"] == 1
    assert heard.steps == ["mirror to MLflow"]
    (line,) = heard.lines
    assert line.startswith("MLflow was not told (")
    assert line.endswith("); the registry has it")
