from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tenfold.artifact import FileEntry, Lineage, Manifest, ManifestDraft
from tenfold.canonical import sha256_hex
from tenfold.errors import ArtifactError
from tenfold.testing.mixed import mixed_schema

FILES = {
    name: FileEntry(3, sha256_hex(name.encode()))
    for name in ("preprocess.json", "model.onnx", "card.html")
}
DRAFT = ManifestDraft(
    project={"name": "p"},
    task="binary",
    schema=mixed_schema(),
    classes=("no", "yes"),
    engine="onnx",
    lineage=Lineage(snapshot="s", folds="f", code="c", seed=0, params={"a": 1}, family="linear"),
    metrics={"roc_auc": {"value": 0.9}},
    gates=[{"gate": "roc_auc >= 0.9", "value": 0.9, "holds": True}],
    created="2031-05-04T13:30:00+00:00",
)


def test_round_trip_through_bytes() -> None:
    manifest = DRAFT.sealed(FILES)
    again = Manifest.from_dict(json.loads(manifest.to_bytes()))
    assert again == manifest
    assert again.digest == sha256_hex(manifest.to_bytes())
    assert (again.project_name, again.n_scores, again.engine_files) == ("p", 2, ("model.onnx",))


def test_defaults_of_a_binary_task() -> None:
    manifest = DRAFT.sealed(FILES)
    assert (manifest.threshold, manifest.positive_class) == (0.5, "yes")
    regression = replace(DRAFT, task="regression", classes=()).sealed(FILES)
    assert (regression.threshold, regression.positive_class) == (None, None)
    assert regression.n_scores == 1


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"created": "2032-01-01T00:00:00+00:00"}, True),
        ({"metrics": {}}, True),
        ({"project": {"name": "q"}}, True),
        ({"threshold": 0.4}, False),
        ({"positive_class": "no"}, False),
        ({"classes": ("yes", "no")}, False),
    ],
)
def test_the_model_digest_is_what_decides_an_answer(change: dict[str, Any], *, same: bool) -> None:
    one, other = DRAFT.sealed(FILES), replace(DRAFT, **change).sealed(FILES)
    assert (one.model_digest == other.model_digest) is same
    assert one.digest != other.digest


def test_the_model_digest_follows_the_scorer_and_not_the_card() -> None:
    base = DRAFT.sealed(FILES).model_digest
    other = FileEntry(4, sha256_hex(b"other"))
    assert DRAFT.sealed(FILES | {"card.html": other}).model_digest == base
    for name in ("preprocess.json", "model.onnx"):
        assert DRAFT.sealed(FILES | {name: other}).model_digest != base


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"engine": "torch"}, "engine is one of onnx, xgboost, arrays, blend, not 'torch'"),
        ({"engine": "xgboost"}, "needs arch.json, model.ubj"),
        ({"task": "ranking"}, "task is one of"),
        ({"classes": ("a", "b", "c")}, "a binary model has 3 classes"),
        ({"classes": ("a", "a")}, "none twice"),
        ({"task": "regression"}, "a regression model has 2 classes"),
        ({"positive_class": "maybe"}, "positive_class is one of"),
        ({"threshold": "0.5"}, "threshold is a number"),
        ({"metrics": {"x": float("nan")}}, "finite JSON values"),
        ({"project": {}}, "project.name has a wrong type"),
    ],
)
def test_a_draft_that_breaks_a_law_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ArtifactError, match=message):
        replace(DRAFT, **change).sealed(FILES)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 2}, "has format 2 and this tenfold reads 1; upgrade tenfold"),
        ({"format_version": 0}, "has format 0 and this tenfold reads 1; publish the model again"),
        ({"format_version": None}, "with a format_version"),
        ({"class": "os.system"}, "unknown .'class'."),
        ({"files": []}, "files has a wrong type"),
        ({"lineage": {"family": "linear"}}, "lineage has exactly the fields"),
        ({"classes": [1, 2]}, "classes are texts"),
        ({"model_digest": "0" * 64}, "model_digest is"),
        ({"schema": {"columns": [{"name": "a"}]}}, "is broken"),
    ],
)
def test_a_tampered_manifest_is_refused(change: dict[str, Any], message: str) -> None:
    value = json.loads(DRAFT.sealed(FILES).to_bytes())
    with pytest.raises(ArtifactError, match=message):
        Manifest.from_dict(value | change)


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "a/b", "", ".hidden", "A.json", "a\0", "x" * 65, "..", "é"]
)
def test_a_file_name_that_leaves_the_folder_is_refused(name: str) -> None:
    value = json.loads(DRAFT.sealed(FILES).to_bytes())
    value["files"][name] = {"size": 1, "sha256": "0" * 64}
    with pytest.raises(ArtifactError, match="a file of an artifact is named"):
        Manifest.from_dict(value)


@pytest.mark.parametrize(
    "entry",
    [
        {"size": -1, "sha256": "0" * 64},
        {"size": True, "sha256": "0" * 64},
        {"size": 1, "sha256": "z" * 64},
        {"size": 1},
        {"size": 1, "sha256": "0" * 64, "url": "http://x"},
        "model.onnx",
    ],
)
def test_a_broken_file_entry_is_refused(entry: object) -> None:
    value = json.loads(DRAFT.sealed(FILES).to_bytes())
    value["files"]["card.html"] = entry
    with pytest.raises(ArtifactError):
        Manifest.from_dict(value)


@pytest.mark.parametrize("value", [None, [], 1, "x", {}])
def test_what_is_no_manifest_is_refused(value: object) -> None:
    with pytest.raises(ArtifactError, match="format_version"):
        Manifest.from_dict(value)


def test_a_number_that_is_not_finite_is_refused_wherever_it_is() -> None:
    """JSON reads one from 1e999, and writes none."""
    text = DRAFT.sealed(FILES).to_bytes().decode()
    assert '"value":0.9,' in text or '"value":0.9}' in text
    with pytest.raises(ArtifactError, match=r"manifest\.json is broken"):
        Manifest.from_dict(json.loads(text.replace('"value":0.9', '"value":1e999')))
