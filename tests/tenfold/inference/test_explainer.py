from __future__ import annotations

import dataclasses
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from onnx import helper, load_model_from_string

from tenfold.artifact import CONFORMAL_FILE, probe, read_artifact, write_artifact
from tenfold.canonical import canonical_json
from tenfold.errors import ArtifactError
from tenfold.evaluation import Sets
from tenfold.features import encode_table
from tenfold.inference import Predictor
from tenfold.inference.explainer import MAX_EXPLAINED, check_explainer, max_explained
from tenfold.models.onnx_graph import BUILDER_KEY
from tenfold.testing.artifacts import small_artifact, small_files
from tenfold.testing.mixed import mixed_table

METHODS = {
    "boosting": "tree paths",
    "linear": "coefficients",
    "dummy": "coefficients",
    "kmeans": "walks",
}


@pytest.mark.parametrize("family", METHODS)
def test_contributions_add_up_by_column_for_every_family(tmp_path: Path, family: str) -> None:
    small_artifact(tmp_path / "a", family=family)
    predictor = Predictor.load(tmp_path / "a")
    explainer = predictor.explainer
    codes = encode_table(predictor.schema, mixed_table(30, seed=5))
    prediction = predictor.predict_codes(codes)
    told = explainer.explain(codes, prediction)
    assert told.method == explainer.method == METHODS[family]
    assert told.columns == tuple(column.name for column in predictor.columns)
    assert told.contributions.shape == (30, len(told.columns))
    assert np.allclose(told.contributions.sum(axis=1), told.raw - told.base, atol=1e-9)
    if family in ("boosting", "linear"):
        assert told.of == ["yes"] * 30
        assert np.allclose(1 / (1 + np.exp(-told.raw)), prediction.scores[:, 1], atol=1e-5)
    elif family == "kmeans":
        assert told.of == prediction.values
        assert np.allclose(told.raw, prediction.scores.max(axis=1))
    else:
        assert told.of is None
        assert np.allclose(told.raw, prediction.scores[:, 0])
    assert check_explainer(explainer, predictor) >= 64


@pytest.mark.parametrize("engine", ["onnx", "xgboost"])
def test_sets_of_categories_are_answered_and_explained(tmp_path: Path, engine: str) -> None:
    small_artifact(tmp_path / "a", engine=engine, preparing={"categories": "native"})
    predictor = Predictor.load(tmp_path / "a")
    predictor.check_golden()
    table = mixed_table(30, seed=5)
    prediction = predictor.predict_table(table)
    alone = [predictor.predict_table(table.slice(k, 1)).scores[0] for k in range(30)]
    assert np.array_equal(prediction.scores, alone)
    codes = encode_table(predictor.schema, table)
    told = predictor.explainer.explain(codes, prediction)
    assert told.method == "tree paths"
    assert np.allclose(1 / (1 + np.exp(-told.raw)), prediction.scores[:, 1], atol=1e-5)
    assert check_explainer(predictor.explainer, predictor) >= 64
    assert not probe(tmp_path / "a", explain=True).reason


def test_the_positive_class_is_explained_wherever_it_stands(tmp_path: Path) -> None:
    """Log-odds of one of two classes are those of the other with the other sign."""
    told = []
    for positive in ("yes", "no"):
        files, draft = small_files("linear")
        draft = dataclasses.replace(draft, positive_class=positive)
        _pack(tmp_path / positive, files, draft)
        predictor = Predictor.load(tmp_path / positive)
        codes = encode_table(predictor.schema, mixed_table(9, seed=1))
        told.append(predictor.explainer.explain(codes, predictor.predict_codes(codes)))
    assert [one.of for one in told] == [["yes"] * 9, ["no"] * 9]
    assert np.allclose(told[0].contributions, -told[1].contributions)
    assert np.allclose(told[0].base, -told[1].base)


def _pack(folder: Path, files: dict[str, bytes], draft: object) -> None:
    from tenfold.inference import pack_artifact

    pack_artifact(folder, files=files, manifest=draft, table=mixed_table(100))  # type: ignore[arg-type]


def test_few_rows_are_explained_where_each_costs_many_answers(tmp_path: Path) -> None:
    small_artifact(tmp_path / "a", family="kmeans")
    small_artifact(tmp_path / "b", family="linear")
    assert max_explained(Predictor.load(tmp_path / "a")) == 50_000 // (64 * 8)
    assert max_explained(Predictor.load(tmp_path / "b")) == MAX_EXPLAINED


def test_a_booster_that_is_not_the_scorer_is_found_in_the_child(tmp_path: Path) -> None:
    """The ONNX graph answers, the booster explains: they must be one model, also where the graph
    comes from another version and is not built again."""
    small_artifact(tmp_path / "one", seed=0)
    small_artifact(tmp_path / "two", seed=1)
    one, two = (dict(read_artifact(tmp_path / name).files) for name in ("one", "two"))
    _, draft = small_files()
    graph = load_model_from_string(one["model.onnx"])
    helper.set_model_props(graph, {BUILDER_KEY: "0"})
    mixed = one | {"model.ubj": two["model.ubj"], "model.onnx": graph.SerializeToString()}
    write_artifact(tmp_path / "mixed", files=mixed, manifest=draft)
    assert probe(tmp_path / "mixed").ok  # it answers well, and nobody has asked why
    told = probe(tmp_path / "mixed", explain=True)
    assert "contributions to golden rows must add up to their scores" in told.reason
    with pytest.raises(ArtifactError, match=r"failed its probe: .*contributions"):
        _ = Predictor.load(tmp_path / "mixed").explainer


def test_a_booster_that_crashes_takes_only_the_child_along(tmp_path: Path) -> None:
    small_artifact(tmp_path / "good")
    files = dict(read_artifact(tmp_path / "good").files)
    _, draft = small_files()
    broken = files["model.ubj"][:200] + b"\xff" * 300 + files["model.ubj"][500:]
    write_artifact(tmp_path / "bad", files=files | {"model.ubj": broken}, manifest=draft)
    predictor = Predictor.load(tmp_path / "bad")
    with pytest.raises(ArtifactError, match="failed its probe"):
        _ = predictor.explainer
    assert len(predictor.predict_rows([]).values) == 0  # it still answers


def test_a_folder_that_is_gone_or_changed_is_refused(tmp_path: Path) -> None:
    small_artifact(tmp_path / "a", family="linear")
    predictor = Predictor.load(tmp_path / "a")
    weights = tmp_path / "a" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(ArtifactError, match="does not have the digest"):
        _ = predictor.explainer
    shutil.rmtree(tmp_path / "a")
    with pytest.raises(ArtifactError, match="is not a folder of an artifact"):
        _ = predictor.explainer


class Stuck(Predictor):
    """Its folder, which only what explains is read from, does not answer until it is let go."""

    asked, go = threading.Event(), threading.Event()

    @property
    def folder(self) -> Path | None:  # type: ignore[override]
        self.asked.set()
        self.go.wait()
        return self._folder

    @folder.setter
    def folder(self, folder: Path | None) -> None:
        self._folder = folder


def test_a_model_is_explained_while_another_s_explainer_is_being_loaded(tmp_path: Path) -> None:
    small_artifact(tmp_path / "a", family="linear")
    stuck, other = Stuck.load(tmp_path / "a"), Predictor.load(tmp_path / "a")
    with ThreadPoolExecutor(2) as pool:
        waits = [pool.submit(lambda: stuck.explainer) for _ in range(2)]
        try:
            assert stuck.asked.wait(60)
            assert other.explainer.method == "coefficients"
            assert not any(one.done() for one in waits)
        finally:
            stuck.go.set()
        first, second = (one.result(60) for one in waits)
    assert first is second  # loaded once


def test_limits_travel_with_the_artifact_and_belong_to_its_digest(tmp_path: Path) -> None:
    files, draft = small_files("linear")
    _pack(tmp_path / "old", files, draft)
    rng = np.random.default_rng(0)
    share = rng.random(400)
    made = Sets.fit(np.column_stack([1 - share, share]), (share > rng.random(400)).astype(int))
    limits = canonical_json(made.to_dict())
    _pack(tmp_path / "new", files | {CONFORMAL_FILE: limits}, draft)
    old, new = Predictor.load(tmp_path / "old"), Predictor.load(tmp_path / "new")
    assert old.conformal is None
    assert isinstance(new.conformal, Sets)
    assert new.conformal.to_dict() == made.to_dict()
    assert old.digest != new.digest


def test_broken_limits_do_not_pass_the_probe(tmp_path: Path) -> None:
    files, draft = small_files("linear")
    _pack(tmp_path / "a", files | {CONFORMAL_FILE: b'{"kind": "sets"}'}, draft)
    assert "conformal.json is broken" in probe(tmp_path / "a").reason
