from __future__ import annotations

import dataclasses
import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tenfold.canonical import canonical_json, sha256_hex
from tenfold.errors import ArtifactError, RegistryConflict, StoreError, UserError
from tenfold.registry import CHALLENGER, CHAMPION, Registry
from tenfold.settings import Settings
from tests.postgres import running_postgres


@pytest.fixture(scope="module")
def postgres_url() -> Iterator[str]:
    with running_postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def registry(request: pytest.FixtureRequest, settings: Settings) -> Registry:
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
        settings = dataclasses.replace(settings, state_url=url)
    return Registry(settings)


@pytest.fixture
def project(request: pytest.FixtureRequest) -> str:
    return "p" + sha256_hex(request.node.name.encode())[:9]


def artifact(folder: Path, mark: str) -> Path:
    path = folder / f"staged-{mark}"
    path.mkdir(parents=True)
    (path / "manifest.json").write_bytes(canonical_json({"model_digest": mark * 8}))
    (path / "model.onnx").write_bytes(mark.encode())
    return path


def test_versions_count_up_and_publishing_twice_is_once(
    registry: Registry, project: str, tmp_path: Path
) -> None:
    one = registry.publish(project, artifact(tmp_path, "a"))
    two = registry.publish(project, artifact(tmp_path, "b"))
    (tmp_path / "again").mkdir()
    same = registry.publish(project, artifact(tmp_path / "again", "a"))
    assert (one.version, two.version, same) == (1, 2, one)
    assert (one.path / "model.onnx").read_bytes() == b"a"
    assert [version.version for version in registry.versions(project)] == [1, 2]


def test_parallel_publishers_get_distinct_numbers(
    registry: Registry, project: str, tmp_path: Path
) -> None:
    folders = [artifact(tmp_path, mark) for mark in "abcdef"]
    with ThreadPoolExecutor(6) as pool:
        versions = list(pool.map(lambda f: registry.publish(project, f).version, folders))
    assert sorted(versions) == [1, 2, 3, 4, 5, 6]


def test_promotion_is_conditional(registry: Registry, project: str, tmp_path: Path) -> None:
    for mark in "ab":
        registry.publish(project, artifact(tmp_path, mark))
    registry.promote(project, 1, expected=None)
    with pytest.raises(RegistryConflict):
        registry.promote(project, 2, expected=None)
    with pytest.raises(RegistryConflict):
        registry.promote(project, 1, expected=2)
    registry.promote(project, 2, expected=1)
    champion = registry.resolve(project, CHAMPION)
    assert champion is not None
    assert champion.version == 2


def test_one_of_many_promoters_wins(registry: Registry, project: str, tmp_path: Path) -> None:
    for mark in "abcd":
        registry.publish(project, artifact(tmp_path, mark))
    registry.promote(project, 1, expected=None)

    def attempt(version: int) -> bool:
        try:
            registry.promote(project, version, expected=1)
        except RegistryConflict:
            return False
        return True

    with ThreadPoolExecutor(3) as pool:
        assert sorted(pool.map(attempt, [2, 3, 4])) == [False, False, True]
    assert [m.kind for m in registry.history(project)] == ["promote", "promote"]


def test_rollback_walks_back_through_replaced_champions(
    registry: Registry, project: str, tmp_path: Path
) -> None:
    for mark in "abc":
        registry.publish(project, artifact(tmp_path, mark))
    registry.promote(project, 1, expected=None)
    registry.promote(project, 2, expected=1)
    registry.promote(project, 3, expected=2)
    assert registry.rollback(project).version == 2
    assert registry.rollback(project).version == 1
    with pytest.raises(UserError, match="no earlier champion to roll back to"):
        registry.rollback(project)


def test_the_challenger_is_cleared_when_it_becomes_champion(
    registry: Registry, project: str, tmp_path: Path
) -> None:
    for mark in "ab":
        registry.publish(project, artifact(tmp_path, mark))
    registry.promote(project, 1, expected=None)
    registry.set_alias(project, CHALLENGER, 2)
    assert registry.aliases(project) == {CHAMPION: 1, CHALLENGER: 2}
    registry.promote(project, 2, expected=1)
    assert registry.alias(project, CHALLENGER) is None
    assert registry.history(project)[-1].kind == "clear"


def test_unknown_things_are_said(registry: Registry, project: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no trained model yet; run `tenfold run` first"):
        registry.require(project)
    registry.publish(project, artifact(tmp_path, "a"))
    with pytest.raises(UserError, match="has no version 7; it has \\[1\\]"):
        registry.promote(project, 7, expected=None)
    with pytest.raises(UserError, match="only 'challenger' can be set"):
        registry.set_alias(project, CHAMPION, 1)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArtifactError, match=r"must hold a manifest\.json"):
        registry.publish(project, tmp_path / "empty")
    assert registry.resolve(project, CHAMPION) is None


@contextmanager
def full_disk() -> Iterator[None]:
    """A file-size limit stands for the full disk: the kernel refuses the write the same way."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_moves_nothing_and_is_not_called_a_fault_of_ours(
    settings: Settings, tmp_path: Path
) -> None:
    registry = Registry(settings)
    one, two = artifact(tmp_path, "a"), artifact(tmp_path, "b")
    registry.publish("adult", one)
    with full_disk(), pytest.raises(StoreError, match=r"state\.db must take .* run the command"):
        registry.publish("adult", two)
    assert [version.version for version in registry.versions("adult")] == [1]
    assert registry.publish("adult", artifact(tmp_path / "again", "b")).version == 2
    registry.promote("adult", 1, expected=None)
    for move in (
        lambda: registry.promote("adult", 2, expected=1),
        lambda: registry.set_alias("adult", CHALLENGER, 2),
    ):
        with full_disk(), pytest.raises(StoreError, match="must take what is decided"):
            move()
    assert registry.aliases("adult") == {CHAMPION: 1, CHALLENGER: None}
    assert [move.kind for move in registry.history("adult")] == ["promote"]
