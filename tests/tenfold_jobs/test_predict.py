from __future__ import annotations

import csv
import json
import resource
import tracemalloc
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from tenfold.data import read_batches
from tenfold.errors import ArtifactError, DataError, StoreError, UserError
from tenfold.inference import Predictor, pack_artifact
from tenfold.inference.pack import draft_predictor
from tenfold.progress import SILENT, Advance
from tenfold.project import Project, load_project
from tenfold.registry import Registry
from tenfold.settings import Settings
from tenfold.testing.artifacts import small_files
from tenfold.testing.mixed import mixed_table
from tenfold_jobs.predict import run_predict, score_file

PROJECT = """
name: mixed
problem: {{task: {task}, target: {target}}}
data: {{sources: [{{name: rows, type: file, path: rows.csv}}], key: id}}
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    pacsv.write_csv(mixed_table(50), tmp_path / "rows.csv")
    path = tmp_path / "project.yaml"
    path.write_text(PROJECT.format(task="binary", target="label"))
    return load_project(path)


def publish(project: Project, settings: Settings, family: str = "boosting") -> Predictor:
    files, draft = small_files(family)
    draft = replace(draft, project=project.to_dict())
    staged = settings.artifacts / "staged"
    pack_artifact(staged, files=files, manifest=draft, table=mixed_table(100))
    registry = Registry(settings)
    version = registry.publish(project.name, staged)
    registry.promote(project.name, version.version, expected=None)
    return Predictor.load(version.path)


def test_every_format_gets_the_bits_of_the_table_door(
    project: Project, settings: Settings, tmp_path: Path
) -> None:
    predictor = publish(project, settings)
    table = mixed_table(500, seed=9)
    expected = predictor.predict_table(table)
    pacsv.write_csv(table, tmp_path / "in.csv")
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=70)
    feather.write_feather(table, tmp_path / "in.arrow")
    lines = [json.dumps(row, default=str) for row in table.to_pylist()]
    (tmp_path / "in.jsonl").write_text("\n".join(lines) + "\n")
    for source in ("in.csv", "in.parquet", "in.jsonl", "in.arrow"):
        for output in ("out.csv", "out.parquet"):
            record = run_predict(
                project, settings, input=tmp_path / source, output=tmp_path / output
            )
            assert (record.rows, record.bad_cells, record.version) == (500, 0, 1)
            assert record.digest == predictor.digest
            read = pacsv.read_csv if output == "out.csv" else pq.read_table
            got = read(tmp_path / output)
            assert got.column_names == ["id", "prediction", "probability_no", "probability_yes"]
            assert got["prediction"].to_pylist() == expected.values
            assert got["id"].to_pylist() == table["id"].to_pylist()
            scores = np.column_stack([got["probability_no"], got["probability_yes"]])
            assert scores.tobytes() == expected.scores.tobytes()


def test_cells_are_read_as_when_the_model_was_made(
    project: Project, settings: Settings, tmp_path: Path
) -> None:
    predictor = publish(project, settings)
    header = "id,amount,age,member,color,city,since,constant,void"
    (tmp_path / "in.csv").write_text(
        f"{header}\n1, 2.5 ,39,true, blue ,city 001,2020-01-01T00:00:00Z,7,\n"
        "2,?,,NA,-,NULL,null,7,\n"
        "3,lots,39.5,perhaps,blue,city 001,yesterday,7,\n"
    )
    lines: list[str] = []
    record = run_predict(
        project,
        settings,
        input=tmp_path / "in.csv",
        output=tmp_path / "out.parquet",
        progress=Lines(lines),
    )
    got = pq.read_table(tmp_path / "out.parquet")
    clean = {
        "amount": 2.5,
        "age": 39,
        "member": True,
        "color": "blue",
        "city": "city 001",
        "since": "2020-01-01",
        "constant": 7.0,
        "void": None,
    }
    gone = dict.fromkeys(clean) | {"constant": 7.0}
    bad = gone | {"color": "blue", "city": "city 001"}
    expected = predictor.predict_rows([clean, gone, bad])
    assert got["probability_yes"].to_numpy().tobytes() == expected.scores[:, 1].copy().tobytes()
    assert record.bad_cells == 4
    assert record.problems == {
        "amount: is not a number": 1,
        "age: is not a whole number": 1,
        "member: is not true or false": 1,
        "since: is not a date or time": 1,
    }
    assert lines == [
        "4 cells could not be read and count as missing (most: 1 times amount: is not a number)"
    ]


class Lines:
    """A progress that keeps what it is told."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines

    def say(self, text: str) -> None:
        self._lines.append(text)

    def step(self, name: str, *, total: int | None = None) -> AbstractContextManager[Advance]:
        return SILENT.step(name, total=total)


def test_regression_has_numbers_and_no_probabilities(tmp_path: Path) -> None:
    predictor = draft_predictor(*small_files("dummy"))
    pq.write_table(mixed_table(10), tmp_path / "in.parquet")
    score_file(predictor, input=tmp_path / "in.parquet", output=tmp_path / "out.csv")
    got = pacsv.read_csv(tmp_path / "out.csv")
    assert got.column_names == ["prediction"]
    assert got["prediction"].type == pa.float64()


def test_without_a_champion_it_says_what_to_do(
    project: Project, settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="has no trained model yet; run `tenfold run` first"):
        run_predict(project, settings, input=tmp_path / "rows.csv", output=tmp_path / "o.csv")


def test_a_damaged_champion_is_not_used(
    project: Project, settings: Settings, tmp_path: Path
) -> None:
    predictor = publish(project, settings)
    version = Registry(settings).require(project.name)
    model = version.path / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"\0")
    with pytest.raises(ArtifactError, match=r"model\.onnx"):
        run_predict(project, settings, input=tmp_path / "rows.csv", output=tmp_path / "o.csv")
    assert not (tmp_path / "o.csv").exists()
    assert predictor.digest == version.model_digest


BAD_INPUTS = {
    "no.csv": (None, "there is no file"),
    "empty.csv": (b"", "is empty"),
    "header.csv": (b"id,amount,age,member,color,city,since,constant,void\n", "no rows"),
    "lacks.csv": (b"id,amount\n1,2\n", "lacks 'age', 'member'"),
    "latin.csv": (b"id,amount\n1,\xe9\n", "UTF-8"),
    "twice.csv": (b"amount,amount\n1,2\n", "amount"),
    "ragged.csv": (
        b"id,amount,age,member,color,city,since,constant,void\n1,2\n",
        "mend that row",
    ),
    "bad.parquet": (b"PAR1 is not enough", "Parquet"),
}


@pytest.mark.parametrize("name", BAD_INPUTS)
def test_bad_input_is_refused_and_nothing_is_left(tmp_path: Path, name: str) -> None:
    data, message = BAD_INPUTS[name]
    predictor = draft_predictor(*small_files("linear"))
    if data is not None:
        (tmp_path / name).write_bytes(data)
    (tmp_path / "out.csv").write_text("the old answers")
    before = {path.name for path in tmp_path.iterdir()}
    with pytest.raises(DataError, match=message):
        score_file(predictor, input=tmp_path / name, output=tmp_path / "out.csv")
    assert {path.name for path in tmp_path.iterdir()} == before
    assert (tmp_path / "out.csv").read_text() == "the old answers"


def test_bad_outputs_are_refused(tmp_path: Path) -> None:
    predictor = draft_predictor(*small_files("linear"))
    source = tmp_path / "in.csv"
    pacsv.write_csv(mixed_table(3), source)
    for output, message in [
        (tmp_path / "out.xlsx", r"ends in \.csv or \.parquet"),
        (tmp_path / "no" / "out.csv", "does not exist; make it first"),
        (source, "is the input"),
    ]:
        with pytest.raises(DataError, match=message):
            score_file(predictor, input=source, output=output)


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, name: str) -> None:
    predictor = draft_predictor(*small_files("linear"))
    pacsv.write_csv(mixed_table(20_000), tmp_path / "in.csv")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(StoreError, match=f"{name} could not be written"):
            score_file(predictor, input=tmp_path / "in.csv", output=tmp_path / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path.name for path in tmp_path.iterdir()} == {"in.csv"}


def test_a_place_that_takes_no_file_is_the_store_s_refusal(tmp_path: Path) -> None:
    predictor = draft_predictor(*small_files("linear"))
    pacsv.write_csv(mixed_table(3), tmp_path / "in.csv")
    long = tmp_path / f"{'n' * 240}.csv"  # with the ending of an unfinished file: over 255 bytes
    for output, why in ((long, "File name too long"), (Path("/proc/tenfold.csv"), "No such file")):
        with pytest.raises(StoreError, match=f"could not be written .{why}.* write elsewhere"):
            score_file(predictor, input=tmp_path / "in.csv", output=output)
    assert {path.name for path in tmp_path.iterdir()} == {"in.csv"}


def test_memory_holds_one_batch_and_not_the_file(tmp_path: Path) -> None:
    predictor = draft_predictor(*small_files("linear"))
    small, large = tmp_path / "small.csv", tmp_path / "large.csv"
    table = mixed_table(20_000)
    pacsv.write_csv(pa.concat_tables([table] * 3), small)
    pacsv.write_csv(pa.concat_tables([table] * 9), large)
    assert len(list(read_batches(large))) > 8
    peaks = []
    for source in (small, large):
        score_file(predictor, input=source, output=tmp_path / "warm.csv")
        tracemalloc.start()
        before = pa.total_allocated_bytes()
        score_file(predictor, input=source, output=tmp_path / "out.parquet")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert pa.total_allocated_bytes() - before < 8 * 2**20
    assert peaks[1] < 1.3 * peaks[0]


def test_keys_that_would_run_in_a_spreadsheet_are_marked(
    project: Project, settings: Settings, tmp_path: Path
) -> None:
    publish(project, settings)
    table = mixed_table(4, seed=3)
    keys = ["=1+1", "-5", "@x", "k"]
    table = table.set_column(table.column_names.index("id"), "id", pa.array(keys))
    pacsv.write_csv(table, tmp_path / "in.csv")
    run_predict(project, settings, input=tmp_path / "in.csv", output=tmp_path / "out.csv")
    run_predict(project, settings, input=tmp_path / "in.csv", output=tmp_path / "out.parquet")
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == ["'=1+1", "-5", "'@x", "k"]
    assert pq.read_table(tmp_path / "out.parquet")["id"].to_pylist() == keys
