"""The same rows give the same bits at every door, and in batch.

The rules, each stated once for all doors: null is a missing value; a category that training did not
see is "unseen" and answered; a text in a column of numbers, booleans or times is read as a file's
cell, and refused where a file's cell could not be read; a column that is not there is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenfold.data import clean_table
from tenfold.project import load_project
from tenfold.registry import Registry
from tenfold.schema import MISSING_MARKERS, Column, Kind, Schema
from tenfold.settings import Settings
from tenfold.testing.mixed import json_rows, wide_schema, wide_table
from tenfold_jobs.predict import run_predict
from tests.tenfold_serve.doors.through import ARROW_TYPE, DOORS, Bits, arrow_table, stream
from tests.tenfold_serve.support import Reply, Rig, board_with, make_artifact

pytestmark = pytest.mark.parametrize("door_rig", ["wide"], indirect=True)
SCHEMA = wide_schema()
AS_TEXTS = Schema(tuple(replace(column, kind=Kind.TEXT) for column in SCHEMA.columns))
"""The same columns from somebody who has texts only, as a CSV has."""


def _text() -> st.SearchStrategy[str]:
    """A text, or a word for "missing", as it is or between blanks."""
    words = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12)
    markers = st.sampled_from(MISSING_MARKERS)
    return words | markers | markers.map(lambda text: f" {text} ")


def _cell(column: Column) -> st.SearchStrategy[Any]:
    if column.kind is Kind.NUMBER:
        values: st.SearchStrategy[Any] = st.floats(allow_nan=False, allow_infinity=False)
    elif column.kind is Kind.INTEGER:
        values = st.integers(-(2**53), 2**53)
    elif column.kind is Kind.BOOLEAN:
        values = st.booleans()
    elif column.kind is Kind.DATETIME:
        zone = st.just(UTC)
        values = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=zone).map(
            datetime.isoformat
        )
    elif column.domain:
        known = st.sampled_from(column.domain)
        values = known | known.map(lambda text: f" {text} ") | _text()
    else:
        values = _text()
    return st.none() | values


ROWS = st.lists(
    st.fixed_dictionaries({column.name: _cell(column) for column in SCHEMA.features}),
    min_size=1,
    max_size=6,
)


def _writings(column: Column) -> st.SearchStrategy[str | None]:
    """A cell as people and programs write it; all of these can be read."""
    if column.kind in (Kind.NUMBER, Kind.INTEGER):
        forms = ("{}", "{:,}", " {} ", "{:+}")
        number = _cell(column).filter(lambda value: value is not None)
        texts: st.SearchStrategy[str] = st.builds(str.format, st.sampled_from(forms), number)
    elif column.kind is Kind.BOOLEAN:
        texts = st.sampled_from(["true", "False", "YES", " n ", "1", "0"])
    elif column.kind is Kind.DATETIME:
        forms = (
            "%Y-%m-%d",
            "%d %b %Y",
            "%d.%m.%Y %H:%M",
            "%B %d, %Y, %I:%M:%S %p",
            "%Y%m%dT%H%M%S",
        )
        moments = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1))
        texts = st.builds(datetime.strftime, moments, st.sampled_from(forms))
    else:
        return _cell(column)
    return st.none() | texts | st.sampled_from(MISSING_MARKERS).map(lambda text: f" {text}")


WRITTEN_ROWS = st.lists(
    st.fixed_dictionaries({column.name: _writings(column) for column in SCHEMA.features}),
    min_size=1,
    max_size=6,
)


def batch(rig: Rig, rows: Sequence[dict[str, Any]], schema: Schema = SCHEMA) -> Bits:
    """What `tenfold predict` does with a piece of a file that holds these rows."""
    predictor = rig.board.lineup.arms[0].predictor
    table, problems = clean_table(arrow_table(schema, rows), Schema(predictor.columns))
    assert problems.num_rows == 0, problems.to_pylist()
    answer = predictor.predict_table(table)
    return Bits(list(answer.values), answer.scores.tobytes())


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS)
def test_the_same_rows_give_the_same_bits(door_rig: Rig, rows: list[dict[str, Any]]) -> None:
    expected = batch(door_rig, rows)
    for name, door in DOORS.items():
        assert door(door_rig, SCHEMA, rows) == expected, name


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=WRITTEN_ROWS)
def test_the_same_texts_give_the_bits_that_they_give_in_a_file(
    door_rig: Rig, rows: list[dict[str, Any]]
) -> None:
    expected = batch(door_rig, rows, AS_TEXTS)
    for name, door in DOORS.items():
        assert door(door_rig, AS_TEXTS, rows) == expected, name


def test_a_table_as_texts_gets_the_bits_that_it_gets_typed(door_rig: Rig) -> None:
    typed = json_rows(SCHEMA, wide_table(40, seed=5))
    texts = [{k: v if v is None else str(v) for k, v in row.items()} for row in typed]
    expected = batch(door_rig, typed)
    for name, door in DOORS.items():
        assert door(door_rig, AS_TEXTS, texts) == expected, name
    mixed = [
        one if place % 2 else other
        for place, (one, other) in enumerate(zip(typed, texts, strict=True))
    ]
    for name in ("rows", "columns"):
        assert DOORS[name](door_rig, SCHEMA, mixed) == expected, name


@pytest.mark.parametrize("door", DOORS)
def test_a_table_gets_the_same_bits_in_one_request_and_row_by_row(door_rig: Rig, door: str) -> None:
    rows = json_rows(SCHEMA, wide_table(40, seed=5))
    whole = DOORS[door](door_rig, SCHEMA, rows)
    single = [DOORS["rows"](door_rig, SCHEMA, [row]) for row in rows]
    assert whole.values == [bits.values[0] for bits in single]
    assert whole.scores == b"".join(bits.scores for bits in single)
    assert whole == batch(door_rig, rows)


def test_tenfold_predict_writes_the_bits_that_every_door_answers(
    door_rig: Rig, tmp_path: Path
) -> None:
    """The whole command: registry, file in, file out."""
    project = tmp_path / "project.yaml"
    project.write_text(
        "name: mixed\nproblem: {task: binary, target: label, positive_class: 'yes'}\n"
        "data: {sources: [{path: in.parquet}]}\n"
    )
    table = wide_table(45, seed=7)
    pq.write_table(table, tmp_path / "in.parquet")
    home = Settings.from_env({"TENFOLD_HOME": str(tmp_path / "home")})
    registry = Registry(home)
    make_artifact(tmp_path / "artifact", wide=True)
    version = registry.publish("mixed", tmp_path / "artifact")
    registry.promote("mixed", version.version, expected=None)
    output = tmp_path / "out.parquet"
    run_predict(load_project(project), home, input=tmp_path / "in.parquet", output=output)
    written = pq.read_table(output)
    scores = np.column_stack([written[f"probability_{c}"].to_numpy() for c in ("no", "yes")])
    expected = Bits(written["prediction"].to_pylist(), scores.tobytes())
    rig = Rig(tmp_path / "live", board_with(version))
    for name, door in DOORS.items():
        assert door(rig, SCHEMA, json_rows(SCHEMA, table)) == expected, name
    rig.labels.close()


def refusals(rig: Rig, name: str, value: Any, array: pa.Array, tensor: dict[str, Any]) -> list[Any]:
    """Every door's refusal of one row with one wrong cell."""
    row = json_rows(SCHEMA, wide_table(1))[0] | {name: value}
    table = arrow_table(SCHEMA, [row | {name: None}])
    table = table.set_column(table.column_names.index(name), name, array)
    inputs = [
        {"name": c.name, "shape": [1], "datatype": "BYTES", "data": [row[c.name]]}
        | ({} if c.name != name else tensor)
        for c in SCHEMA.features
    ]
    for one in inputs:
        kind = SCHEMA.column(one["name"]).kind
        if one["name"] != name and kind in (Kind.NUMBER, Kind.INTEGER):
            one["datatype"] = "FP64"
        elif one["name"] != name and kind is Kind.BOOLEAN:
            one["datatype"] = "BOOL"
    return [
        rig.ask("POST", "/predict", {"rows": [row]}),
        rig.ask("POST", "/predict", {"columns": {k: [v] for k, v in row.items()}}),
        rig.ask("POST", "/predict", stream(table), headers=[ARROW_TYPE]),
        rig.ask("POST", "/v2/models/mixed/infer", {"inputs": inputs}),
    ]


@pytest.mark.parametrize(
    ("name", "value", "array", "datatype", "reason"),
    [
        ("age", "old", pa.array(["old"]), "BYTES", "'old' is not a whole number; send an integer"),
        ("amount", True, pa.array([True]), "BOOL", "true is a boolean; send a number"),
        ("age", 1.5, pa.array([1.5]), "FP64", "1.5 is not whole; send an integer"),
        ("member", "maybe", pa.array(["maybe"]), "BYTES", "'maybe' is not a boolean"),
        ("color", 7, pa.array([7]), "INT64", "7 is not text; send text or null"),
        ("since", "later", pa.array(["later"]), "BYTES", "'later' is not a time"),
        ("note", False, pa.array([False]), "BOOL", "false is not text; send text or null"),
    ],
)
def test_a_wrong_cell_is_refused_at_every_door_with_the_same_words(
    door_rig: Rig, name: str, value: Any, array: pa.Array, datatype: str, reason: str
) -> None:
    replies: list[Reply] = refusals(door_rig, name, value, array, {"datatype": datatype})
    for reply in replies:
        assert reply.status == 400
        error = reply.json()["error"]
        message = error if isinstance(error, str) else error["message"]
        assert f"row 0, column {name!r}: " in message
        assert reason in message
    for reply in replies[:3]:
        (item,) = reply.json()["error"]["items"]
        assert (item["row"], item["column"]) == (0, name)


@pytest.mark.parametrize("change", ["missing", "unknown", "target"])
def test_columns_that_are_not_the_models_are_refused_at_every_door(
    door_rig: Rig, change: str
) -> None:
    row = json_rows(SCHEMA, wide_table(1))[0]
    table = arrow_table(SCHEMA, [row])
    if change == "missing":
        del row["age"]
        table = table.drop_columns(["age"])
        name, words = "age", "the column is missing"
    else:
        name = "shoe" if change == "unknown" else "label"
        row[name] = "x"
        table = table.append_column(name, pa.array(["x"]))
        words = "no such column" if change == "unknown" else "what the model predicts"
    for reply in (
        door_rig.ask("POST", "/predict", {"rows": [row]}),
        door_rig.ask("POST", "/predict", {"columns": {k: [v] for k, v in row.items()}}),
        door_rig.ask("POST", "/predict", stream(table), headers=[ARROW_TYPE]),
    ):
        assert reply.status == 400
        (item,) = reply.json()["error"]["items"]
        assert item["column"] == name
        assert words in item["reason"]


def test_columns_that_the_model_does_not_read_may_come_through_every_door(door_rig: Rig) -> None:
    rows = json_rows(SCHEMA, wide_table(2))
    plain = DOORS["rows"](door_rig, SCHEMA, rows)
    more = [row | {"id": {"any": 1}} for row in rows]
    answer = door_rig.ask("POST", "/predict", {"rows": more})
    assert [item["value"] for item in answer.json()["predictions"]] == plain.values
    table = arrow_table(SCHEMA, rows).append_column("id", pa.array([1.5, 2.5]))
    reply = door_rig.ask("POST", "/predict", stream(table), headers=[ARROW_TYPE])
    assert reply.status == 200


def test_what_is_logged_is_the_same_through_every_door(door_rig: Rig) -> None:
    from tenfold_serve.spool import segments

    rows = json_rows(SCHEMA, wide_table(4, seed=3))
    names = [column.name for column in SCHEMA.features]
    logged = []
    for door in DOORS.values():
        door_rig.recorder.flush()
        for old in segments(door_rig.folder, "predictions"):
            old.path.unlink()
        door(door_rig, SCHEMA, rows)
        door_rig.recorder.flush()
        (segment,) = segments(door_rig.folder, "predictions")
        with pa.OSFile(str(segment.path)) as file:
            logged.append(pa.ipc.open_file(file).read_all().select(names).to_pylist())
    assert all(found == logged[0] for found in logged)
    assert logged[0][0]["note"] == rows[0]["note"]
