from __future__ import annotations

import jsonschema
import pytest

from tenfold.inference import example_row, openapi_components, prediction_items, request_columns
from tenfold.inference.openapi import MAX_ENUM
from tenfold.inference.pack import draft_predictor
from tenfold.schema import Column, Form, Kind, Role, Schema
from tenfold.testing.artifacts import small_files
from tenfold.testing.mixed import json_rows, mixed_schema, mixed_table

FAMILIES = ["linear", "dummy", "kmeans"]


def validator(components: dict[str, object], name: str) -> jsonschema.Draft202012Validator:
    document = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": components}}
    jsonschema.Draft202012Validator.check_schema(document)
    return jsonschema.Draft202012Validator(document)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_example_fits_the_schema_and_runs(family: str) -> None:
    predictor = draft_predictor(*small_files(family))
    components = openapi_components(predictor.manifest)
    example = components["PredictRequest"]["example"]
    validator(components, "PredictRequest").validate(example)
    prediction = predictor.predict_rows(example["rows"])
    answer = {
        "model": "mixed",
        "version": 1,
        "digest": predictor.digest,
        "arm": "champion",
        "predictions": prediction_items(prediction, classes=predictor.classes, ids=["x"]),
    }
    validator(components, "PredictResponse").validate(answer)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_the_schema_accepts_the_model_answers(family: str) -> None:
    predictor = draft_predictor(*small_files(family))
    check = validator(openapi_components(predictor.manifest), "Row")
    for row in json_rows(predictor.schema, mixed_table(50)):
        check.validate(row)
        predictor.predict_rows([row])
        texts = {key: value if value is None else str(value) for key, value in row.items()}
        check.validate(texts)
        predictor.predict_rows([texts])
        check.validate(row | {"id": "row 3"})
        predictor.predict_rows([row | {"id": "row 3"}])


@pytest.mark.parametrize(
    "change", [{"age": 3.5}, {"member": 1}, {"color": 3}, {"nothing": 1}, {"label": "yes"}]
)
def test_what_the_model_refuses_the_schema_refuses(change: dict[str, object]) -> None:
    predictor = draft_predictor(*small_files("linear"))
    check = validator(openapi_components(predictor.manifest), "Row")
    row = json_rows(predictor.schema, mixed_table(1))[0] | change
    assert not check.is_valid(row)
    with pytest.raises(Exception, match=next(iter(change))):
        predictor.predict_rows([row])


def test_columns_have_their_names_kinds_and_ranges() -> None:
    columns = {column["title"]: column for column in request_columns(mixed_schema())}
    assert list(columns) == [column.name for column in mixed_schema().features]
    assert columns["age"]["type"] == ["integer", "string", "null"]
    assert columns["member"]["type"] == ["boolean", "string", "null"]
    assert columns["color"]["type"] == columns["since"]["type"] == ["string", "null"]
    assert "18 to 90 in training" in columns["age"]["description"]
    assert "known: blue, green, red, violet" in columns["color"]["description"]
    assert f"and {120 - MAX_ENUM} more" in columns["city"]["description"]


def test_examples_stay_within_what_a_kind_holds() -> None:
    schema = Schema(
        (
            Column("a", Kind.NUMBER, minimum=-1e308, maximum=1e308),
            Column("b", Kind.INTEGER, minimum=3.0),
            Column("c", Kind.DATETIME, minimum=1e300),
            Column("d", Kind.DATETIME, minimum=0.0, maximum=0.0),
            Column("e", Kind.TEXT),
            Column("y", Kind.NUMBER, Role.TARGET),
        )
    )
    assert example_row(schema) == {
        "a": 0.0,
        "b": 3,
        "c": "2031-05-04T13:30:00+00:00",
        "d": "1970-01-01T00:00:00+00:00",
        "e": "some words of text",
    }


def test_a_unit_is_told() -> None:
    schema = Schema(
        (
            Column("rate", Kind.NUMBER, form=Form("%")),
            Column("cost", Kind.NUMBER, form=Form("€", "comma")),
        )
    )
    assert [column["description"] for column in request_columns(schema)] == [
        "a number, or text as in the table; a share: 0.12 for 12 %; "
        "null or a word such as NA if missing",
        "a number, or text as in the table; in €; null or a word such as NA if missing",
    ]
