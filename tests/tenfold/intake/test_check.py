from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tenfold.errors import ProjectError
from tenfold.intake.check import Notice, check_project, refuse_errors
from tenfold.project import Project

ROWS = [(n, n % 7, "yes" if n % 4 == 0 else "no") for n in range(200)]


def project(
    tmp_path: Path,
    problem: dict[str, Any] | None = None,
    *,
    text: str | None = None,
    **sections: Any,
) -> Project:
    lines = [",".join(map(str, row)) for row in ROWS]
    (tmp_path / "t.csv").write_text(text or "\n".join(["a,b,y", *lines, ""]))
    data = {"sources": [{"path": "t.csv"}], **sections.pop("data", {})}
    raw = {"problem": problem or {"task": "binary", "target": "y"}, "data": data, **sections}
    return Project.from_dict(raw, folder=tmp_path)


def errors(notices: list[Notice]) -> list[str]:
    return [f"{n.where}: {n.message}" for n in notices if n.level == "error"]


def test_a_sound_project(tmp_path: Path) -> None:
    notices = check_project(project(tmp_path))
    assert [str(notice) for notice in notices] == [
        "info: prepare.test_fraction: 200 rows, 3 columns; a sealed 20% (about 40 rows) judge"
    ]
    refuse_errors(notices)


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (
            {"task": "binary", "target": "Y"},
            "problem.target: must be a column of the table; found 'Y'; the header has a, b, y",
        ),
        (
            {"task": "binary", "target": "y", "positive_class": "yess"},
            "problem.positive_class: must be a class of 'y': 'no', 'yes'; found 'yess'; "
            "did you mean 'yes'?",
        ),
        (
            {"task": "binary", "target": "b"},
            "problem.task: must have two classes for binary; 'b' has 7: "
            "'0', '1', '2', '3', '4', '5', '6'; write 'task: multiclass'",
        ),
        (
            {"task": "regression", "target": "y"},
            "problem.target: must be numbers for regression; 100% of 'y' are not; "
            "write 'task: multiclass' or mend them",
        ),
    ],
)
def test_the_target(tmp_path: Path, problem: dict[str, Any], message: str) -> None:
    assert errors(check_project(project(tmp_path, problem))) == [message]


def test_one_class(tmp_path: Path) -> None:
    found = check_project(project(tmp_path, text="a,y\n1,no\n2,no\n"))
    assert errors(found) == [
        "problem.target: must have at least two different values; found one value only in 2 rows; "
        "choose another column"
    ]


def test_missing_targets(tmp_path: Path) -> None:
    text = "a,y\n" + "".join(f"{n},{('yes', 'no', '')[n % 3]}\n" for n in range(90))
    assert errors(check_project(project(tmp_path, text=text))) == [
        "problem.target: 33.3% of the rows have no target; they go to quarantine, "
        "more than max_bad_fraction 0.05; raise it"
    ]
    prepare = {"max_bad_fraction": 0.4}
    assert errors(check_project(project(tmp_path, text=text, prepare=prepare))) == []


def test_columns_that_are_not_there(tmp_path: Path) -> None:
    data = {"time": "day", "group": "aa", "key": ["a", "q"], "columns": {"z": {"role": "ignored"}}}
    assert errors(check_project(project(tmp_path, data=data))) == [
        "data.time: must be a column of the table; found 'day'; the header has a, b, y",
        "data.group: must be a column of the table; found 'aa'; did you mean 'a'?",
        "data.key: must be a column of the table; found 'q'; the header has a, b, y",
        "data.columns.z: must be a column of the table; found 'z'; the header has a, b, y",
    ]


def test_nothing_left_to_learn_from(tmp_path: Path) -> None:
    data = {"key": "a", "columns": {"b": {"role": "ignored"}}}
    assert errors(check_project(project(tmp_path, data=data))) == [
        "data: must leave at least one column to learn from; all 3 have another role; free one"
    ]


def test_a_missing_file_is_one_error(tmp_path: Path) -> None:
    made = project(tmp_path)
    (tmp_path / "t.csv").unlink()
    (notice,) = check_project(made)
    assert (notice.level, notice.where) == ("error", "data.sources[0].path")
    with pytest.raises(ProjectError, match=r"^data\.sources\[0\]\.path: source 't': there is no"):
        refuse_errors([notice])


def test_too_few_rows_for_the_folds(tmp_path: Path) -> None:
    found = check_project(project(tmp_path, text="a,y\n1,no\n2,yes\n3,no\n"))
    assert errors(found) == [
        "train.folds: must leave a test row and two training rows for each of 5 folds; "
        "the table has 3 rows; give more rows or use fewer folds"
    ]


def test_a_rare_class_is_a_warning(tmp_path: Path) -> None:
    text = "a,y\n" + "".join(f"{n},{'yes' if n < 5 else 'no'}\n" for n in range(100))
    warnings = [n for n in check_project(project(tmp_path, text=text)) if n.level == "warning"]
    assert [str(warning) for warning in warnings] == [
        "warning: train.folds: 'yes': fewer than 10 rows, too few for 5 folds; "
        "use fewer folds or merge rare classes"
    ]


def test_gates_and_the_rows_that_prove_them(tmp_path: Path) -> None:
    gates = ["accuracy >= 0.95", "roc_auc >= 0.7", "latency_p99_ms <= 20"]
    problem = {"task": "binary", "target": "y", "positive_class": "yes", "gates": gates}
    found = [str(notice) for notice in check_project(project(tmp_path, problem))]
    assert found == [
        "warning: problem.gates[0]: no score can prove 'accuracy >= 0.95': with about 40 test rows "
        "accuracy is known to +-0.068 (95 %); have at least 73 test rows or lower the gate",
        "info: prepare.test_fraction: 200 rows, 3 columns; a sealed 20% (about 40 rows) judge",
        "info: problem.gates[1]: with about 40 test rows roc_auc is known to +-0.201 (95 %): "
        "a measured 0.901 proves 'roc_auc >= 0.7'",
    ]


def test_clustering_needs_no_target(tmp_path: Path) -> None:
    assert errors(check_project(project(tmp_path, {"task": "clustering"}))) == []


def test_a_notice_as_json() -> None:
    assert Notice("info", "data", "fine").to_dict() == {
        "level": "info",
        "where": "data",
        "message": "fine",
    }
