from __future__ import annotations

import csv
import json
import resource
import time
import tracemalloc
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from tenfold.artifact import PREPROCESS_FILE, REFERENCE_FILE
from tenfold.data import read_batches
from tenfold.errors import ArtifactError, DataError, RequestError, StoreError, UserError
from tenfold.features import encode_table
from tenfold.inference import Predictor, pack_artifact
from tenfold.monitor import FrozenBins, build_reference
from tenfold.profile import Profile
from tenfold.progress import SILENT, Advance
from tenfold.project import Project, load_project
from tenfold.registry import Registry
from tenfold.schema import Form, Schema
from tenfold.settings import Settings
from tenfold.testing.artifacts import small_files
from tenfold.testing.mixed import mixed_table
from tenfold_jobs.predict import run_predict
from tenfold_jobs.scoring import answer_file
from tests.command import start_tenfold

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


def publish(
    project: Project,
    settings: Settings,
    family: str = "boosting",
    forms: Mapping[str, Form] | None = None,
) -> Predictor:
    files, draft = small_files(family)
    if forms:
        columns = (replace(c, form=forms.get(c.name, c.form)) for c in draft.schema.columns)
        draft = replace(draft, schema=Schema(tuple(columns)))
        made = json.loads(files[PREPROCESS_FILE])
        files |= {PREPROCESS_FILE: json.dumps(made | {"schema": draft.schema.to_dict()}).encode()}
    codes = encode_table(draft.schema, mixed_table(1000))
    profile = Profile.from_table(mixed_table(1000), draft.schema)
    reference = build_reference(FrozenBins.freeze(draft.schema, profile), codes)
    files |= {REFERENCE_FILE: reference.to_bytes()}
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
            assert got.column_names == [
                "id", "prediction", "probability_no", "probability_yes",
                "model_version", "model_digest",
            ]  # fmt: skip
            assert set(got["model_version"].to_pylist()) == {1}
            assert set(got["model_digest"].to_pylist()) == {predictor.digest}
            assert got["prediction"].to_pylist() == expected.values
            assert got["id"].to_pylist() == table["id"].to_pylist()
            scores = np.column_stack([got["probability_no"], got["probability_yes"]])
            assert scores.tobytes() == expected.scores.tobytes()


def test_a_file_gets_the_bits_that_the_endpoint_gives_its_rows(
    settings: Settings, tmp_path: Path
) -> None:
    """As texts, as a CSV has them, and as JSON numbers: each by the forms of the model, which
    reads them all the same at both."""
    prepare = "prepare: {missing_markers: ['-999', none], trim: false}\n"
    pacsv.write_csv(mixed_table(50), tmp_path / "rows.csv")
    (tmp_path / "project.yaml").write_text(PROJECT.format(task="binary", target="label") + prepare)
    project = load_project(tmp_path / "project.yaml")
    forms = {
        "amount": Form("€", "comma"),
        "age": Form(decimal="comma"),
        "since": Form(dates="day_first"),
        "constant": Form("%"),
    }
    predictor = publish(project, settings, forms=forms)
    texts = [
        {"amount": "1.234,50 €", "age": "1.039", "member": "yes", "since": "3/4/2021"},
        {"amount": "-999", "age": "39", "member": "F", "since": "4 Mar 2021"},
        {"amount": "€ -2,5", "age": "none", "member": "0", "since": "none"},
        {"amount": "7", "age": "-999", "member": "none", "since": "2021-03-04T05:06:07+02:00"},
    ]
    more = {"color": "blue", "city": "city 001", "constant": "12 %", "void": "none"}
    numbers = [
        {"amount": 1.234, "age": 1039, "member": True, "since": "3/4/2021", "constant": 0.12},
        {"amount": -2.5, "age": None, "member": None, "since": None, "constant": 1e-7},
        {"amount": "1.234", "age": 39, "member": False, "since": None, "constant": "3%"},
    ]
    sent = [more | row for row in (*texts, *numbers)]
    plain = predictor.predict_rows(sent)
    assert len({*plain.scores[:, 0].tolist()}) > 3
    with (tmp_path / "in.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, [*sent[0]])
        table.writeheader()
        table.writerows([more | row for row in texts])
    lines = "\n".join(json.dumps(row) for row in sent)
    (tmp_path / "in.jsonl").write_text(lines)
    for name, n_rows in (("in.csv", 4), ("in.jsonl", 7)):
        output = tmp_path / "out.parquet"
        record = run_predict(project, settings, input=tmp_path / name, output=output)
        assert (record.rows, record.bad_cells) == (n_rows, 0), record.problems
        got = pq.read_table(output)
        scores = np.column_stack([got["probability_no"], got["probability_yes"]])
        assert scores.tobytes() == plain.scores[:n_rows].tobytes(), name
    for bad in ({"age": "1,5"}, {"age": 1.5}, {"amount": "1.23"}, {"constant": "0.12"}):
        with pytest.raises(RequestError, match=repr(next(iter(bad)))):
            predictor.predict_rows([sent[0] | bad])
        (tmp_path / "in.jsonl").write_text(json.dumps(sent[0] | bad))
        record = run_predict(project, settings, input=tmp_path / "in.jsonl", output=output)
        assert (record.answered, record.bad_cells) == (0, 1)


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
    expected = predictor.predict_rows([clean, gone])
    scores = got["probability_yes"].to_numpy()
    assert scores[:2].tobytes() == expected.scores[:, 1].copy().tobytes()
    assert got["prediction"].to_pylist() == [*expected.values, None]
    assert (record.rows, record.answered, record.bad_cells) == (3, 2, 4)
    assert record.problems == {
        "amount: is not a number": 1,
        "age: is not a whole number": 1,
        "member: is not true or false": 1,
        "since: is not a date or time": 1,
    }
    assert lines == [
        "1 rows got no answer, for 4 cells that could not be read "
        "(most: 1 times age: is not a whole number)"
    ]


WORDS = "Bl\u00e5 \u20ac"
"""Of cp1252 and not of latin-1: a wrong guess would show."""


def written_in(path: Path, encoding: str) -> None:
    table = mixed_table(40, seed=4)
    words = pa.array([f"{WORDS} {n}" for n in range(40)])
    place = table.column_names.index("id")
    pacsv.write_csv(table.set_column(place, "id", words), path)
    path.write_bytes(path.read_text().encode(encoding))


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-16-be"])
def test_csv_is_read_in_the_declared_encoding(
    project: Project, settings: Settings, tmp_path: Path, encoding: str
) -> None:
    publish(project, settings)
    written_in(tmp_path / "in.csv", encoding)
    written_in(tmp_path / "plain.csv", "utf-8")
    for name, asked in (("in", encoding), ("plain", "utf8")):
        record = run_predict(
            project,
            settings,
            input=tmp_path / f"{name}.csv",
            output=tmp_path / f"{name}.parquet",
            encoding=asked,
        )
        assert record.encoding == asked.replace("utf8", "utf-8")
    got, plain = (pq.read_table(tmp_path / name) for name in ("in.parquet", "plain.parquet"))
    assert got["id"][0].as_py() == f"{WORDS} 0"
    assert got.equals(plain)


def test_csv_is_read_as_the_projects_files_are(
    project: Project, settings: Settings, tmp_path: Path
) -> None:
    publish(project, settings)
    written_in(tmp_path / "in.csv", "cp1252")
    asked = {"input": tmp_path / "in.csv", "output": tmp_path / "out.parquet"}
    path = tmp_path / "project.yaml"
    text = path.read_text()
    path.write_text(text.replace("path: rows.csv", "path: rows.csv, encoding: windows-1252"))
    assert run_predict(load_project(path), settings, **asked).encoding == "cp1252"
    assert pq.read_table(tmp_path / "out.parquet")["id"][0].as_py() == f"{WORDS} 0"
    with pytest.raises(DataError, match=r"must be UTF-8.*at tenfold predict --encoding latin-1"):
        run_predict(project, settings, **asked)
    several = "path: rows.csv, encoding: cp1252}, {name: b, path: b.csv"
    path.write_text(text.replace("path: rows.csv", several))
    with pytest.raises(DataError, match="must be UTF-8"):  # two encodings: neither is guessed
        run_predict(load_project(path), settings, **asked)
    pq.write_table(mixed_table(5), tmp_path / "in.parquet")
    asked["input"] = tmp_path / "in.parquet"  # has an encoding of its own
    assert run_predict(project, settings, **asked, encoding="cp1252").answered == 5


def test_bytes_that_are_none_of_the_encoding_are_told_with_their_place(
    project: Project, settings: Settings, tmp_path: Path
) -> None:
    publish(project, settings)
    written_in(tmp_path / "in.csv", "cp1252")
    data = (tmp_path / "in.csv").read_bytes() + b"\x81"
    (tmp_path / "in.csv").write_bytes(data)
    asked = {"input": tmp_path / "in.csv", "output": tmp_path / "out.csv"}
    place = rf"must be cp1252, and byte 0x81 at offset {len(data) - 1} of .*in\.csv is not"
    with pytest.raises(DataError, match=place):
        run_predict(project, settings, **asked, encoding="cp1252")
    with pytest.raises(UserError, match=r"--encoding must be UTF-16 or .*, not 'klingon'"):
        run_predict(project, settings, **asked, encoding="klingon")
    assert not (tmp_path / "out.csv").exists()


class Lines:
    """A progress that keeps what it is told."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines

    def say(self, text: str) -> None:
        self._lines.append(text)

    def step(self, name: str, *, total: int | None = None) -> AbstractContextManager[Advance]:
        return SILENT.step(name, total=total)


def test_regression_has_numbers_and_no_probabilities(
    project: Project, settings: Settings, tmp_path: Path
) -> None:
    publish(project, settings, "dummy")
    pq.write_table(mixed_table(10).drop_columns(["id"]), tmp_path / "in.parquet")
    run_predict(project, settings, input=tmp_path / "in.parquet", output=tmp_path / "out.csv")
    got = pacsv.read_csv(tmp_path / "out.csv")
    assert got.column_names == ["row", "prediction", "model_version", "model_digest"]
    assert got["row"].to_pylist() == list(range(1, 11))
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
    "latin.csv": (b"id,amount,age,member,color,city,since,constant,void\n1,\xe9\n", "UTF-8"),
    "twice.csv": (b"amount,amount\n1,2\n", "amount"),
    "bad.parquet": (b"PAR1 is not enough", "Parquet"),
}


@pytest.mark.parametrize("name", BAD_INPUTS)
def test_bad_input_is_refused_and_nothing_is_left(
    project: Project, settings: Settings, tmp_path: Path, name: str
) -> None:
    data, message = BAD_INPUTS[name]
    publish(project, settings)
    if data is not None:
        (tmp_path / name).write_bytes(data)
    (tmp_path / "out.csv").write_text("the old answers")
    before = {path.name for path in tmp_path.iterdir()}
    with pytest.raises(DataError, match=message):
        run_predict(project, settings, input=tmp_path / name, output=tmp_path / "out.csv")
    assert {path.name for path in tmp_path.iterdir()} == before
    assert (tmp_path / "out.csv").read_text() == "the old answers"
    assert not list(settings.home.rglob(".work-*"))


def test_bad_outputs_are_refused(project: Project, settings: Settings, tmp_path: Path) -> None:
    publish(project, settings)
    source = tmp_path / "in.csv"
    pacsv.write_csv(mixed_table(3), source)
    for output, message in [
        (tmp_path / "out.xlsx", r"ends in \.csv or \.parquet"),
        (tmp_path / "no" / "out.csv", "does not exist; make it first"),
        (source, "is the input"),
    ]:
        with pytest.raises(DataError, match=message):
            run_predict(project, settings, input=source, output=output)


FULL = {
    "answers-0.*could not be written": ("out.parquet", 200_000),
    r"out\.csv could not be written": ("out.csv", 1_000_000),
}


@pytest.mark.parametrize("message", FULL)
def test_a_full_disk_leaves_nothing_half_written(
    project: Project, settings: Settings, tmp_path: Path, message: str
) -> None:
    publish(project, settings)
    name, most = FULL[message]
    pacsv.write_csv(pa.concat_tables([mixed_table(20_000)] * 4), tmp_path / "in.csv")
    before = {path.name for path in tmp_path.iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        with pytest.raises(StoreError, match=message):
            run_predict(project, settings, input=tmp_path / "in.csv", output=tmp_path / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path.name for path in tmp_path.iterdir()} == before
    record = run_predict(project, settings, input=tmp_path / "in.csv", output=tmp_path / name)
    # What was scored before the disk was full is not scored again.
    assert (record.resumed > 0) == (name == "out.csv")
    assert record.answered == record.rows == 80_000


def test_a_place_that_takes_no_file_is_the_store_s_refusal(
    project: Project, settings: Settings, tmp_path: Path
) -> None:
    publish(project, settings)
    pacsv.write_csv(mixed_table(3), tmp_path / "in.csv")
    before = {path.name for path in tmp_path.iterdir()}
    long = tmp_path / f"{'n' * 240}.csv"  # with the ending of an unfinished file: over 255 bytes
    for output, why in ((long, "File name too long"), (Path("/proc/tenfold.csv"), "No such file")):
        with pytest.raises(StoreError, match=f"could not be written .{why}.* write elsewhere"):
            run_predict(project, settings, input=tmp_path / "in.csv", output=output)
    assert {path.name for path in tmp_path.iterdir()} == before


def test_memory_holds_one_batch_and_not_the_file(
    project: Project, settings: Settings, tmp_path: Path
) -> None:
    publish(project, settings)
    small, large = tmp_path / "small.csv", tmp_path / "large.csv"
    table = mixed_table(20_000)
    pacsv.write_csv(pa.concat_tables([table] * 3), small)
    pacsv.write_csv(pa.concat_tables([table] * 9), large)
    assert len(list(read_batches(large))) > 8
    peaks = []
    for source in (small, large):
        run_predict(project, settings, input=source, output=tmp_path / "warm.csv")
        tracemalloc.start()
        before = pa.total_allocated_bytes()
        run_predict(project, settings, input=source, output=tmp_path / "out.parquet")
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


HEADER = "id,amount,age,member,color,city,since,constant,void"
GOOD = "{id},1.5,39,true,blue,city 001,2020-01-01T00:00:00Z,7,"


def write_rows(path: Path, rows: list[str]) -> None:
    path.write_text("\n".join([HEADER, *rows, ""]))


def bad_rows(n: int = 6) -> list[str]:
    rows = [GOOD.format(id=number) for number in range(n)]
    rows[1] = "1,lots,39,true,blue,city 001,2020-01-01T00:00:00Z,7,"
    rows[3] = "3,too,few"
    return rows


def test_a_bad_row_is_null_and_keeps_its_place_and_key(
    project: Project, settings: Settings, tmp_path: Path
) -> None:
    publish(project, settings)
    write_rows(tmp_path / "in.csv", bad_rows())
    record = run_predict(
        project, settings, input=tmp_path / "in.csv", output=tmp_path / "out.parquet"
    )
    got = pq.read_table(tmp_path / "out.parquet")
    assert got["id"].to_pylist() == ["0", "1", "2", None, "4", "5"]  # a ragged row has no key
    answered = [value is not None for value in got["prediction"].to_pylist()]
    assert answered == [True, False, True, False, True, True]
    assert got["probability_yes"].null_count == 2
    assert (record.rows, record.answered, record.bad_cells, record.quarantine) == (6, 4, 2, None)


def test_bad_rows_set_aside_are_named_with_their_cells(
    project: Project, settings: Settings, tmp_path: Path
) -> None:
    publish(project, settings)
    asked = {"input": tmp_path / "in.csv", "output": tmp_path / "out.csv"}
    write_rows(tmp_path / "in.csv", bad_rows())
    record = run_predict(project, settings, **asked, on_error="quarantine")
    with (tmp_path / "out.csv").open(newline="") as file:
        assert [row["id"] for row in csv.DictReader(file)] == ["0", "2", "4", "5"]
    assert record.quarantine == str(tmp_path / "out.quarantine.csv")
    with Path(record.quarantine).open(newline="") as file:
        bad = [(row["position"], row["column"], row["value"]) for row in csv.DictReader(file)]
    assert bad == [("2", "amount", "lots"), ("4", "", "3,too,few")]
    write_rows(tmp_path / "in.csv", [GOOD.format(id=1)])
    assert run_predict(project, settings, **asked, on_error="quarantine").quarantine is None
    assert not (tmp_path / "out.quarantine.csv").exists()  # it spoke of other rows


class Interrupted(Lines):
    """A progress at whose first piece somebody presses Ctrl-C, when a later one was found bad."""

    def __init__(self, store: Path) -> None:
        super().__init__([])
        self._store = store

    @contextmanager
    def step(self, name: str, *, total: int | None = None) -> Iterator[Advance]:
        def advance(n_done: int) -> None:
            if n_done:
                ends = time.monotonic() + 60
                while not [*self._store.rglob("problems-*.arrow")]:
                    assert time.monotonic() < ends
                    time.sleep(0.01)
                raise KeyboardInterrupt

        yield advance


def test_a_bad_row_can_stop_the_batch(project: Project, settings: Settings, tmp_path: Path) -> None:
    """Also one that was met, and not told of, by a command that was killed."""
    publish(project, settings)
    rows = [GOOD.format(id=number) for number in range(60_000)]
    rows[50_000] = rows[50_000].replace("39", "old")
    write_rows(tmp_path / "in.csv", rows)
    score = partial(
        run_predict,
        project,
        settings,
        input=tmp_path / "in.csv",
        output=tmp_path / "out.csv",
        on_error="fail",
    )
    with pytest.raises(KeyboardInterrupt):
        score(progress=Interrupted(Path(settings.store)))
    for _ in range(2):
        with pytest.raises(DataError, match=r"row 50001, column 'age': 'old' is not a whole"):
            score()
    assert not (tmp_path / "out.csv").exists()


def test_the_summary_names_the_columns_that_moved(
    project: Project, settings: Settings, tmp_path: Path
) -> None:
    publish(project, settings)
    table = mixed_table(2000, seed=5)
    place = table.column_names.index("amount")
    moved = pa.array(np.full(2000, 1e6))
    pq.write_table(table.set_column(place, "amount", moved), tmp_path / "in.parquet")
    lines: list[str] = []
    record = run_predict(
        project,
        settings,
        input=tmp_path / "in.parquet",
        output=tmp_path / "out.parquet",
        progress=Lines(lines),
    )
    name, view = next(iter(record.drift.items()))
    assert name == "amount"
    assert view["psi"] > 1.0
    assert view["out_of_range_ratio"] == 1.0
    assert "far from the training rows" in lines[-1]
    assert "amount" in lines[-1]


@pytest.mark.parametrize(
    ("driver", "local_bytes"),
    [("in-process", 2**30), pytest.param("ray-data", 0, marks=pytest.mark.slow)],
)
def test_a_killed_batch_goes_on_and_gives_the_same_file(
    driver: str,
    local_bytes: int,
    request: pytest.FixtureRequest,
    project: Project,
    settings: Settings,
    tmp_path: Path,
) -> None:
    publish(project, settings)
    pacsv.write_csv(pa.concat_tables([mixed_table(20_000)] * 6), tmp_path / "in.csv")
    asked = ("--input", str(tmp_path / "in.csv"), "--output", str(tmp_path / "out.parquet"))
    process = start_tenfold(
        "predict", str(tmp_path / "project.yaml"), *asked,
        home=settings.home, TENFOLD_LOCAL_BYTES=str(local_bytes),
    )  # fmt: skip
    while not list(settings.home.rglob(answer_file(Path(), 1).name)):
        assert process.poll() is None
        time.sleep(0.002)  # another process writes it, whole
    process.kill()
    process.wait()
    assert not (tmp_path / "out.parquet").exists()
    if driver == "ray-data":
        request.getfixturevalue("ray_session")
    record = run_predict(
        project,
        replace(settings, local_bytes=local_bytes),
        input=tmp_path / "in.csv",
        output=tmp_path / "out.parquet",
    )
    assert record.resumed >= 1 and record.driver == driver
    fresh = run_predict(
        project, settings, input=tmp_path / "in.csv", output=tmp_path / "fresh.parquet"
    )
    assert fresh.resumed == 0
    names = ("out.parquet", "fresh.parquet")
    one, other = (pq.read_table(tmp_path / name) for name in names)
    assert one.equals(other)
    assert one.num_rows == 120_000


def test_ray_data_gives_the_bits_of_one_process(
    ray_session: None, project: Project, settings: Settings, tmp_path: Path
) -> None:
    publish(project, settings)
    rows = mixed_table(30_000, seed=8)
    pacsv.write_csv(rows, tmp_path / "in.csv")
    tables = []
    for local_bytes, driver in ((2**30, "in-process"), (0, "ray-data")):
        record = run_predict(
            project,
            replace(settings, local_bytes=local_bytes),
            input=tmp_path / "in.csv",
            output=tmp_path / f"{driver}.parquet",
        )
        assert record.driver == driver
        tables.append(pq.read_table(record.output))
    assert tables[0].equals(tables[1])


def test_typed_files_among_texts_keep_their_numbers(settings: Settings, tmp_path: Path) -> None:
    """In a folder of both the columns are texts, and a number is no text in a decimal comma."""
    pacsv.write_csv(mixed_table(50), tmp_path / "rows.csv")
    (tmp_path / "project.yaml").write_text(PROJECT.format(task="binary", target="label"))
    project = load_project(tmp_path / "project.yaml")
    predictor = publish(project, settings, forms={"amount": Form("€", "comma")})
    table = mixed_table(20, seed=3)
    rows = tmp_path / "rows"
    rows.mkdir()
    texts = [None if v is None else repr(v).replace(".", ",") for v in table["amount"].to_pylist()]
    place = table.column_names.index("amount")
    pacsv.write_csv(table.set_column(place, "amount", pa.array(texts)), rows / "a.csv")
    pq.write_table(table, rows / "b.parquet")
    views = table.set_column(place, "amount", pa.array(texts, pa.string_view()))
    id_place = table.column_names.index("id")
    views = views.set_column(id_place, "id", table["id"].cast(pa.string_view()))
    feather.write_feather(views, rows / "c.arrow", compression="uncompressed")
    output = tmp_path / "out.parquet"
    record = run_predict(project, settings, input=rows, output=output)
    assert (record.rows, record.bad_cells) == (60, 0), record.problems
    expected = predictor.predict_table(table).scores
    got = pq.read_table(output)
    scores = np.column_stack([got["probability_no"], got["probability_yes"]])
    assert scores.tobytes() == expected.tobytes() * 3
    assert got["id"].to_pylist() == table["id"].to_pylist() * 3
