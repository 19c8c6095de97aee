"""Logged rows read like a snapshot's, whatever came; a segment is whole or not there."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tenfold.data import clean_table
from tenfold.features import RowEncoder
from tenfold.schema import Column, Kind, Role, Schema
from tenfold.testing.mixed import json_rows, mixed_schema, mixed_table
from tenfold_serve.answers import Entry
from tenfold_serve.prediction_log import META_FIELDS, features_as_text, write_segment
from tests.tenfold_serve.support import segment_tables

AT_MS = 1_700_000_000_123
WHOLE = Schema((Column("n", Kind.INTEGER),))


@dataclass
class Model:
    """What the log asks of a model."""

    schema: Schema = field(default_factory=mixed_schema)
    name: str = "champion"
    version: int = 3
    digest: str = "d" * 64

    def count(self, codes: Any, scores: Any) -> Any:
        return np.zeros(0, dtype=np.int64)


def entry_of(rows: list[dict[str, Any]], model: Model, *, at_ms: int = AT_MS) -> Entry:
    codes = RowEncoder(model.schema).encode_rows(rows)
    scores = np.tile([0.25, 0.75], (len(rows), 1))
    ids = [f"{model.version}-{k}" for k in range(len(rows))]
    return Entry(ids, rows, codes, scores, ["yes"] * len(rows), model, at_ms)


def mixed_entry(n_rows: int = 30, *, seed: int = 0, model: Model | None = None) -> Entry:
    return entry_of(json_rows(mixed_schema(), mixed_table(n_rows, seed=seed)), model or Model())


def logged(entry: Entry) -> pa.Table:
    """The log rows of one request."""
    (table,) = segment_tables([entry], replica="r")
    return table


def read_back(table: pa.Table, schema: Schema) -> pa.Table:
    """The features as a retrain reads them."""
    clean, _problems = clean_table(table, schema)
    return clean.select([column.name for column in schema.features])


def read(path: Path) -> pa.Table:
    with pa.OSFile(str(path), "rb") as file:
        return pa.ipc.open_file(file).read_all()


@hypothesis_settings(max_examples=15, deadline=None)
@given(st.integers(1, 40), st.integers(0, 10_000))
def test_features_come_back_as_a_snapshot_has_them(n_rows: int, seed: int) -> None:
    names = [column.name for column in mixed_schema().features]
    table = logged(mixed_entry(n_rows, seed=seed))
    assert read_back(table, mixed_schema()).equals(mixed_table(n_rows, seed=seed).select(names))


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_logged_numbers_lose_no_bit(values: list[float]) -> None:
    schema = Schema((Column("x", Kind.NUMBER),))
    entry = entry_of([{"x": v} for v in values], Model(schema))
    table = features_as_text(logged(entry))
    assert [float(text) for text in table.column("x").to_pylist()] == values
    assert read_back(table, schema).column("x").to_pylist() == values


@given(st.lists(st.integers(-(2**53), 2**53), min_size=1, max_size=20), st.booleans())
def test_logged_whole_numbers_are_kept_beside_one_that_is_too_large_for_a_float(
    values: list[int], beyond: bool
) -> None:
    rows = [{"n": v} for v in ([*values, 2**63 - 1] if beyond else values)]
    table = logged(entry_of(rows, Model(WHOLE)))
    kept = read_back(table, WHOLE).column("n").to_pylist()
    assert kept == ([*values, None] if beyond else values)


def test_beside_the_features_stands_who_answered_what_and_when() -> None:
    other = Model(name="challenger", version=4, digest="e" * 64)
    entries = [mixed_entry(2), mixed_entry(1, model=other)._replace(at_ms=AT_MS + 1, values=[0.1])]
    table = pa.concat_tables(segment_tables(entries, replica="r#7"))
    assert table.schema.names[: len(META_FIELDS)] == [field.name for field in META_FIELDS]
    meta = table.select([field.name for field in META_FIELDS])
    assert meta.schema.equals(pa.schema(META_FIELDS))
    second = datetime.fromtimestamp(AT_MS // 1000, UTC)
    assert meta.column("__at").to_pylist() == [
        second.replace(microsecond=123_000), second.replace(microsecond=123_000),
        second.replace(microsecond=124_000),
    ]  # fmt: skip
    meta = meta.drop_columns("__at")
    first = {"__version": 3, "__digest": "d" * 64, "__arm": "champion", "__replica": "r#7",
             "__value": "yes", "__scores": [0.25, 0.75]}  # fmt: skip
    last = first | {"__version": 4, "__digest": "e" * 64, "__arm": "challenger", "__value": "0.1"}
    assert meta.to_pylist() == [
        {"__id": "3-0", **first}, {"__id": "3-1", **first}, {"__id": "4-0", **last},
    ]  # fmt: skip


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=20))
def test_answered_numbers_lose_no_bit(values: list[float]) -> None:
    schema = Schema((Column("x", Kind.NUMBER),))
    entry = entry_of([{"x": 1.0}] * len(values), Model(schema))._replace(values=values)
    text = logged(entry).column("__value").to_pylist()
    assert [float(one) for one in text] == values


def test_an_unknown_category_is_kept_as_it_came() -> None:
    schema = Schema((Column("color", Kind.CATEGORY, domain=("blue", "red")),))
    rows = [{"color": "ultraviolet"}, {"color": None}, {"color": "red"}]
    table = logged(entry_of(rows, Model(schema)))
    assert table.column("color").to_pylist() == ["ultraviolet", None, "red"]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (2**53, 2**53),
        (-(2**53), -(2**53)),
        (2**63 - 1, None),
        (2**63 - 512, None),
        (None, None),
        (0, 0),
    ],
)
def test_a_whole_number_that_rounds_beyond_64_bits_is_null_to_a_retrain(
    sent: int | None, kept: int | None
) -> None:
    table = logged(entry_of([{"n": sent}], Model(WHOLE)))
    assert read_back(table, WHOLE).column("n").to_pylist() == [kept]


@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59+00:00", "1969-12-31T23:59:59.5Z"]
)
def test_moments_far_from_today(moment: str) -> None:
    schema = Schema((Column("at", Kind.DATETIME),))
    table = logged(entry_of([{"at": moment}], Model(schema)))
    kept = read_back(table, schema).column("at").to_pylist()
    assert kept == [datetime.fromisoformat(moment)]


def test_columns_the_model_does_not_read_are_not_logged() -> None:
    schema = Schema((Column("x", Kind.NUMBER), Column("id", Kind.IDENTIFIER, Role.IGNORED)))
    table = logged(entry_of([{"x": 1, "id": "p7"}], Model(schema)))
    assert table.column_names == [*(field.name for field in META_FIELDS), "x"]


def test_a_segment_keeps_the_order_of_each_model_and_fills_columns_that_one_model_lacks(
    tmp_path: Path,
) -> None:
    one = Schema((Column("x", Kind.NUMBER), Column("n", Kind.INTEGER)))
    two = Schema((Column("x", Kind.NUMBER), Column("color", Kind.CATEGORY, domain=("red",))))
    first, second = Model(one, version=1), Model(two, version=2)
    entries = [
        entry_of([{"x": 1.5, "n": 1}], first),
        entry_of([{"x": 2.5, "color": "red"}], second),
        entry_of([{"x": 3.5, "n": 3}], first),
    ]
    path = tmp_path / "new" / "folder" / "segment"
    write_segment(path, segment_tables(entries, replica="r"))
    table = read(path)
    assert table.column("x").to_pylist() == ["1.5", "3.5", "2.5"]
    assert table.column("n").to_pylist() == ["1", "3", None]
    assert table.column("color").to_pylist() == [None, None, "red"]
    assert table.column("__version").to_pylist() == [1, 1, 2]
    assert [file.name for file in path.parent.iterdir()] == ["segment"]


def test_a_segment_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "segment").mkdir()
    (tmp_path / "segment" / "in the way").touch()
    with pytest.raises(OSError, match="segment"):
        write_segment(tmp_path / "segment", segment_tables([mixed_entry(3)], replica="r"))
    assert os.listdir(tmp_path) == ["segment"]  # noqa: PTH208
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        write_segment(tmp_path / "file" / "segment", segment_tables([mixed_entry(3)], replica="r"))


@pytest.mark.parametrize(
    ("sent", "texts"),
    [
        ([(Kind.INTEGER, 1), (Kind.NUMBER, 2.5)], ["1", "2.5"]),
        ([(Kind.NUMBER, 1.5), (Kind.CATEGORY, "a")], ["1.5", "a"]),
        ([(Kind.INTEGER, 1), (Kind.CATEGORY, "1")], ["1", "1"]),
        ([(Kind.BOOLEAN, True), (Kind.INTEGER, 1)], ["true", "1"]),
        (
            [(Kind.DATETIME, "2026-01-02T03:04:05Z"), (Kind.TEXT, "x")],
            ["2026-01-02 03:04:05.000000Z", "x"],
        ),
    ],
)
def test_models_that_read_a_column_as_another_kind_share_a_segment(
    tmp_path: Path, sent: list[tuple[Kind, object]], texts: list[str]
) -> None:
    entries = []
    for kind, value in sent:
        schema = Schema((Column("x", kind, domain=("a", "1") if kind is Kind.CATEGORY else None),))
        entries.append(entry_of([{"x": value}], Model(schema)))
    write_segment(tmp_path / "segment", segment_tables(entries, replica="r"))
    table = read(tmp_path / "segment")
    assert table.column("x").to_pylist() == texts
    for row, (kind, _) in enumerate(sent):
        schema = Schema((Column("x", kind),))
        assert read_back(table.slice(row, 1), schema).column("x").null_count == 0
