from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.errors import ArtifactError
from tenfold.inference import Predictor
from tenfold.inference.pack import draft_predictor
from tenfold.schema import MISSING_MARKERS
from tenfold.testing.artifacts import small_artifact, small_files
from tenfold.testing.mixed import CITIES, COLORS, json_rows, mixed_schema, mixed_table
from tenfold.testing.predicting import PredictorConformance
from tenfold.testing.preprocessing import same_bits

KINDS = [
    ("boosting", "onnx"),
    ("boosting", "xgboost"),
    ("linear", "onnx"),
    ("linear", "arrays"),
    ("dummy", "arrays"),
    ("kmeans", "onnx"),
    ("kmeans", "arrays"),
]
PREDICTORS = {kind: draft_predictor(*small_files(kind[0], engine=kind[1])) for kind in KINDS}
TARGETED = draft_predictor(*small_files("boosting", preparing={"many": "target"}))
BENT = draft_predictor(*small_files("linear", preparing={"numbers": "power", "many": "hashed"}))

rows = st.lists(
    st.fixed_dictionaries(
        {
            "amount": st.none() | st.floats(allow_nan=False, allow_infinity=False),
            "age": st.none() | st.integers(-(2**53), 2**53),
            "member": st.none() | st.booleans(),
            "color": st.none() | st.sampled_from([*COLORS, "new"]),
            "city": st.none() | st.sampled_from([*CITIES[:5], "new"]),
            "since": st.none() | st.just("2020-02-29T12:00:00Z"),
            "constant": st.none() | st.just(7.0),
            "void": st.none() | st.floats(-1, 1),
        }
    ),
    min_size=1,
    max_size=8,
)


class TestBoostingOnnx(PredictorConformance):
    def predictor(self) -> Predictor:
        return PREDICTORS["boosting", "onnx"]


class TestBoostingNative(PredictorConformance):
    def predictor(self) -> Predictor:
        return PREDICTORS["boosting", "xgboost"]


class TestManyByTarget(PredictorConformance):
    def predictor(self) -> Predictor:
        return TARGETED


class TestPower(PredictorConformance):
    def predictor(self) -> Predictor:
        return BENT


class TestLinearOnnx(PredictorConformance):
    def predictor(self) -> Predictor:
        return PREDICTORS["linear", "onnx"]


class TestLinearArrays(PredictorConformance):
    def predictor(self) -> Predictor:
        return PREDICTORS["linear", "arrays"]


class TestDummyArrays(PredictorConformance):
    def predictor(self) -> Predictor:
        return PREDICTORS["dummy", "arrays"]


class TestClustersOnnx(PredictorConformance):
    def predictor(self) -> Predictor:
        return PREDICTORS["kmeans", "onnx"]


class TestClustersArrays(PredictorConformance):
    def predictor(self) -> Predictor:
        return PREDICTORS["kmeans", "arrays"]


@pytest.mark.parametrize("kind", KINDS)
@given(batch=rows)
@settings(max_examples=30, deadline=None)
def test_any_accepted_row_gets_one_finite_answer(
    kind: tuple[str, str], batch: list[dict[str, object]]
) -> None:
    predictor = PREDICTORS[kind]
    wanted = {column.name for column in predictor.columns}
    batch = [{k: v for k, v in row.items() if k in wanted} for row in batch]
    answer = predictor.predict_rows(batch)
    assert np.isfinite(answer.scores).all()
    for index, row in enumerate(batch):
        alone = predictor.predict_rows([row])
        assert same_bits(alone.scores[0], answer.scores[index])
        assert alone.values[0] == answer.values[index]


def test_a_loaded_artifact_answers_like_the_model_it_was_made_from(tmp_path: Path) -> None:
    manifest = small_artifact(tmp_path / "a")
    predictor = Predictor.load(tmp_path / "a", digest=manifest.digest)
    table = mixed_table(100, seed=4)
    made = PREDICTORS["boosting", "onnx"].predict_table(table)
    assert same_bits(predictor.predict_table(table).scores, made.scores)
    assert predictor.digest == manifest.model_digest
    assert predictor.classes == ("no", "yes")
    assert [c.name for c in predictor.columns][:2] == ["amount", "age"]
    assert predictor.check_golden() >= 64


def test_the_threshold_decides_a_binary_answer() -> None:
    files, draft = small_files("linear")
    table = mixed_table(200, seed=5)
    for threshold in (0.0, 0.3, 0.8, 1.1):
        predictor = draft_predictor(files, replace(draft, threshold=threshold))
        answer = predictor.predict_table(table)
        expected = np.where(answer.scores[:, 1] >= threshold, "yes", "no").tolist()
        assert answer.values == expected
        turned = draft_predictor(files, replace(draft, threshold=threshold, positive_class="no"))
        expected = np.where(answer.scores[:, 0] >= threshold, "no", "yes").tolist()
        assert turned.predict_table(table).values == expected


def test_regression_answers_numbers_and_clustering_segments() -> None:
    numbers = PREDICTORS["dummy", "arrays"].predict_table(mixed_table(5)).values
    assert all(isinstance(value, float) for value in numbers)
    answer = PREDICTORS["kmeans", "arrays"].predict_table(mixed_table(50))
    assert answer.values == [str(k) for k in answer.scores.argmax(axis=1)]
    assert set(answer.values) <= {"0", "1", "2"}


def test_parts_that_do_not_fit_are_refused() -> None:
    predictor = PREDICTORS["linear", "onnx"]
    other = PREDICTORS["kmeans", "onnx"]
    with pytest.raises(ArtifactError, match="different schemas"):
        Predictor(predictor.manifest, preprocessor=other.preprocessor, engine=OneScore())
    narrow = Predictor(predictor.manifest, preprocessor=predictor.preprocessor, engine=OneScore())
    with pytest.raises(ArtifactError, match=r"answered \(2, 1\) for 2 rows and 2 scores"):
        narrow.predict_table(mixed_table(2))
    with pytest.raises(ArtifactError, match=r"has no golden\.arrow"):
        narrow.check_golden()


class OneScore:
    """An engine that answers one number per row whatever the manifest says."""

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        return np.zeros((len(matrix), 1))


def test_importing_a_predictor_pulls_in_no_heavy_library() -> None:
    code = (
        "import sys, tenfold.inference, tenfold.features, tenfold.artifact\n"
        "heavy = {'ray', 'torch', 'xgboost', 'pandas', 'sklearn', 'mlflow', 'onnxruntime'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "kind", [("boosting", "onnx"), ("boosting", "xgboost"), ("linear", "arrays")]
)
def test_nothing_is_unpickled_while_a_model_loads(tmp_path: Path, kind: tuple[str, str]) -> None:
    small_artifact(tmp_path / "a", family=kind[0], engine=kind[1])
    code = (
        "import sys, pathlib\n"
        "def refuse(event, arguments):\n"
        "    if event == 'pickle.find_class':\n"
        "        raise RuntimeError(f'unpickled {arguments}')\n"
        "sys.addaudithook(refuse)\n"
        "from tenfold.inference import Predictor\n"
        "print(Predictor.load(pathlib.Path(sys.argv[1])).check_golden())\n"
        "import pickle\n"
        "try:\n"
        "    pickle.loads(pickle.dumps(pathlib.Path('x')))\n"
        "except RuntimeError:\n"
        "    print('the trap works')\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.split("\n")[1:2] == ["the trap works"], done.stderr
    assert int(done.stdout.split()[0]) >= 64


@pytest.mark.parametrize("markers", [None, ["none"], []])
def test_texts_mean_missing_as_in_the_table_that_it_was_trained_from(
    markers: list[str] | None,
) -> None:
    files, draft = small_files("boosting")
    prepare = {} if markers is None else {"prepare": {"missing_markers": markers}}
    predictor = draft_predictor(files, replace(draft, project={"name": "mixed", **prepare}))
    row = json_rows(mixed_schema(), mixed_table(1))[0]
    place = [column.name for column in predictor.columns].index("color")
    for text in ("NA", " none "):
        code = predictor.encoder.encode(row | {"color": text})[place]
        means = MISSING_MARKERS if markers is None else markers
        assert np.isnan(code) == (text.strip() in means)
    assert predictor.schema.digest() == draft.schema.digest()
