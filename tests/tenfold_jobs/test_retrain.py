"""The retrain command's body on logs as the endpoint writes them, with a real trained champion."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tenfold.canonical import canonical_json, write_atomic
from tenfold.cluster.keeper import keeper_file, status_file
from tenfold.cluster.sessions import SessionRecord
from tenfold.data import Snapshot, prepare
from tenfold.errors import DataError, UserError
from tenfold.inference import Predictor
from tenfold.project import Project
from tenfold.registry import CHALLENGER, CHAMPION, Registry
from tenfold.settings import Settings
from tenfold.training.answer import Answer
from tenfold.training.evaluate import Config, evaluate
from tenfold.training.finish import finish
from tenfold.training.question import make_question
from tenfold.training.rows import load_rows
from tenfold.training.search import Material
from tenfold_jobs.packing import Origin, pack
from tenfold_jobs.retrain import live_table, run_retrain
from tests.tenfold_jobs.live_logs import START, log

pytestmark = pytest.mark.usefixtures("runs")


def rows(n_rows: int, *, flipped: bool, seed: int) -> pa.Table:
    random = np.random.default_rng(seed)
    x, z = random.normal(size=(2, n_rows))
    yes = (x + 0.4 * random.normal(size=n_rows) > 0) != flipped
    return pa.table({"x": x, "z": z, "y": np.where(yes, "yes", "no")})


def made_project(
    folder: Path, settings: Settings, *, data: dict[str, object], n_folds: int = 3
) -> Project:
    """A prepared project with a champion, trained here without a search."""
    project = Project.from_dict(
        {
            "name": "flip",
            "problem": {"task": "binary", "target": "y", "gates": ["accuracy >= 0.7"]},
            "data": data,
            "train": {"folds": n_folds},
            "retrain": {"search_budget": "2s"},
        }
    ).at(folder)
    snapshot = prepare(project, settings=settings)
    question = make_question(project, snapshot.schema, ordered=snapshot.ordered)
    loaded = load_rows(snapshot, question, max_rows=None)
    material = Material(loaded.training, snapshot.profiles(), snapshot.schema, question, 1)
    outcome = evaluate(material.workspace(), Config(0, "linear", {"c": 1.0}, must=True))
    finished = finish(material, loaded.test, Answer.single("linear", {"c": 1.0}), oof=outcome.oof)
    packed = pack(project, settings, finished, Origin(snapshot, question, 1.0))
    Registry(settings).promote("flip", packed.version.version, expected=None)
    return project


@pytest.fixture
def project(tmp_path: Path, settings: Settings) -> Project:
    table = rows(800, flipped=False, seed=0)
    lines = [f"{r['x']},{r['z']},{r['y']}" for r in table.to_pylist()]
    (tmp_path / "t.csv").write_text("\n".join(["x,z,y", *lines, ""]))
    return made_project(tmp_path, settings, data={"sources": [{"path": "t.csv"}]})


def test_a_changed_world_is_learned_and_promoted(project: Project, settings: Settings) -> None:
    log(settings, rows(300, flipped=False, seed=1))
    log(settings, rows(500, flipped=True, seed=2), first=300)
    log(settings, rows(500, flipped=True, seed=2), first=800)  # traffic repeats
    registry = Registry(settings)
    change_s = (START + timedelta(seconds=300)).timestamp()
    alarm = {"channel": "harm", "change_s": change_s, "reason": "harm"}
    registry.state.journal.append("flip", "alarm", alarm)
    made = run_retrain(project, settings)
    assert (made.alias, made.window, made.labels) == ("champion", "since-change", 1300)
    assert 700 < made.rows < 800  # three in four of the 1,000 since the change
    assert 100 < (made.comparison["n_rows"] or 0) < 150  # of 500 different ones, a quarter
    assert made.comparison["lower"] is not None
    assert made.comparison["lower"] > 0.4
    assert registry.alias("flip", CHAMPION) == made.version == 2
    kinds = [entry.kind for entry in registry.state.journal.tail("flip")]
    assert kinds == ["alarm", "promote"]
    from mlflow import MlflowClient

    mirrored = MlflowClient(tracking_uri=settings.mlflow_uri)
    champion = mirrored.get_model_version_by_alias("flip", "champion")
    assert champion.tags["tenfold.version"] == "2"
    new = Predictor.load(registry.require("flip").path)
    assert new.predict_rows([{"x": 3.0, "z": 0.0}]).values == ["no"]
    assert new.manifest.lineage.parent == registry.require("flip", 1).model_digest


def test_an_unchanged_world_promotes_nothing(project: Project, settings: Settings) -> None:
    log(settings, rows(600, flipped=False, seed=3))
    made = run_retrain(project, settings)
    registry = Registry(settings)
    assert made.alias == "challenger"
    assert made.comparison["lower"] is not None
    assert made.comparison["lower"] <= 0.0
    assert registry.alias("flip", CHAMPION) == 1
    assert registry.alias("flip", CHALLENGER) == made.version
    assert "neither better nor worse" in made.reason


def test_a_gate_that_is_missed_keeps_the_champion(project: Project, settings: Settings) -> None:
    random = np.random.default_rng(4)
    noise = rows(600, flipped=True, seed=4).set_column(
        2, "y", pa.array(random.choice(["no", "yes"], 600, p=[0.6, 0.4]))
    )
    log(settings, noise)
    made = run_retrain(project, settings)
    assert [gate["holds"] for gate in made.gates] == [False]
    assert made.alias == "challenger"
    assert Registry(settings).alias("flip", CHAMPION) == 1


def test_what_broken_data_taught_is_not_promoted(
    project: Project, settings: Settings, keeper_session: SessionRecord
) -> None:
    """A running keeper whose monitor holds a column for broken."""
    log(settings, rows(500, flipped=True, seed=2))
    quality = {"active": True, "named": ["x:missing"]}
    status = {"flip": {"monitor": {"models": {"1": {"channels": {"quality": quality}}}}}}
    write_atomic(status_file(settings), canonical_json(status))
    body = {**keeper_session.to_dict(), "port": 1, "urls": {}}
    write_atomic(keeper_file(settings), canonical_json(body))
    held = run_retrain(project, settings)
    assert held.alias == "challenger"
    assert held.reason.startswith("data is broken (x:missing)")
    assert Registry(settings).alias("flip", CHAMPION) == 1


def test_labels_that_the_schema_does_not_know_are_left_out(
    project: Project, settings: Settings
) -> None:
    table = rows(120, flipped=False, seed=5)
    odd = table.set_column(2, "y", pa.array(["maybe", *table["y"].to_pylist()[1:]]))
    log(settings, odd)
    schema = Predictor.load(Registry(settings).require("flip").path).schema
    live, times = live_table(settings, project, schema)
    assert live.num_rows == len(times) == 119
    assert live.column_names == list(schema.names)


def test_the_judges_were_never_learned_from(project: Project, settings: Settings) -> None:
    """Not by this retrain, not by an earlier one, and never from the prepared table's own."""
    log(settings, rows(400, flipped=True, seed=6))
    first = run_retrain(project, settings)
    log(settings, rows(400, flipped=True, seed=7), first=400)
    second = run_retrain(project, settings)
    registry = Registry(settings)
    learned, judged = [], []
    for version in (first.version, second.version):
        lineage = Predictor.load(registry.require("flip", version).path).manifest.lineage
        snapshot = Snapshot.find(settings, "flip", lineage.snapshot)
        table = snapshot.table()
        sealed = table["__fold"].to_numpy() == -1
        x = table["x"].to_numpy()
        learned.append(set(x[~sealed].tolist()))
        judged.append(set(x[sealed].tolist()))
    assert judged[0]
    assert judged[0] <= judged[1]
    assert not (learned[0] | learned[1]) & (judged[0] | judged[1])
    base = Snapshot.latest(settings, "flip").table()
    own = base.filter(pa.array(base["__fold"].to_numpy() == -1))["x"].to_pylist()
    assert not (learned[0] | learned[1]) & set(own)


@pytest.mark.parametrize(
    ("role", "values"),
    [
        ("weight", [1.0, 2.0]),
        ("time", []),
        ("group", [f"g{n}" for n in range(80)]),
    ],
)
def test_columns_that_requests_do_not_carry_get_a_stand_in(
    tmp_path: Path, settings: Settings, role: str, values: list[object]
) -> None:
    table = rows(800, flipped=False, seed=0)
    extra = [n if role == "time" else values[n % len(values)] for n in range(800)]
    lines = [
        f"{r['x']},{r['z']},{e},{r['y']}" for r, e in zip(table.to_pylist(), extra, strict=True)
    ]
    (tmp_path / "t.csv").write_text("\n".join(["x,z,e,y", *lines, ""]))
    data: dict[str, object] = {"sources": [{"path": "t.csv"}]}
    if role == "weight":
        data["columns"] = {"e": {"role": "weight"}}
    else:
        data[role] = {"column": "e"} if role == "time" else "e"
    project = made_project(tmp_path, settings, data=data, n_folds=2)
    log(settings, rows(400, flipped=True, seed=1))
    made = run_retrain(project, settings)
    assert made.alias == "champion", made.reason


def test_what_cannot_be_retrained_is_said(project: Project, settings: Settings) -> None:
    with pytest.raises(DataError, match="of 0 labeled rows there are 0 and 0; send labels with"):
        run_retrain(project, settings)
    other = Project.from_dict({**project.to_dict(), "name": "other"})
    with pytest.raises(UserError, match="has no trained model yet"):
        run_retrain(other, settings)
