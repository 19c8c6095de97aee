"""Which code made a model: the commit where Tenfold runs from a checkout, and what is installed."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from types import MappingProxyType

import tenfold

__all__ = ["checked_out_commit", "installed_packages", "packages_sha256", "provenance"]

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_INSIDE = Path("platform", "tenfold")
"""Where the package lies in a checkout of Tenfold."""


@cache
def provenance() -> Mapping[str, str]:
    """The facts of this process that a manifest keeps in ``lineage.extra``; gathered once.

    Returns:
        ``packages_sha256``, and ``commit`` where there is a checkout.
    """
    commit = checked_out_commit(Path(tenfold.__file__).parent)
    facts = {"packages_sha256": packages_sha256(installed_packages())}
    return MappingProxyType(facts if commit is None else {**facts, "commit": commit})


def checked_out_commit(package: Path) -> str | None:
    """The commit that a package's checkout stands on; changes on top of it are not seen.

    Only a folder that lies as in Tenfold's own tree counts: a package installed below somebody
    else's repository would otherwise be given that one's commit.

    Args:
        package: the folder of the package.

    Returns:
        The commit in hex; None without a checkout, or where its files cannot be read.
    """
    root = package.parents[len(_INSIDE.parts) - 1]
    if package != root / _INSIDE:
        return None
    try:
        return _commit_of(_git_folder(root))
    except (OSError, ValueError):
        return None


def _git_folder(root: Path) -> Path:
    """``.git``, or the folder that it names in a worktree or a submodule."""
    git = root / ".git"
    if git.is_dir():
        return git
    return root / git.read_text().removeprefix("gitdir:").strip()


def _commit_of(git: Path) -> str | None:
    head = (git / "HEAD").read_text().strip()
    if not head.startswith("ref:"):
        return head if _COMMIT.fullmatch(head) else None
    name = head.removeprefix("ref:").strip()
    shared = git / "commondir"  # a worktree keeps its branches with the others
    home = git / shared.read_text().strip() if shared.is_file() else git
    if (home / name).is_file():
        found = (home / name).read_text().strip()
        return found if _COMMIT.fullmatch(found) else None
    for line in (home / "packed-refs").read_text().splitlines():
        commit, _, packed = line.partition(" ")
        if packed == name and _COMMIT.fullmatch(commit):
            return commit
    return None


def installed_packages() -> list[str]:
    """``name==version`` of every distribution that this process could import.

    What a package brings inside its own folder is part of that package: Ray puts such a folder on
    the path when it is imported, and the same environment would have two digests.
    """
    path = [place for place in sys.path if not _is_inside_a_package(Path(place))]
    return [f"{one.name}=={one.version}" for one in distributions(path=path) if one.name]


def _is_inside_a_package(place: Path) -> bool:
    return any(parent.name in ("site-packages", "dist-packages") for parent in place.parents)


def packages_sha256(packages: Iterable[str]) -> str:
    r"""SHA-256 over the sorted lines, each once: the same environment gives the same digest.

    Args:
        packages: ``name==version``; letters and separators of a name are taken as PyPI takes them.

    Returns:
        64 hex digits.

    >>> packages_sha256(["B_c==1.0", "a==2"]) == hashlib.sha256(b"a==2\nb-c==1.0\n").hexdigest()
    True
    """
    lines = set()
    for package in packages:
        name, _, version = package.partition("==")
        lines.add(f"{re.sub(r'[-_.]+', '-', name).lower()}=={version}\n")
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
