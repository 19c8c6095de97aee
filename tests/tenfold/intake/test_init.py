from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenfold.errors import DataError, ProjectError
from tenfold.intake.check import check_project
from tenfold.intake.init import init_project, plain, relative_path
from tenfold.project import Project, Task, load_project

TABLES = {
    "adult": ("salary", Task.BINARY, ">50K"),
    "telco-churn": ("Churn", Task.BINARY, "Yes"),
    "german-credit": ("class-label", Task.BINARY, "1"),
    "elec2": ("class", Task.BINARY, "1"),
    "king-county": ("Price", Task.REGRESSION, None),
    "bike": ("cnt", Task.REGRESSION, None),
    "diamonds": ("price", Task.REGRESSION, None),
    "penguins": ("species", Task.MULTICLASS, None),
    "mall-customers": (None, Task.CLUSTERING, None),
}


def made(table: Path, target: str | None, folder: Path) -> Project:
    output = folder / "project.yaml"
    output.write_text(init_project(table, target=target, output=output), encoding="utf-8")
    return load_project(output)


@pytest.mark.parametrize("stem", TABLES)
def test_every_real_table_gives_a_project_that_holds(
    stem: str, data_folder: Path, tmp_path: Path
) -> None:
    target, task, positive = TABLES[stem]
    project = made(data_folder / f"{stem}.csv", target, tmp_path)
    assert (project.name, project.problem.task, project.target) == (stem, task, target)
    assert project.problem.positive_class == positive
    assert project.resolve(project.data.sources[0].path).samefile(data_folder / f"{stem}.csv")
    assert [n for n in check_project(project) if n.level != "info"] == []


def test_json_lines_and_a_folder_make_projects_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "Daily Loans"
    folder.mkdir()
    for part in range(2):
        rows = [{"age": 20 + n % 40, "late": "yes" if n % 5 else "no"} for n in range(50)]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"part-{part}.jsonl").write_text(lines)
    one = made(folder / "part-1.jsonl", "late", tmp_path)
    assert (one.name, one.problem.task) == ("part-1", Task.BINARY)
    assert [n for n in check_project(one) if n.level == "error"] == []
    monkeypatch.chdir(folder)
    whole = made(Path(), "late", folder)
    assert (whole.name, whole.data.sources[0].path) == ("daily-loans", ".")
    assert "tenfold init" in (folder / "project.yaml").read_text().splitlines()[0]
    assert [n for n in check_project(whole) if n.level == "error"] == []


def test_the_real_tables_are_all_there(data_folder: Path) -> None:
    assert {path.stem for path in data_folder.glob("*.csv")} == set(TABLES)


def test_the_text_of_a_small_table(tmp_path: Path) -> None:
    table = tmp_path / "loans.csv"
    rows = [f"{n},{20 + n % 40},{'yes' if n % 5 == 0 else 'no'}\n" for n in range(100)]
    table.write_text("id,age,default\n" + "".join(rows))
    text = init_project(table, target="default", output=tmp_path / "p.yaml")
    assert (
        text
        == """\
# A first project file, from: tenfold init loans.csv --target default
# The table has 100 rows and 3 columns.
# Change what you know better; `tenfold check` says whether it still holds.
name: loans

problem:
  task: binary                      # 'default' has two classes: 'no' (80), 'yes' (20)
  target: default
  positive_class: "yes"             # probabilities, precision and recall speak of this class
  metric: roc_auc                   # what the search optimizes; or average_precision, log_loss, \
brier, accuracy, balanced_accuracy, f1, precision, recall
  # Gates must hold on rows that no training saw, or the model is not promoted.
  # Take the # off and set the bar that makes the model worth having:
  # gates:
  #   - roc_auc >= 0.8              # 0.5 is a coin, 1 ranks every pair right
  #   - latency_p99_ms <= 20        # 99 % of single rows answer within this
  # costs: {false_positive: 1, false_negative: 5}  # what a wrong answer costs; only the ratio \
counts

data:
  sources:
    - path: loans.csv
  # time: {order: rows}             # test on the newest rows, if the file is in order of time
  # key: id                         # names a row; never a feature
  # What was found in each column. To overrule, take the # off:
  # columns:
  #   id: {kind: identifier, role: ignored}  # whole numbers, all different, named like an \
identifier
  #   age: {kind: integer, role: feature}    # whole numbers from 20 to 59

train:
  budget: 60s                       # wall time of the search
  families: [linear, boosting, network]  # what is tried
  folds: 5                          # parts of cross-validation
  seed: 0                           # what all randomness starts from
"""
    )


def test_every_commented_line_holds_when_its_mark_is_taken_off(tmp_path: Path) -> None:
    table = tmp_path / "loans.csv"
    rows = [f"{n},2024-01-{1 + n % 28:02d},{n % 9}.5,{'ab'[n % 2]}\n" for n in range(100)]
    table.write_text("id,day,x: y,class\n" + "".join(rows))
    output = tmp_path / "p.yaml"
    text = init_project(table, target="class", output=output)
    marks = ("  # gates:", "  #   ", "  # costs:", "  # time:", "  # key:", "  # columns:")
    lines = [
        line.replace("  # ", "  ", 1) if line.startswith(marks) else line
        for line in text.splitlines()
    ]
    output.write_text("\n".join(lines))
    project = load_project(output)
    assert len(project.problem.gates) == 2
    assert project.data.time_column == "day"
    assert project.data.key == ("id",)
    assert set(project.data.columns) == {"id", "day", "x: y"}


def test_what_was_found_in_the_cells_is_written_as_comments(tmp_path: Path) -> None:
    table = tmp_path / "sales.csv"
    rows = [
        f"{n % 90}%;€ {1 + n % 9}.{100 + n},50;{1 + n % 28}/12/2021;{1 + n % 12}/{1 + n % 11}/2021;"
        f"u{n};{'#N/A' if n % 7 == 0 else n};{'ab'[n % 2]}\n"
        for n in range(200)
    ]
    table.write_text("rate;cost;day;other;name;part;class\n" + "".join(rows), encoding="utf-8")
    output = tmp_path / "p.yaml"
    text = init_project(table, target="class", output=output)
    found = {
        line.split(":")[0].strip("# "): line.strip("# ").split("  # ", 1)
        for line in text.splitlines()
        if line.startswith("  #   ") and "kind" in line
    }
    rules = {name: rule.split(": ", 1)[1].strip() for name, (rule, _) in found.items()}
    assert rules == {
        "rate": "{kind: number, role: feature}",
        "cost": "{kind: number, role: feature, decimal: comma}",
        "day": "{kind: datetime, role: feature, dates: day_first}",
        "other": "{kind: datetime, role: feature, dates: day_first}",
        "name": "{kind: identifier, role: ignored}",
        "part": "{kind: integer, role: feature}",
    }
    assert {name: why for name, (_, why) in found.items()} == {
        "rate": "percentages as fractions (12% is 0.12) from 0 to 0.89",
        "cost": "amounts in € with a decimal comma from 1100.5 to 9297.5",
        "day": "dates and times, day before month as 112 of 112 tell",
        "other": "dates and times, 178 may have day or month first: declare dates",
        "name": "100 % unique strings: an identifier",
        "part": "whole numbers from 1 to 199, 29 of 200 missing (#N/A 29)",
    }
    lines = text.splitlines()
    at = lines.index("  # columns:")
    lines[at:] = [line.replace("  # ", "  ", 1) for line in lines[at : at + 7]]
    output.write_text("\n".join(lines), encoding="utf-8")
    columns = load_project(output).data.columns
    assert (columns["cost"].decimal, columns["other"].dates) == ("comma", "day_first")


def test_parquet(tmp_path: Path) -> None:
    table = tmp_path / "t.parquet"
    pq.write_table(pa.table({"x": [float(n) for n in range(40)], "y": ["a", "b"] * 20}), table)
    assert made(table, "y", tmp_path).problem.task is Task.BINARY


def test_an_unknown_target(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("age,salary\n1,2\n")
    with pytest.raises(ProjectError) as caught:
        init_project(table, target="salry")
    assert str(caught.value) == (
        "--target: must be a column of t.csv; found 'salry'; did you mean 'salary'?"
    )


def test_a_missing_table(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file"):
        init_project(tmp_path / "gone.csv", target="y")


def test_paths_are_relative_where_the_two_places_meet(tmp_path: Path) -> None:
    table = tmp_path / "data" / "t.csv"
    assert relative_path(table, tmp_path) == "data/t.csv"
    assert relative_path(table, tmp_path / "projects") == "../data/t.csv"
    assert relative_path(Path("/elsewhere/t.csv"), tmp_path) == "/elsewhere/t.csv"


@given(st.text(max_size=30))
def test_plain_text_reads_back(text: str) -> None:
    import yaml

    if text.encode("utf-8", "ignore").decode() == text:
        assert yaml.safe_load(f"a: {plain(text)}") == {"a": text}


NAMES = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), min_size=1, max_size=12)
    .map(str.strip)
    .filter(bool),
    min_size=2,
    max_size=4,
    unique=True,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(NAMES)
def test_any_header_gives_a_file_that_loads(tmp_path: Path, names: list[str]) -> None:
    table = tmp_path / "t.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([[str(n), *["ab"[n % 2]] * (len(names) - 1)] for n in range(30)])
    try:
        project = made(table, names[-1], tmp_path)
    except DataError:  # the header itself is refused by the reader
        return
    assert project.target == names[-1]
