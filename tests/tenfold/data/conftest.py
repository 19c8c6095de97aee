"""Tables on disk and projects that point at them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tenfold.project import Project

MakeProject = Callable[..., Project]


@pytest.fixture(scope="session")
def make_project() -> MakeProject:
    """A project on a file: ``make_project(path, task=..., target=..., **sections)``."""

    def make(
        path: Path, *, task: str = "binary", target: str | None = "y", **sections: Any
    ) -> Project:
        problem = {"task": task, **({"target": target} if target else {})}
        problem |= sections.pop("problem", {})
        data = {"sources": [{"path": str(path)}], **sections.pop("data", {})}
        return Project.from_dict({"problem": problem, "data": data, **sections})

    return make


@pytest.fixture
def lines() -> list[str]:
    """A header and 600 rows of mixed columns, with missing cells, some quotes and line feeds."""
    random = np.random.default_rng(7)
    rows = ["age,city,score,when,y"]
    for row in range(600):
        age = "" if row % 17 == 0 else str(random.integers(18, 90))
        city = '"Ulm, ""Old""\nTown"' if row % 23 == 0 else f" {random.choice(['Bonn', 'Köln'])}"
        score = repr(float(random.normal()))
        when = f"2024-{1 + row % 12:02d}-{1 + row % 28:02d}"
        rows.append(f"{age},{city},{score},{when},{'yes' if random.random() < 0.3 else 'no'}")
    return rows


@pytest.fixture
def table_file(tmp_path: Path, lines: list[str]) -> Path:
    """`lines` as a CSV file."""
    path = tmp_path / "people.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


class RecordingProgress:
    """Remembers every advance; may stop the world at one of them.

    Args:
        at: called after each advance with the step's name and the units done so far.
    """

    def __init__(self, at: Callable[[str, int], None] | None = None) -> None:
        self.steps: dict[str, list[int]] = {}
        self._at = at

    def say(self, text: str) -> None:
        """Lines are not remembered."""

    @contextmanager
    def step(self, name: str, *, total: int | None = None) -> Iterator[Callable[[int], None]]:
        """Remember the advances of one step."""
        advances = self.steps.setdefault(name, [])

        def advance(n_done: int) -> None:
            advances.append(n_done)
            if self._at is not None:
                self._at(name, sum(advances))

        yield advance


@pytest.fixture
def recording() -> RecordingProgress:
    """A progress that remembers."""
    return RecordingProgress()
