from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenfold.errors import ProjectError
from tenfold.project import load_project

GOOD = """\
problem:
  task: binary
  target: salary
  positive_class: ">50K"
  gates: ["roc_auc >= 0.92", "latency_p99_ms <= 20"]
data:
  sources:
    - path: adult.csv
train: {budget: 1h30m, seed: 7}
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "p.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(tmp_path: Path, text: str) -> list[str]:
    """The lines of the error, without the folder of the test."""
    with pytest.raises(ProjectError) as caught:
        load_project(written(tmp_path, text))
    return str(caught.value).replace(f"{tmp_path}/", "").splitlines()


def test_a_good_file(tmp_path: Path) -> None:
    project = load_project(written(tmp_path, GOOD))
    assert (project.name, project.target, project.train.budget_s) == ("adult", "salary", 5400.0)
    assert [str(gate) for gate in project.problem.gates] == [
        "roc_auc >= 0.92",
        "latency_p99_ms <= 20",
    ]
    assert project.resolve(project.data.sources[0].path) == tmp_path / "adult.csv"


def test_every_fault_is_told_at_once_in_the_order_of_the_lines(tmp_path: Path) -> None:
    text = """\
problem:
  task: binary
  target: 5
  colour: red
data:
  sources:
    - {path: adult.csv, formt: csv}
  columns:
    age: {kind: numbr, role: target, minimum: "5"}
prepare: 5
train:
  budget: soon
  trials: 5.5
  folds: 1
monitor: {false_alarm: 0}
retrain: {enabled: 1}
"""
    assert refusal(tmp_path, text) == [
        "p.yaml:3: problem.target: must be text; found 5; put it in quotes",
        "p.yaml:4: problem.colour: must be a known key in 'problem'; known keys: task, target, "
        "positive_class, objective, quantile, metric, gates, costs",
        "p.yaml:7: data.sources[0].formt: must be a known key in 'data.sources[0]'; "
        "did you mean 'format'?",
        "p.yaml:9: data.columns.age.kind: must be one of number, integer, boolean, category, "
        "datetime, text, identifier, constant; found 'numbr'; did you mean 'number'?",
        "p.yaml:9: data.columns.age.minimum: must be a number; found '5'; write it without quotes",
        "p.yaml:9: data.columns.age.role: must be feature, ignored or weight; "
        "the target is named in problem.target; found 'target'",
        "p.yaml:10: prepare: must be a section of 'key: value' lines; found 5; "
        "indent its keys below it",
        "p.yaml:12: train.budget: must be a duration such as 60s, 10m or 1h30m; found 'soon'",
        "p.yaml:13: train.trials: must be a whole number; found 5.5; write digits without quotes",
        "p.yaml:14: train.folds: must be at least 2; found 1; choose a larger value",
        "p.yaml:15: monitor.false_alarm: must be above 0; found 0; choose a larger value",
        "p.yaml:16: retrain.enabled: must be true or false; found 1; write one of the two",
    ]


def test_laws_between_fields_name_the_field_s_line(tmp_path: Path) -> None:
    text = GOOD.replace('["roc_auc >= 0.92"', '["rmse <= 3"') + "  \nserve: {replicas: 2}\n"
    assert refusal(tmp_path, text) == [
        "p.yaml:5: problem.gates[0]: must use a metric that fits binary: roc_auc, "
        "average_precision, log_loss, brier, accuracy, balanced_accuracy, f1, precision, recall, "
        "latency_p50_ms, latency_p99_ms; found 'rmse <= 3'; choose one of these"
    ]


def test_missing_keys(tmp_path: Path) -> None:
    assert refusal(tmp_path, "data: {sources: [{path: a.csv}]}\n") == [
        "p.yaml:1: problem: must be there; add 'problem:'"
    ]
    assert refusal(tmp_path, "problem: {target: y}\ndata: {sources: []}\n") == [
        "p.yaml:1: problem.task: must be there; add 'task:'",
        "p.yaml:2: data.sources: must have at least one entry; found a list; add one",
    ]


def test_a_list_is_no_project(tmp_path: Path) -> None:
    assert refusal(tmp_path, "- a\n- b\n") == [
        "p.yaml:1: the file: must be a section of 'key: value' lines; found a list; "
        "indent its keys below it"
    ]


def test_a_key_without_a_value_means_its_default(tmp_path: Path) -> None:
    project = load_project(written(tmp_path, GOOD + "prepare:\n  # test_fraction: 0.1\nname:\n"))
    assert project.name == "adult"
    assert project.prepare.test_fraction == 0.2


def test_a_class_read_as_a_truth_value_must_be_quoted(tmp_path: Path) -> None:
    assert refusal(tmp_path, GOOD.replace('">50K"', "true")) == [
        "p.yaml:4: problem.positive_class: must be the class as text; YAML reads this as a bool: "
        "quote it; found true"
    ]


@pytest.mark.parametrize(("word", "text"), [("1", "1"), ("yes", "yes"), ('"0"', "0")])
def test_classes_written_plainly(tmp_path: Path, word: str, text: str) -> None:
    project = load_project(written(tmp_path, GOOD.replace('">50K"', word)))
    assert project.problem.positive_class == text


def test_a_gpu_is_the_project_s_word_for_cuda(tmp_path: Path) -> None:
    asked = GOOD.replace("seed: 7}", "seed: 7, device: gpu}")
    assert load_project(written(tmp_path, asked)).train.device == "gpu"
    assert refusal(tmp_path, asked.replace("gpu", "cuda")) == [
        "p.yaml:9: train.device: must be one of auto, cpu, gpu; found 'cuda'; choose one of these"
    ]


def test_a_long_wrong_value_is_cut(tmp_path: Path) -> None:
    (line,) = refusal(tmp_path, GOOD.replace("1h30m", "x" * 5000))
    assert len(line) < 200


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["problem", "task", "target", "data", "sources", "path", "gates", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(VALUES)
def test_any_values_load_or_are_refused_with_a_line(tmp_path: Path, value: object) -> None:
    import yaml

    path = tmp_path / "p.yaml"
    path.write_text(yaml.safe_dump(value, allow_unicode=True), encoding="utf-8")
    try:
        load_project(path)
    except ProjectError as error:
        assert all(line.startswith(str(path)) for line in str(error).splitlines())


def test_importing_the_project_is_light() -> None:
    heavy = ("ray", "torch", "xgboost", "pandas", "sklearn", "mlflow", "pyarrow", "numpy")
    code = (
        "import sys, tenfold.project, tenfold.intake.check, tenfold.intake.init\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
