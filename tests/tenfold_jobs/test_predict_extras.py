"""``tenfold predict --interval --explain``: the endpoint's own numbers, in a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from tenfold.artifact import CONFORMAL_FILE
from tenfold.canonical import canonical_json
from tenfold.errors import UserError
from tenfold.evaluation import Intervals, Sets
from tenfold.features import encode_table
from tenfold.inference import Predictor, pack_artifact
from tenfold.project import Project, load_project
from tenfold.registry import Registry
from tenfold.settings import Settings
from tenfold.testing.artifacts import small_files
from tenfold.testing.mixed import mixed_table
from tenfold_jobs.predict import run_predict

PROJECT = """
name: mixed
problem: {task: binary, target: label}
data: {sources: [{name: rows, type: file, path: rows.csv}], key: id}
"""
LIMITS = {
    "linear": Sets.fit(np.tile([[0.3, 0.7]], (300, 1)), np.arange(300) % 2),
    "dummy": Intervals.fit(np.zeros((300, 1)), np.arange(300.0) - 150.0),
}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    path = tmp_path / "project.yaml"
    path.write_text(PROJECT)
    pq.write_table(mixed_table(90, seed=9), tmp_path / "in.parquet")
    return load_project(path)


def publish(project: Project, settings: Settings, family: str, *, limits: bool = True) -> Predictor:
    files, draft = small_files(family)
    if limits and family in LIMITS:
        files[CONFORMAL_FILE] = canonical_json(LIMITS[family].to_dict())
    staged = settings.artifacts / "staged"
    draft = replace(draft, project=project.to_dict())
    pack_artifact(staged, files=files, manifest=draft, table=mixed_table(100))
    version = Registry(settings).publish(project.name, staged)
    Registry(settings).promote(project.name, version.version, expected=None)
    return Predictor.load(version.path)


@pytest.mark.parametrize("family", ["linear", "dummy", "kmeans"])
def test_a_file_gets_what_the_predictor_tells(
    project: Project, settings: Settings, tmp_path: Path, family: str
) -> None:
    predictor = publish(project, settings, family)
    output = tmp_path / "out.parquet"
    level = 0.9 if family in LIMITS else None
    given = {"input": tmp_path / "in.parquet", "output": output}
    run_predict(project, settings, level=level, explain=True, **given)
    got = pq.read_table(output)
    codes = encode_table(predictor.schema, mixed_table(90, seed=9))
    prediction = predictor.predict_codes(codes)
    told = predictor.explainer.explain(codes, prediction)
    for place, column in enumerate(predictor.columns):
        found = got[f"contribution_{column.name}"].to_numpy()
        assert np.allclose(found, told.contributions[:, place])
    assert np.array_equal(got["explanation_base"].to_numpy(), told.base)
    if family == "dummy":
        limits = predictor.conformal
        assert isinstance(limits, Intervals)
        ends = np.column_stack([got[f"interval_{end}"].to_numpy() for end in ("lower", "upper")])
        assert np.array_equal(ends, limits.bounds(prediction.scores, 0.9))
    if family == "linear":
        expected = [
            "|".join(name for name, inside in zip(predictor.classes, row, strict=True) if inside)
            for row in predictor.sets(prediction, 0.9)
        ]
        assert got["set"].to_pylist() == expected
    run_predict(project, settings, **given)  # the same output asked for without: scored anew
    assert "explanation_base" not in pq.read_table(output).column_names


def test_a_row_that_cannot_be_read_has_no_interval_either(
    project: Project, settings: Settings, tmp_path: Path
) -> None:
    publish(project, settings, "linear")
    table = mixed_table(20)
    amounts = [str(value) for value in table["amount"].to_pylist()]
    amounts[3] = "plenty"
    place = table.column_names.index("amount")
    pacsv.write_csv(table.set_column(place, "amount", pa.array(amounts)), tmp_path / "in.csv")
    output = tmp_path / "out.parquet"
    given = {"input": tmp_path / "in.csv", "output": output}
    run_predict(project, settings, level=0.9, explain=True, **given)
    got = pq.read_table(output)
    assert got.num_rows == 20
    assert [k for k, value in enumerate(got["set"].to_pylist()) if value is None] == [3]
    assert got["contribution_amount"].null_count == 1


def test_what_the_model_cannot_give_is_refused_before_a_row_is_read(
    project: Project, settings: Settings, tmp_path: Path
) -> None:
    given = {"input": tmp_path / "in.parquet", "output": tmp_path / "out.parquet"}
    publish(project, settings, "dummy")
    with pytest.raises(UserError, match=r"from 0\.5 to what the model's 300 rows can prove, 0\.99"):
        run_predict(project, settings, level=0.999, **given)
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.parametrize(("family", "why"), [("linear", "train it again"), ("kmeans", "segments")])
def test_a_model_without_limits_says_why(
    project: Project, settings: Settings, tmp_path: Path, family: str, why: str
) -> None:
    given = {"input": tmp_path / "in.parquet", "output": tmp_path / "out.parquet"}
    publish(project, settings, family, limits=False)
    with pytest.raises(UserError, match=rf"needs a model with intervals or sets .*{why}"):
        run_predict(project, settings, level=0.9, **given)
