"""Kinds, roles and their evidence."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from tenfold.data.files import read_batches, read_sample
from tenfold.data.infer import Declared, Hints, infer_schema
from tenfold.errors import DataError
from tenfold.schema import Column, Kind, Role, Schema


def _one(values: list[str], hints: Hints | None = None, *, name: str = "a") -> Schema:
    return infer_schema(pa.table({name: pa.array(values, pa.string())}), hints)


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("a", ["1", "2", "1"], Kind.INTEGER),
        ("a", ["0", "1", "1"], Kind.INTEGER),
        ("a", ["1", "2.5", "1"], Kind.NUMBER),
        ("a", ["1,200", "1", "2"], Kind.INTEGER),
        ("a", ["true", "False", "TRUE"], Kind.BOOLEAN),
        ("a", ["yes", "no", "no"], Kind.CATEGORY),
        ("a", ["20140916T000000", "20150422T000000"], Kind.DATETIME),
        ("a", ["2014-09-16", "2015-04-22", "?"], Kind.DATETIME),
        ("a", ["02134", "10115", "02134"], Kind.CATEGORY),
        ("a", ["x", "x"], Kind.CONSTANT),
        ("a", ["?", ""], Kind.CONSTANT),
        ("a", ["x", "?"], Kind.CATEGORY),
        ("id", ["1", "2", "3"], Kind.IDENTIFIER),
        ("id", ["1", "2", "2"], Kind.INTEGER),
        ("rownames", ["1", "2", "3"], Kind.IDENTIFIER),
        ("customerID", ["a1", "b2", "c3"], Kind.IDENTIFIER),
        ("unnamed_1", ["0", "1", "2"], Kind.IDENTIFIER),
        ("idle", ["1", "2", "3"], Kind.INTEGER),
        ("a", [f"u{i}" for i in range(200)], Kind.IDENTIFIER),
        ("a", [f"this is comment number {i}" for i in range(200)], Kind.TEXT),
        ("a", [f"u{i % 120}" for i in range(200)], Kind.TEXT),
        ("a", [f"u{i % 60}" for i in range(200)], Kind.CATEGORY),
    ],
)
def test_kinds(name: str, values: list[str], kind: Kind) -> None:
    column = _one(values, name=name).columns[0]
    assert column.kind is kind, column.evidence
    ignored = kind in (Kind.IDENTIFIER, Kind.CONSTANT, Kind.TEXT)
    assert column.role is (Role.IGNORED if ignored else Role.FEATURE)


def test_evidence_is_in_words() -> None:
    schema = _one([*map(str, range(20, 59)), "abc", "?"])
    assert schema.columns[0].kind is Kind.INTEGER
    assert schema.columns[0].evidence == (
        "whole numbers from 20 to 58, 1 of 40 not readable so, 1 of 41 missing"
    )


def test_one_stray_text_in_twenty_is_bad_and_more_make_a_category() -> None:
    assert _one([*["1"] * 19, "x"]).columns[0].kind is Kind.INTEGER
    assert _one([*["1"] * 18, "x", "y"]).columns[0].kind is Kind.CATEGORY


def test_domains_are_sorted_and_nullable_is_what_was_seen() -> None:
    column = _one(["b", " a", "b", "NA"]).columns[0]
    assert (column.domain, column.nullable) == (("a", "b"), True)
    numbers = _one(["3", "1"]).columns[0]
    assert (numbers.minimum, numbers.maximum, numbers.nullable) == (1.0, 3.0, False)


def test_class_targets_are_categories_of_texts_and_regression_targets_numbers() -> None:
    classes = _one(["1", "0", "1"], Hints(target="a", classes=True)).columns[0]
    assert (classes.kind, classes.role, classes.domain) == (
        Kind.CATEGORY,
        Role.TARGET,
        ("0", "1"),
    )
    amount = _one(["1", "2", "5"], Hints(target="a", classes=False)).columns[0]
    assert (amount.kind, amount.role) == (Kind.NUMBER, Role.TARGET)
    assert _one(["1", "0", "1"], Hints(target="a")).columns[0].kind is Kind.INTEGER


def test_typed_class_targets_have_the_texts_that_a_csv_would_have() -> None:
    table = pa.table({"f": [1.0, 0.0], "b": [True, False], "i": [1, 0]})
    for name, domain in (("f", ("0", "1")), ("b", ("false", "true")), ("i", ("0", "1"))):
        schema = infer_schema(table, Hints(target=name, classes=True))
        assert schema.target is not None
        assert schema.target.domain == domain


def test_what_the_project_declares_wins() -> None:
    table = pa.table({"zip": ["98001", "98002"], "uid": ["a", "b"], "t": ["1", "2"], "g": "xy"})
    declared = {
        "zip": Declared(kind=Kind.CATEGORY),
        "uid": Declared(role=Role.FEATURE),
        "t": Declared(minimum=-5.0),
    }
    schema = infer_schema(
        table.set_column(3, "g", pa.array(["x", "y"])), Hints(group="g", declared=declared)
    )
    assert schema.column("zip").kind is Kind.CATEGORY
    assert schema.column("zip").evidence.startswith("declared a category; found: whole numbers")
    assert (schema.column("uid").kind, schema.column("uid").role) == (Kind.CATEGORY, Role.FEATURE)
    assert (schema.column("t").minimum, schema.column("t").maximum) == (-5.0, 2.0)
    assert schema.column("g").role is Role.GROUP


def test_time_and_key_have_their_roles() -> None:
    table = pa.table({"when": ["20240101", "20240102"], "k": ["1", "2"], "x": ["1", "2"]})
    schema = infer_schema(
        table, Hints(time="when", key=("k",), declared={"when": Declared(kind=Kind.DATETIME)})
    )
    assert schema.column("when").role is Role.TIME
    assert schema.column("when").kind is Kind.DATETIME
    assert schema.column("k").role is Role.KEY
    assert [column.name for column in schema.features] == ["x"]


@pytest.mark.parametrize(
    ("hints", "what"),
    [
        (Hints(target="z"), "the target"),
        (Hints(time="z"), "the time column"),
        (Hints(group="z"), "the group column"),
        (Hints(key=("z",)), "the key"),
        (Hints(declared={"z": Declared()}), "data.columns"),
    ],
)
def test_an_unknown_column_is_named_with_the_known_ones(hints: Hints, what: str) -> None:
    with pytest.raises(DataError) as caught:
        infer_schema(pa.table({"a": ["1"], "b": ["2"]}), hints)
    assert str(caught.value) == (
        f"{what} must be a column of the table: 'z' is not among 'a', 'b'; "
        "correct the name in the project file"
    )


def test_a_target_without_values_is_refused() -> None:
    with pytest.raises(DataError, match=r"target 'a' has no value in 2 rows"):
        _one(["?", ""], Hints(target="a", classes=True))


@pytest.mark.parametrize("tables", [[], [pa.table({"a": pa.array([], pa.string())})]])
def test_no_rows_are_refused(tables: list[pa.Table]) -> None:
    with pytest.raises(DataError, match="the table has no rows"):
        infer_schema(tables)


KINDS = {
    "adult": {"age": Kind.INTEGER, "workclass": Kind.CATEGORY, "salary": Kind.CATEGORY},
    "telco-churn": {"customerID": Kind.IDENTIFIER, "TotalCharges": Kind.NUMBER},
    "king-county": {"ID": Kind.IDENTIFIER, "Date": Kind.DATETIME, "Price": Kind.NUMBER},
    "diamonds": {"rownames": Kind.IDENTIFIER, "carat": Kind.NUMBER, "cut": Kind.CATEGORY},
    "penguins": {"rownames": Kind.IDENTIFIER, "bill_length_mm": Kind.NUMBER, "year": Kind.INTEGER},
    "mall-customers": {"Age": Kind.INTEGER, "Sex": Kind.CATEGORY},
}


@pytest.mark.parametrize("name", KINDS)
def test_kinds_of_real_tables(data_folder: Path, name: str) -> None:
    schema = infer_schema(read_batches(data_folder / f"{name}.csv"))
    assert {column: schema.column(column).kind for column in KINDS[name]} == KINDS[name]


def test_real_blanks_and_markers(data_folder: Path) -> None:
    adult = infer_schema(read_sample(data_folder / "adult.csv"))
    assert adult.column("salary").domain == ("<=50K", ">50K")
    assert "?" not in (adult.column("workclass").domain or ())
    assert adult.column("workclass").nullable
    telco = infer_schema(read_sample(data_folder / "telco-churn.csv"))
    assert telco.column("TotalCharges").evidence.endswith("11 of 7043 missing")


@pytest.mark.parametrize("grams", ["words", "chars"])
def test_a_declared_text_is_a_feature_counted_as_said(grams: str) -> None:
    table = pa.table({"part": [f"AX-{k}" for k in range(60)], "y": ["a", "b"] * 30})
    hints = Hints(target="y", classes=True, declared={"part": Declared(text=grams)})
    part = infer_schema(table, hints).column("part")
    assert (part.kind, part.role, part.grams) == (Kind.TEXT, Role.FEATURE, grams)
    assert Column.from_dict(part.to_dict()) == part
    assert ("grams" in part.to_dict()) == (grams == "chars")
