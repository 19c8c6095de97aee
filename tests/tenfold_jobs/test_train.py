"""A training end to end: same digest twice, promotion by gates and comparison, mirror."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tenfold.canonical import canonical_json
from tenfold.data import InProcess, Snapshot, prepare
from tenfold.errors import DataError, StoreError
from tenfold.inference import Predictor
from tenfold.monitor import Reference
from tenfold.project import Project
from tenfold.registry import Registry
from tenfold.settings import Settings
from tenfold_jobs.train import run_train
from tests.runs import with_runs

pytestmark = [
    pytest.mark.usefixtures("ray_session"),
    pytest.mark.timeout(240),
]

N_ROWS = 900
KILLED = Path(__file__).parents[1] / "tenfold" / "data" / "killed_prepare.py"


def write_table(folder: Path, *, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=(2, N_ROWS))
    city = rng.choice(["bern", "oslo", "rome"], N_ROWS)
    p = 1 / (1 + np.exp(-(2 * x + (city == "oslo") - 0.5)))
    left = np.where(rng.random(N_ROWS) < p, "yes", "no")
    lines = [f"{a:.6f},{b:.6f},{c},{d}" for a, b, c, d in zip(x, z, city, left, strict=True)]
    path = folder / "churn.csv"
    path.write_text("x,z,city,left\n" + "\n".join(lines) + "\n")
    return path


def make_project(folder: Path, **changes: object) -> Project:
    body: dict[str, object] = {
        "problem": {"task": "binary", "target": "left", "gates": ["roc_auc >= 0.7"]},
        "data": {"sources": [{"path": "churn.csv"}]},
        "train": {"trials": 4, "folds": 3, "families": ["linear", "boosting"]},
    }
    return Project.from_dict(body | changes).at(folder)


def settings_of(folder: Path, name: str) -> Settings:
    return with_runs(Settings.from_env({"TENFOLD_HOME": str(folder / name)}))


def cut_into_parts(table: Path, *, n_parts: int = 4) -> None:
    """The same rows as files of a folder: each is a piece of the preparation's work."""
    header, *rows = table.read_text().splitlines()
    (table.parent / "parts").mkdir()
    for part in range(n_parts):
        lines = [header, *rows[part * len(rows) // n_parts : (part + 1) * len(rows) // n_parts]]
        (table.parent / "parts" / f"{part}.csv").write_text("\n".join(lines) + "\n")


def killed_while_cleaning(project: Project, settings: Settings) -> None:
    """A preparation in a child process that dies by SIGKILL when two pieces are clean."""
    file = project.folder / "project.json"
    file.write_bytes(canonical_json(project.to_dict()))  # JSON is YAML
    command = [sys.executable, str(KILLED), str(file), str(settings.home), "clean", "2"]
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert not list(settings.snapshots.rglob("snapshot.json"))


def test_the_same_budget_of_trials_gives_the_same_model(tmp_path: Path) -> None:
    """Whoever prepared the rows: one thread, or four after a kill in the middle."""
    cut_into_parts(write_table(tmp_path))
    project = make_project(tmp_path, data={"sources": [{"path": "parts"}]}, name="churn")
    killed_while_cleaning(project, settings_of(tmp_path, "two"))
    records = []
    for home, n_threads in (("one", 1), ("two", 4)):
        settings, driver = settings_of(tmp_path, home), InProcess(n_threads=n_threads)
        prepare(project, settings=settings, drivers=lambda _size_bytes, driver=driver: driver)
        records.append(run_train(project, settings))
    first, second = records
    assert first.digest == second.digest
    assert first.n_tried == 5
    assert first.alias == "champion"
    assert sum(entry["picked"] for entry in first.front) == 1
    assert first.answer and first.choice
    assert 0.7 < (first.metrics["roc_auc"]["value"] or 0) < 1.0
    _look_at_artifact(settings_of(tmp_path, "one"), project)


def _look_at_artifact(settings: Settings, project: Project) -> None:
    version = Registry(settings).require(project.name)
    predictor = Predictor.load(version.path)
    assert predictor.check_golden() >= 64
    assert predictor.manifest.engine == "onnx"
    assert predictor.classes[-1] == predictor.manifest.positive_class
    snapshot = Snapshot.latest(settings, project)
    assert predictor.manifest.lineage.snapshot == snapshot.digest
    reference = Reference.from_bytes((version.path / "reference.json").read_bytes())
    assert reference.loss is not None
    assert reference.loss.n == sum(p.n_rows for k, p in snapshot.profiles().items() if k == -1)
    for name in ("card.html", "card.md", "run.html", "profile.bin", "model.onnx"):
        assert (version.path / name).stat().st_size > 0
    card, page = ((version.path / name).read_text() for name in ("card.html", "run.html"))
    assert '<a href="run.html">' in card
    assert "<h2>Front</h2>" in card
    trials = page[page.index('<h2 id="trials">') :]
    assert trials.count("<td>linear</td>") + trials.count("<td>boosting</td>") == 4
    _look_at_mirror(settings, project)


def _look_at_mirror(settings: Settings, project: Project) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=settings.mlflow_uri)
    mirrored = client.get_model_version_by_alias(project.name, "champion")
    run = client.get_run(mirrored.run_id)
    assert run.data.metrics["roc_auc"] > 0.7
    names = {file.path for file in client.list_artifacts(mirrored.run_id, "model")}
    assert "model/manifest.json" in names


def test_constructed_columns_reach_the_artifact_and_the_card(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    size = np.exp(0.4 * rng.normal(size=4500))
    price = 7 * size * np.exp(0.3 * rng.normal(size=4500))
    left = np.where(price / size > 7, "yes", "no")
    lines = [f"{a:.9f},{b:.9f},{c}" for a, b, c in zip(size, price, left, strict=True)]
    (tmp_path / "churn.csv").write_text("size,price,left\n" + "\n".join(lines) + "\n")
    train = {"trials": 1, "folds": 2, "families": ["boosting"], "construct_columns": "auto"}
    project = make_project(tmp_path, train=train)
    settings = settings_of(tmp_path, "home")
    prepare(project, settings=settings)
    record = run_train(project, settings)
    assert (record.metrics["roc_auc"]["value"] or 0) > 0.99
    predictor = Predictor.load(Registry(settings).require(project.name).path)
    assert "price / size" in predictor.preprocessor.feature_names
    assert [column.name for column in predictor.columns] == ["size", "price"]
    assert "price / size" in Path(record.card).with_suffix(".md").read_text()


def test_a_missed_gate_is_registered_and_not_promoted(tmp_path: Path) -> None:
    write_table(tmp_path)
    problem = {"task": "binary", "target": "left", "gates": ["roc_auc >= 0.999"]}
    train = {"trials": 1, "folds": 2, "families": ["linear"]}
    project = make_project(tmp_path, problem=problem, train=train)
    settings = settings_of(tmp_path, "home")
    prepare(project, settings=settings)
    record = run_train(project, settings)
    assert record.alias is None
    assert record.reason.startswith("gate missed: roc_auc >= 0.999 (it is 0.")
    assert record.to_dict()["reason"] == record.reason
    assert [gate["holds"] for gate in record.gates] == [False]
    assert Registry(settings).resolve(project.name) is None
    assert [v.version for v in Registry(settings).versions(project.name)] == [1]


def test_a_worse_model_does_not_replace_the_champion(tmp_path: Path) -> None:
    write_table(tmp_path)
    train = {"trials": 1, "folds": 3, "families": ["linear"]}
    project = make_project(tmp_path, train=train)
    settings = settings_of(tmp_path, "home")
    prepare(project, settings=settings)
    first = run_train(project, settings)
    baseline = make_project(
        tmp_path,
        problem={"task": "binary", "target": "left"},
        train=train | {"families": ["dummy"]},
    )
    worse = run_train(baseline, settings)
    assert worse.family == "dummy"
    assert first.reason == "first champion"
    assert worse.reason.startswith(f"not promoted: version {first.version} is better: roc_auc 0.")
    kinds = [row.kind for row in Registry(settings).state.journal.tail(project.name)]
    assert kinds == ["promote", "decision"]
    registry = Registry(settings)
    assert registry.require(project.name).version == first.version


def test_training_before_preparing_is_the_users_fault(tmp_path: Path) -> None:
    write_table(tmp_path)
    with pytest.raises(DataError, match="must be prepared first"):
        run_train(make_project(tmp_path), settings_of(tmp_path, "home"))


def test_a_snapshot_of_another_target_is_refused(tmp_path: Path) -> None:
    write_table(tmp_path)
    settings = settings_of(tmp_path, "home")
    prepare(make_project(tmp_path), settings=settings)
    other = make_project(tmp_path, problem={"task": "multiclass", "target": "city"})
    with pytest.raises(DataError, match="target 'left', the project asks for 'city'"):
        run_train(other, settings)


def test_a_damaged_snapshot_is_refused_before_anything_is_fitted(tmp_path: Path) -> None:
    write_table(tmp_path)
    settings, project = settings_of(tmp_path, "home"), make_project(tmp_path)
    snapshot = prepare(project, settings=settings)
    block = snapshot.path / "block-00000.arrow"
    body = bytearray(block.read_bytes())
    body[len(body) // 2] ^= 1  # one bit; the size stays
    block.write_bytes(body)
    with pytest.raises(StoreError, match=r"block-00000.arrow must have SHA-256 .* another; delete"):
        run_train(project, settings)
    assert Registry(settings).versions(project.name) == []
