"""A wide table, from the file to the endpoint's contract: only the kept columns are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from tenfold.canonical import read_json
from tenfold.data import Snapshot, prepare
from tenfold.errors import RequestError
from tenfold.inference import Predictor, example_row, openapi_components
from tenfold.live import log_tables
from tenfold.project import Project
from tenfold.registry import CHAMPION, Registry
from tenfold.settings import Settings
from tenfold.training.answer import Answer
from tenfold.training.evaluate import Config, evaluate
from tenfold.training.finish import Finished, finish
from tenfold.training.making import SELECT_FROM, Making, fit_stages
from tenfold.training.question import Question, question_of
from tenfold.training.rows import TrainingRows, load_rows
from tenfold.training.search import Material
from tenfold_jobs.packing import Origin, Packed, pack
from tenfold_jobs.promotion import promote_if_better
from tenfold_jobs.refit import refit_artifact
from tenfold_jobs.retrain import run_retrain
from tests.runs import with_runs

N_ROWS, N_NOISE = 2600, SELECT_FROM - 2
PARAMS = {"eta": 0.2, "max_depth": 3, "rounds": 30}


def rows_of(n_rows: int, *, seed: int) -> dict[str, np.ndarray]:
    """The truth is the price of a unit; beside it stand columns that say nothing."""
    rng = np.random.default_rng(seed)
    size = np.exp(0.4 * rng.normal(size=n_rows))
    price = 7 * size * np.exp(0.4 * rng.normal(size=n_rows))
    signal = np.log(price / size / 7) + 0.1 * rng.normal(size=n_rows)
    noise = {f"n{k}": rng.normal(size=n_rows) for k in range(N_NOISE)}
    y = np.where(signal > 0, "yes", "no")
    return {"size": size, **noise, "price": price, "dear": y}


@dataclass
class Wide:
    """A prepared wide table, its model, and where both are."""

    project: Project
    settings: Settings
    snapshot: Snapshot
    question: Question
    test: TrainingRows
    finished: Finished
    packed: Packed

    @property
    def predictor(self) -> Predictor:
        return Predictor.load(self.packed.version.path)


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Wide:
    folder = tmp_path_factory.mktemp("wide")
    data = rows_of(N_ROWS, seed=0)
    cells = [[c if isinstance(c, str) else f"{c:.5f}" for c in v.tolist()] for v in data.values()]
    lines = [",".join(row) for row in zip(*cells, strict=True)]
    (folder / "t.csv").write_text("\n".join([",".join(data), *lines, ""]))
    body = {
        "name": "dear",
        "problem": {"task": "binary", "target": "dear", "gates": ["accuracy >= 0.7"]},
        "data": {"sources": [{"path": "t.csv"}]},
        "train": {"folds": 2, "construct_columns": "auto", "families": ["boosting"]},
    }
    project = Project.from_dict(body).at(folder)
    settings = with_runs(Settings.from_env({"TENFOLD_HOME": str(folder / "home")}))
    snapshot = prepare(project, settings=settings)
    question = question_of(project, snapshot, positive="yes")
    rows, profiles = load_rows(snapshot, question), snapshot.profiles()
    stages = fit_stages(
        rows.training,
        profiles=profiles,
        schema=snapshot.schema,
        question=question,
        making=Making.of(project),
        threads=2,
    )
    material = Material(rows.training, profiles, snapshot.schema, question, 1, stages)
    outcome = evaluate(material.workspace(), Config(0, "boosting", PARAMS))
    finished = finish(material, rows.test, Answer.single("boosting", PARAMS), oof=outcome.oof)
    packed = pack(project, settings, finished, Origin(snapshot, question, 1.0))
    return Wide(project, settings, snapshot, question, rows.test, finished, packed)


def kept(wide: Wide) -> list[str]:
    return [column.name for column in wide.predictor.columns]


def test_the_ratio_is_made_and_the_noise_is_not_asked_for(wide: Wide) -> None:
    assert "price / size" in wide.finished.preprocessor.feature_names
    assert {"price", "size"} <= set(kept(wide))
    assert len(kept(wide)) <= 8
    assert wide.packed.metrics["roc_auc"].value > 0.95
    assert wide.predictor.check_golden() >= 64


def test_a_request_has_the_kept_columns_and_may_have_the_others(wide: Wide) -> None:
    predictor = wide.predictor
    components: dict[str, Any] = openapi_components(predictor.manifest)
    assert components["Row"]["required"] == kept(wide)
    row = example_row(predictor.schema)
    assert list(row) == kept(wide)
    dropped = next(
        name for name in wide.snapshot.schema.names if name in wide.finished.stage.dropped
    )
    one, two = (predictor.predict_rows([r]) for r in (row, row | {dropped: "anything"}))
    assert one.scores.tobytes() == two.scores.tobytes()
    with pytest.raises(RequestError, match="'size': the column is missing"):
        predictor.predict_rows([{k: v for k, v in row.items() if k != "size"}])
    with pytest.raises(RequestError, match="has no such column"):
        predictor.predict_rows([row | {"n9999": 1.0}])


def test_rows_of_the_table_get_one_answer_through_both_doors(wide: Wide) -> None:
    table = next(iter(wide.snapshot.blocks())).slice(0, 50)
    rows = table.select(kept(wide)).to_pylist()
    batch, online = wide.predictor.predict_table(table), wide.predictor.predict_rows(rows)
    assert batch.scores.tobytes() == online.scores.tobytes()


def test_the_card_says_what_was_made_and_dropped(wide: Wide) -> None:
    card = (wide.packed.version.path / "card.md").read_text()
    assert "## Columns" in card
    assert "price / size" in card
    assert f"| asked for | {len(kept(wide))} |" in card
    assert "| not asked for | n" in card
    manifest = read_json(wide.packed.version.path / "manifest.json")
    roles = {column["name"]: column["role"] for column in manifest["schema"]["columns"]}
    assert [name for name, role in roles.items() if role == "feature"] == kept(wide)


def test_a_model_of_few_columns_is_compared_and_refitted_like_any_other(wide: Wide) -> None:
    made = promote_if_better(
        wide.settings,
        wide.packed,
        snapshot=wide.snapshot,
        question=wide.question,
        finished=wide.finished,
        test=wide.test,
    )
    assert made.alias == CHAMPION
    version, packed, again = refit_artifact(
        wide.project, wide.snapshot, settings=wide.settings, parent=wide.packed.version
    )
    assert "price / size" in again.preprocessor.feature_names
    second = promote_if_better(
        wide.settings,
        packed,
        snapshot=wide.snapshot,
        question=wide.question,
        finished=again,
        test=wide.test,
    )
    assert second.champion_value is not None  # the narrow champion reads the wide table
    assert second.previous == wide.packed.version.version
    assert version.version == 2


def test_a_retrain_keeps_the_columns_that_live_rows_have(wide: Wide) -> None:
    registry = Registry(wide.settings)
    before = registry.alias("dear", CHAMPION)
    if before != wide.packed.version.version:
        registry.promote("dear", wide.packed.version.version, expected=before)
    n_rows, start = 700, datetime(2026, 1, 1, tzinfo=UTC)
    live = rows_of(n_rows, seed=3)
    ids = [f"id-{k}" for k in range(n_rows)]
    at = pa.array([start + timedelta(seconds=k) for k in range(n_rows)], pa.timestamp("us", "UTC"))
    predictions, labels = log_tables(wide.settings.live, "dear")
    answered = {name: live[name] for name in kept(wide)}  # the log holds what requests had
    write_deltalake(str(predictions), pa.table(answered | {"__id": ids, "__at": at}))
    times = {"observed_at": at, "received_at": at}
    truth = {"id": ids, "label": live["dear"], "source": [""] * n_rows}
    write_deltalake(str(labels), pa.table({**truth, **times}))
    record = run_retrain(wide.project, wide.settings)
    made = Predictor.load(registry.require("dear", record.version).path)
    assert [column.name for column in made.columns] == kept(wide)
    assert record.labels == n_rows
    assert record.metrics["accuracy"]["value"] is not None
    assert record.metrics["accuracy"]["value"] > 0.85
