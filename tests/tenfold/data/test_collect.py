"""Bad input: one clear message, and nothing is left behind."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tenfold.canonical import canonical_json
from tenfold.data import prepare
from tenfold.errors import DataError
from tenfold.settings import Settings

ROWS = [f"{i},{'a' if i % 2 else 'b'},{'yes' if i % 3 else 'no'}" for i in range(60)]


def _refused(path: Path, settings: Settings, make_project: Any, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        prepare(make_project(path, **options), settings=settings)
    left = [p for p in settings.snapshots.rglob("*") if p.is_file() and p.name != ".lock"]
    assert left == []
    assert not list(settings.snapshots.rglob(".work-*"))
    return str(caught.value)


def _write(folder: Path, text: str) -> Path:
    path = folder / "t.csv"
    path.write_text(text)
    return path


def test_a_missing_file(tmp_path: Path, settings: Settings, make_project: Any) -> None:
    assert _refused(tmp_path / "t.csv", settings, make_project) == (
        f"source 't': there is no file {tmp_path / 't.csv'}; correct the path "
        "(relative paths start at the project file's folder)"
    )


def test_an_empty_file(tmp_path: Path, settings: Settings, make_project: Any) -> None:
    path = _write(tmp_path, "")
    assert _refused(path, settings, make_project) == (
        f"source 't': {path} is empty (0 bytes); give a header and at least one row"
    )


@pytest.mark.parametrize("text", ["x,c,y", "x,c,y\n"])
def test_a_header_alone(tmp_path: Path, settings: Settings, make_project: Any, text: str) -> None:
    assert _refused(_write(tmp_path, text), settings, make_project) == (
        "source 't' has no rows, only a header of 3 columns; give at least one row"
    )


def test_blank_lines_are_no_rows(tmp_path: Path, settings: Settings, make_project: Any) -> None:
    message = _refused(_write(tmp_path, "x,c,y\n\n \n\n"), settings, make_project)
    assert message == "source 't' has no rows; give at least one row"


def test_an_unknown_target(tmp_path: Path, settings: Settings, make_project: Any) -> None:
    path = _write(tmp_path, "\n".join(["x,c,y", *ROWS]))
    assert _refused(path, settings, make_project, target="z") == (
        "the target must be a column of the table: 'z' is not among 'x', 'c', 'y'; "
        "correct the name in the project file"
    )


def test_a_target_with_one_class(tmp_path: Path, settings: Settings, make_project: Any) -> None:
    path = _write(tmp_path, "\n".join(["x,c,y", *(f"{i},a,yes" for i in range(30))]))
    assert _refused(path, settings, make_project) == (
        "target 'y' must have at least two classes, and every row has 'yes'; "
        "give rows of another class or choose another target"
    )


def test_a_binary_task_with_three_classes(
    tmp_path: Path, settings: Settings, make_project: Any
) -> None:
    path = _write(tmp_path, "\n".join(["x,c,y", *ROWS, "1,a,maybe"]))
    assert _refused(path, settings, make_project) == (
        "a binary task needs two classes, and target 'y' has 3 ('maybe', 'no', 'yes'); "
        "set task: multiclass or mend the labels"
    )


def test_a_positive_class_that_is_none(
    tmp_path: Path, settings: Settings, make_project: Any
) -> None:
    path = _write(tmp_path, "\n".join(["x,c,y", *ROWS]))
    assert _refused(path, settings, make_project, problem={"positive_class": "YES"}) == (
        "problem.positive_class must be a class of 'y': 'YES' is not among 'no', 'yes'; "
        "correct it in the project file"
    )


def test_too_many_classes(tmp_path: Path, settings: Settings, make_project: Any) -> None:
    path = _write(tmp_path, "\n".join(["x,c,y", *(f"{i},a,k{i}" for i in range(1001))]))
    assert _refused(path, settings, make_project, task="multiclass") == (
        "target 'y' may have at most 1000 classes, and has 1001; "
        "set task: regression or choose another target"
    )


def test_no_feature(tmp_path: Path, settings: Settings, make_project: Any) -> None:
    path = _write(tmp_path, "\n".join(["id,y", *(f"{i},{'ab'[i % 2]}" for i in range(60))]))
    assert _refused(path, settings, make_project) == (
        "a model needs at least one feature, and every column is ignored, target; "
        "declare a role or a kind under data.columns"
    )


def test_too_many_bad_rows(tmp_path: Path, settings: Settings, make_project: Any) -> None:
    bad = [f"{value},a,yes" for value in ("abc", "def", "ghi")]
    path = _write(tmp_path, "\n".join(["x,c,y", *ROWS[:3], *bad, "1,a", *ROWS[3:]]))
    assert _refused(path, settings, make_project, data={"columns": {"x": {"kind": "number"}}}) == (
        "source 't': 4 of 64 rows cannot be mended, more than prepare.max_bad_fraction allows "
        "(0.05): column 'x' is not a number in 3 rows (first: 'abc', row 4); has 2 cells, the "
        "header names 3 in 1 row (first: '1,a', row 7); fix the file, declare the column's kind "
        "under data.columns, or raise prepare.max_bad_fraction"
    )


def test_a_regression_on_texts_is_told_as_bad_rows(
    tmp_path: Path, settings: Settings, make_project: Any
) -> None:
    path = _write(tmp_path, "\n".join(["x,c,y", *ROWS]))
    message = _refused(path, settings, make_project, task="regression")
    assert "60 of 60 rows cannot be mended" in message
    assert "column 'y' is not a number in 60 rows (first: 'no', row 1)" in message


def test_too_few_rows(tmp_path: Path, settings: Settings, make_project: Any) -> None:
    path = _write(tmp_path, "\n".join(["x,c,y", *ROWS[:4]]))
    message = _refused(path, settings, make_project)
    assert message.endswith("lower train.folds or give more rows")


def test_duplicate_names_and_foreign_bytes_leave_nothing_behind(
    tmp_path: Path, settings: Settings, make_project: Any
) -> None:
    path = _write(tmp_path, "\n".join(["x,x,y", *ROWS]))
    assert "'x' names columns 1 and 2" in _refused(path, settings, make_project)
    path.write_bytes("x,c,y\n1,ü,yes\n2,b,no\n".encode("latin1"))
    assert "byte 0xFC at offset 8" in _refused(path, settings, make_project)


def test_a_category_of_too_many_values_is_refused_with_the_remedy(
    tmp_path: Path, settings: Settings, make_project: Any
) -> None:
    path = _write(tmp_path, "\n".join(["c,y", *(f"v{i},{'ab'[i % 2]}" for i in range(50_001))]))
    columns = {"columns": {"c": {"kind": "category"}}}
    message = _refused(path, settings, make_project, data=columns)
    assert message.startswith("column 'c': a category has at most 50000 different values")
    assert message.endswith("declare it as text or identifier")


FULL = """
import sys
from pathlib import Path
from tenfold.data import InProcess, prepare
from tenfold.errors import StoreError
from tenfold.project import load_project
from tenfold.settings import Settings
try:
    settings = Settings.from_env({"TENFOLD_HOME": sys.argv[2]})
    one = InProcess(n_threads=1)
    prepare(load_project(Path(sys.argv[1])), settings=settings, drivers=lambda _: one)
except StoreError as error:
    print(error)
"""


def test_a_disk_that_refuses_leaves_no_snapshot_and_the_next_run_goes_on(
    tmp_path: Path, lines: list[str], make_project: Any
) -> None:
    """A file size limit stands for the full disk: the same failing write, in a child process."""
    path = _write(
        tmp_path, "\n".join([*lines, *(f"{i}, Bonn,{i}.5,2024-01-01,no" for i in range(9000))])
    )
    project = make_project(path)
    file = tmp_path / "project.yaml"
    file.write_bytes(canonical_json(project.to_dict()))

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    done = subprocess.run(
        [sys.executable, "-c", FULL, str(file), str(tmp_path / "home")],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        preexec_fn=limit,
    )
    assert "could not be written: File too large" in done.stdout
    settings = Settings.from_env({"TENFOLD_HOME": str(tmp_path / "home")})
    assert not list(settings.snapshots.rglob("snapshot.json"))
    assert not list(settings.snapshots.rglob("*.tmp"))
    assert prepare(project, settings=settings).n_rows == 9600
