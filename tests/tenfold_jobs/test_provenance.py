from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tenfold_jobs.provenance import (
    checked_out_commit,
    installed_packages,
    packages_sha256,
    provenance,
)

COMMIT, OTHER = "c" * 40, "d" * 40


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout" / "platform" / "tenfold"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def git(package: Path) -> Path:
    folder = package.parents[1] / ".git"
    (folder / "refs" / "heads").mkdir(parents=True)
    return folder


def test_without_a_checkout_there_is_no_commit(package: Path) -> None:
    assert checked_out_commit(package) is None


def test_a_branch_and_a_bare_commit(package: Path, git: Path) -> None:
    (git / "HEAD").write_text("ref: refs/heads/a/b\n")
    assert checked_out_commit(package) is None  # a branch without a commit
    (git / "packed-refs").write_text(
        f"# pack-refs\n{OTHER} refs/heads/b\n{COMMIT} refs/heads/a/b\n"
    )
    assert checked_out_commit(package) == COMMIT
    (git / "refs" / "heads" / "a").mkdir()
    (git / "refs" / "heads" / "a" / "b").write_text(f"{OTHER}\n")
    assert checked_out_commit(package) == OTHER
    (git / "HEAD").write_text(f"{COMMIT}\n")
    assert checked_out_commit(package) == COMMIT
    (git / "HEAD").write_text("nothing of git's\n")
    assert checked_out_commit(package) is None


def test_a_worktree_asks_the_repository_it_belongs_to(package: Path, tmp_path: Path) -> None:
    own = tmp_path / "main" / ".git" / "worktrees" / "w"
    own.mkdir(parents=True)
    (own / "HEAD").write_text("ref: refs/heads/w\n")
    (own / "commondir").write_text("../..\n")
    (tmp_path / "main" / ".git" / "packed-refs").write_text(f"{COMMIT} refs/heads/w\n")
    (package.parents[1] / ".git").write_text(f"gitdir: {own}\n")
    assert checked_out_commit(package) == COMMIT


def test_somebody_elses_repository_is_not_ours(tmp_path: Path) -> None:
    installed = tmp_path / ".venv" / "site-packages" / "tenfold"
    installed.mkdir(parents=True)
    (tmp_path / ".venv" / ".git").mkdir()
    (tmp_path / ".venv" / ".git" / "HEAD").write_text(COMMIT)
    assert checked_out_commit(installed) is None


def test_the_commit_is_the_one_that_git_says(package: Path, tmp_path: Path) -> None:
    root, worktree = package.parents[1], tmp_path / "worktree"

    def git(*words: str) -> str:
        who = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        done = subprocess.run(
            ["git", *who, *words], cwd=root, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    git("init", "--quiet")
    (package / "__init__.py").write_text("")
    git("add", ".")
    git("commit", "--quiet", "--message", "first")
    git("worktree", "add", "--quiet", "-b", "other", str(worktree))
    said = git("rev-parse", "HEAD")
    git("pack-refs", "--all")
    folders = (package, worktree / "platform" / "tenfold")
    assert [checked_out_commit(folder) for folder in folders] == [said, said]


def test_the_digest_of_packages_knows_neither_order_nor_spelling() -> None:
    one = packages_sha256(["a==1", "Typing_Extensions==4"])
    assert one == packages_sha256(["typing-extensions==4", "a==1", "a==1"])
    assert one != packages_sha256(["a==1", "typing-extensions==5"])


def test_what_a_package_brings_inside_its_own_folder_is_no_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray adds its own to the path when it is imported: the digest must not tell when it was."""
    before = installed_packages()
    site = tmp_path / "site-packages"
    inside = site / "somebody" / "thirdparty_files"
    for folder, name in ((site, "outer"), (inside, "inner")):
        kept = folder / f"{name}-1.0.dist-info"
        kept.mkdir(parents=True)
        (kept / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        monkeypatch.syspath_prepend(str(folder))
    assert set(installed_packages()) - set(before) == {"outer==1.0"}


def test_what_is_kept_is_of_this_process() -> None:
    facts = provenance()
    assert facts["packages_sha256"] == packages_sha256(installed_packages())
    assert any(line.startswith("pytest==") for line in installed_packages())
