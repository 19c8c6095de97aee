"""A source of an installed package: found by its entry point, pulled and prepared like our own."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tenfold.data import prepare
from tenfold.errors import UserError
from tenfold.project import Project
from tenfold.project.sources import plugin_types
from tenfold.settings import Settings

CODE = '''
    """Counts: a place whose rows are the numbers below one that the project file names."""

    from dataclasses import dataclass

    import pyarrow as pa

    from tenfold.data.pull import PullPlan


    @dataclass(frozen=True)
    class Counted:
        start: int
        stop: int

        def batches(self):
            rows = range(self.start, self.stop)
            yield pa.table({"n": list(rows), "y": ["yes" if n % 3 else "no" for n in rows]})


    @dataclass(frozen=True)
    class Counting:
        name: str
        below: int
        watermark: str | None = None

        def identity(self):
            return {"type": "counting", "below": self.below}

        def plan(self, since):
            starts = range(0, self.below, 100)
            return PullPlan(tuple({"start": n} for n in starts), {"below": self.below})

        def streams(self, plan):
            return [
                Counted(s["start"], min(s["start"] + 100, self.below)) for s in plan.streams
            ]

        def sample(self):
            return next(Counted(0, min(10, self.below)).batches())

        def size_hint(self):
            return 16 * self.below


    class Half:
        def __init__(self, *, name):
            self.name = name
'''
POINTS = """
    [tenfold.sources]
    counting = counting_source:Counting
    half = counting_source:Half
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package as an installer leaves it, where Python looks for packages."""
    site = tmp_path / "site"
    facts = site / "counting_source-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: counting-source\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(textwrap.dedent(POINTS).lstrip())
    (site / "counting_source.py").write_text(textwrap.dedent(CODE).lstrip())
    monkeypatch.syspath_prepend(site)


def project(**source: Any) -> Project:
    return Project.from_dict(
        {
            "name": "counts",
            "problem": {"task": "binary", "target": "y"},
            "data": {"sources": [source]},
        }
    )


@pytest.mark.usefixtures("installed")
def test_a_source_of_an_installed_package_is_pulled_and_prepared(settings: Settings) -> None:
    assert {"counting", "half"} <= set(plugin_types())
    snapshot = prepare(
        project(type="counting", name="numbers", options={"below": 250}), settings=settings
    )
    assert sorted(snapshot.table()["n"].to_pylist()) == list(range(250))
    (told,) = snapshot.manifest["lineage"]
    assert (told["source"], told["type"], told["pulls"]) == (
        "numbers",
        "counting",
        [{"below": 250}],
    )


@pytest.mark.usefixtures("installed")
def test_a_package_that_gives_no_place_is_told(settings: Settings) -> None:
    with pytest.raises(UserError) as caught:
        prepare(project(type="half"), settings=settings)
    assert str(caught.value) == (
        "the plug-in 'half' (counting_source:Half) must give a tenfold.data.pull.Pullable, and "
        "what it gave lacks identity, plan, streams, sample, size_hint, watermark; "
        "upgrade its package"
    )


@pytest.mark.usefixtures("installed")
def test_a_type_that_nothing_brings_is_told_with_what_is_near() -> None:
    with pytest.raises(ValidationError, match="not 'countin'; did you mean 'counting'"):
        project(type="countin")


def test_without_its_package_a_type_is_not_known() -> None:
    with pytest.raises(ValidationError, match="not 'counting'; install the package that brings it"):
        project(type="counting")
