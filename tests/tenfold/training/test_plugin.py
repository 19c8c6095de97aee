"""A family of an installed package: found by its entry point, searched, finished, read back."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from tenfold.errors import ArtifactError, UserError
from tenfold.models import FAMILIES, Fit, load_model
from tenfold.project import Project
from tenfold.project.measures import Task
from tenfold.project.work import family_tasks, plugin_families
from tenfold.training.answer import Answer
from tenfold.training.finish import finish
from tenfold.training.search import Limits, search_inline
from tests.tenfold.training.conftest import MakeCase

CODE = '''
    """Stumps: a linear model by another name, which is enough to see who is asked."""

    from tenfold.models import FAMILIES, Family


    def fit(fit):
        from dataclasses import replace

        model = FAMILIES["linear"].fit(replace(fit, params={"c": fit.params["strength"]}))
        return replace(model, family="stumps")


    def space(trial, task):
        return {"strength": trial.suggest_float("stumps.strength", 0.1, 10.0, log=True)}


    STUMPS = Family(
        name="stumps",
        tasks=frozenset({"binary", "multiclass"}),
        recipe=lambda params: FAMILIES["linear"].recipe({"c": 1.0}),
        defaults=lambda task: ({"strength": 1.0},),
        space=space,
        fit=fit,
        load=FAMILIES["linear"].load,
        freeze=lambda params, rounds: dict(params),
    )
    OTHER = STUMPS
    NOTHING = 3
'''
POINTS = """
    [tenfold.families]
    stumps = stumps_family:STUMPS
    misnamed = stumps_family:OTHER
    nothing = stumps_family:NOTHING
    gone = stumps_family:GONE
    linear = stumps_family:OTHER
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A package as an installer leaves it."""
    site = tmp_path / "site"
    facts = site / "stumps_family-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: stumps-family\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(textwrap.dedent(POINTS).lstrip())
    (site / "stumps_family.py").write_text(textwrap.dedent(CODE).lstrip())
    return site


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(site)
    yield
    FAMILIES.pop("stumps", None)
    sys.modules.pop("stumps_family", None)


def project(*families: str, task: str = "binary") -> Project:
    return Project.from_dict(
        {
            "name": "plug",
            "problem": {"task": task, "target": "y"},
            "data": {"sources": [{"path": "t.csv"}]},
            "train": {"families": list(families)},
        }
    )


@pytest.mark.usefixtures("installed")
def test_a_plug_in_is_searched_finished_and_read_back(make_case: MakeCase) -> None:
    material, test = make_case(Task.BINARY, n_rows=400, families=("stumps", "linear"))
    found = search_inline(material, Limits(trials=3, seconds=None))
    tried = {one.config.family: one for one in found.tried}
    assert {"stumps", "linear"} <= set(tried)
    assert tried["stumps"].outcome.score > 0.7
    answer = Answer.single("stumps", tried["stumps"].config.params)
    made = finish(material, test, answer, oof=None)
    assert (made.family, made.engine.name) == ("stumps", "onnx")
    matrix = made.preprocessor.transform_codes(material.rows.codes)
    again = load_model("stumps", {k: v for k, v in made.engine.files.items() if "onnx" not in k})
    assert np.allclose(again.predict(matrix), made.engine.score(matrix), atol=1e-6)


@pytest.mark.usefixtures("installed")
def test_a_project_may_name_it_for_the_tasks_it_fits() -> None:
    assert {"stumps", "misnamed", "nothing", "gone"} <= set(plugin_families())
    assert project("stumps", "linear").train.families == ("stumps", "linear")
    assert family_tasks(["stumps"])["stumps"] == {Task.BINARY, Task.MULTICLASS}
    with pytest.raises(ValidationError, match="must be a family that fits for regression"):
        project("stumps", task="regression")


@pytest.mark.usefixtures("installed")
def test_our_own_names_stay_ours() -> None:
    assert "linear" not in plugin_families()
    assert FAMILIES["linear"].name == "linear"


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("misnamed", "must lead to a tenfold.models.Family named 'misnamed', and it leads to "
         "the family 'stumps'; upgrade its package"),
        ("nothing", "leads to 3; upgrade its package"),
        ("gone", r"\(stumps_family:GONE\) must import, .* install it again"),
    ],
)  # fmt: skip
def test_a_plug_in_that_is_none_is_told(name: str, said: str) -> None:
    assert name in FAMILIES
    with pytest.raises(UserError, match=said):
        FAMILIES[name]


def test_without_its_package_a_model_says_what_it_needs() -> None:
    assert "stumps" not in FAMILIES
    with pytest.raises(KeyError):
        FAMILIES["stumps"]
    with pytest.raises(ArtifactError, match="not 'stumps'"):
        load_model("stumps", {})
    with pytest.raises(ValidationError, match="must be a family for binary"):
        project("stumps")


def test_plug_ins_are_imported_when_asked_for_and_not_before(site: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from tenfold.models import FAMILIES\n"
        "assert 'stumps' in FAMILIES and 'stumps' not in list(FAMILIES)\n"
        "assert 'stumps_family' not in sys.modules\n"
        "FAMILIES['stumps']\n"
        "assert 'stumps_family' in sys.modules and 'stumps' in list(FAMILIES)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(site)], check=True, timeout=60)


@pytest.mark.usefixtures("installed")
def test_a_fit_gets_only_its_own_parameters() -> None:
    rows = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    fit = Fit(rows, (rows[:, 0] > 0).astype(np.int64), "binary", 2, {"strength": 1.0}, 0, 1)
    assert FAMILIES["stumps"].fit(fit).family == "stumps"
