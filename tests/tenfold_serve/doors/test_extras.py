"""Intervals, sets and explanations: on request only, the same at every door."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import numpy as np
import orjson
import pyarrow as pa
import pytest

from tenfold.artifact import read_artifact
from tenfold.features import encode_table
from tenfold.inference import pack_artifact
from tenfold.registry import Registry
from tenfold.schema import Kind, Schema
from tenfold.settings import Settings
from tenfold.testing.artifacts import small_files
from tenfold.testing.mixed import json_rows, mixed_table
from tenfold_serve.doors.extras import MAX_WAITING, Explaining
from tenfold_serve.doors.grpc_messages import parameters_of
from tenfold_serve.endpoint import EndpointLimits
from tenfold_serve.http import HttpError
from tests.tenfold_serve.doors.grpc_live import ask, found, grpc_serving, infer_request
from tests.tenfold_serve.doors.through import ARROW_TYPE, arrow_table, stream
from tests.tenfold_serve.support import PROJECT, Reply, Rig, board_with, make_artifact

TABLE = mixed_table(9, seed=8)


@pytest.fixture(scope="module")
def rigs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Rig]]:
    """An endpoint for each kind of answer."""
    made: dict[str, Rig] = {}
    for family in ("boosting", "dummy", "kmeans"):
        folder = tmp_path_factory.mktemp(family)
        make_artifact(folder / "artifact", family=family)
        registry = Registry(Settings.from_env({"TENFOLD_HOME": str(folder / "home")}))
        version = registry.publish("mixed", folder / "artifact")
        made[family] = Rig(folder / "live", board_with(version))
    yield made
    for rig in made.values():
        rig.labels.close()


def predictor_of(rig: Rig) -> Any:
    return rig.board.lineup.arms[0].predictor


def rows_of(rig: Rig) -> list[dict[str, Any]]:
    names = [column.name for column in predictor_of(rig).columns]
    return [
        {name: row[name] for name in names} for row in json_rows(predictor_of(rig).schema, TABLE)
    ]


def ok(reply: Reply) -> Any:
    assert reply.status == 200, reply.body
    return reply.json()


def as_rows(rig: Rig, query: str) -> dict[str, Any]:
    """An answer's extras as arrays, by the names of V2."""
    answer = ok(rig.ask("POST", f"/predict?{query}", {"rows": rows_of(rig)}))
    classes, names = predictor_of(rig).classes, [c.name for c in predictor_of(rig).columns]
    found: dict[str, Any] = {k: answer[k] for k in ("level", "method", "unit") if k in answer}
    items = answer["predictions"]
    if "interval" in items[0]:
        found["interval"] = np.array([item["interval"] for item in items])
    if "set" in items[0]:
        found["set"] = np.array([[name in item["set"] for name in classes] for item in items])
    if "explanation" in items[0]:
        told = [item["explanation"] for item in items]
        found["explanation"] = np.array([[t["contributions"][n] for n in names] for t in told])
        found["explanation_base"] = np.array([t["base"] for t in told])
    return found


def as_columns(rig: Rig, query: str) -> dict[str, Any]:
    rows = rows_of(rig)
    body = {"columns": {name: [row[name] for row in rows] for name in rows[0]}}
    answer = ok(rig.ask("POST", f"/predict?{query}", body))
    columns, classes = answer["columns"], predictor_of(rig).classes
    found: dict[str, Any] = {k: answer[k] for k in ("level", "method", "unit") if k in answer}
    if "interval" in columns:
        found["interval"] = np.array(columns["interval"])
    if "set" in columns:
        found["set"] = np.array([[name in told for name in classes] for told in columns["set"]])
    if "explanation" in columns:
        told = columns["explanation"]
        names = [c.name for c in predictor_of(rig).columns]
        found["explanation"] = np.array([[t["contributions"][n] for n in names] for t in told])
        found["explanation_base"] = np.array([t["base"] for t in told])
    return found


def as_arrow(rig: Rig, query: str) -> dict[str, Any]:
    body = stream(arrow_table(predictor_of(rig).schema, rows_of(rig)))
    reply = rig.ask("POST", f"/predict?{query}", body, headers=[ARROW_TYPE])
    assert reply.status == 200, reply.body
    table = pa.ipc.open_stream(reply.body).read_all()
    told = {k.decode(): v.decode() for k, v in table.schema.metadata.items()}
    found: dict[str, Any] = {k: told[k] for k in ("method", "unit") if k in told}
    if "level" in told:
        found["level"] = float(told["level"])
    if "interval_lower" in table.column_names:
        ends = [table[f"interval_{end}"].to_numpy() for end in ("lower", "upper")]
        found["interval"] = np.column_stack(ends)
    if "set" in table.column_names:
        classes = predictor_of(rig).classes
        sets = table["set"].to_pylist()
        found["set"] = np.array([[name in one for name in classes] for one in sets])
    if "explanation_base" in table.column_names:
        names = [f"contribution_{c.name}" for c in predictor_of(rig).columns]
        found["explanation"] = np.column_stack([table[name].to_numpy() for name in names])
        found["explanation_base"] = table["explanation_base"].to_numpy()
        if predictor_of(rig).classes:
            assert set(table["explanation_of"].to_pylist()) <= set(predictor_of(rig).classes)
    return found


def v2_body(rig: Rig) -> dict[str, Any]:
    types = {Kind.NUMBER: "FP64", Kind.INTEGER: "INT64", Kind.BOOLEAN: "BOOL"}
    rows = rows_of(rig)
    return {
        "inputs": [
            {
                "name": column.name,
                "shape": [len(rows)],
                "datatype": types.get(column.kind, "BYTES"),
                "data": [row[column.name] for row in rows],
            }
            for column in predictor_of(rig).columns
        ]
    }


def as_v2(rig: Rig, query: str) -> dict[str, Any]:
    answer = ok(rig.ask("POST", f"/v2/models/mixed/infer?{query}", v2_body(rig)))
    return _v2_found(answer, {t["name"]: t["data"] for t in answer["outputs"]})


def as_v2_binary(rig: Rig, query: str) -> dict[str, Any]:
    """Asked for by names of outputs and the parameter, not by the query."""
    words = query.partition("&")[0].removeprefix("with=").split(",")
    names = [*words, *(["explanation_base"] if "explanation" in words else [])]
    body = v2_body(rig) | {"outputs": [{"name": name} for name in names]}
    body["parameters"] = {"binary_data_output": True, "level": float(query.partition("level=")[2])}
    reply = rig.ask("POST", "/v2/models/mixed/infer", body)
    assert reply.status == 200, reply.body
    place = int(reply.headers[b"inference-header-content-length"])
    answer, values = orjson.loads(reply.body[:place]), {}
    for tensor in answer["outputs"]:
        size = tensor["parameters"]["binary_data_size"]
        kind = np.dtype("?") if tensor["datatype"] == "BOOL" else np.dtype("<f8")
        values[tensor["name"]] = np.frombuffer(reply.body[place : place + size], kind)
        place += size
    return _v2_found(answer, values)


def _v2_found(answer: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    parameters = answer["parameters"]
    found = {k: parameters[k] for k in ("level", "method", "unit") if k in parameters}
    for tensor in answer["outputs"]:
        if tensor["name"] in ("interval", "set", "explanation", "explanation_base"):
            found[tensor["name"]] = np.array(values[tensor["name"]]).reshape(tensor["shape"])
    return found


def as_grpc(rig: Rig, query: str) -> dict[str, Any]:
    words, level = query.removeprefix("with=").split("&level=")
    request = infer_request(Schema(predictor_of(rig).columns), rows_of(rig))
    with grpc_serving(rig.app) as address:
        answer = ask(address, "ModelInfer", request, x_tenfold_with=words, x_tenfold_level=level)
    told = parameters_of(answer.parameters)
    kept = {k: told[k] for k in ("level", "method", "unit") if k in told}
    names = ("interval", "set", "explanation", "explanation_base")
    return kept | {k: v for k, v in found(answer).items() if k in names}


DOORS = {
    "grpc": as_grpc,
    "columns": as_columns,
    "arrow": as_arrow,
    "v2": as_v2,
    "v2 binary": as_v2_binary,
}
ASKED = {
    "boosting": "with=set,explanation&level=0.95",
    "dummy": "with=interval,explanation&level=0.95",
    "kmeans": "with=explanation&level=0.95",
}


@pytest.mark.parametrize("family", ASKED)
def test_every_door_tells_the_same_bits(rigs: dict[str, Rig], family: str) -> None:
    rig = rigs[family]
    expected = as_rows(rig, ASKED[family])
    assert expected["explanation"].shape == (9, len(predictor_of(rig).columns))
    for name, door in DOORS.items():
        found = door(rig, ASKED[family])
        assert found.keys() == expected.keys(), name
        for key, value in expected.items():
            same = np.array_equal(found[key], value)
            assert same, (name, key)


def test_what_is_told_is_what_the_predictor_says(rigs: dict[str, Rig]) -> None:
    for family, rig in rigs.items():
        predictor, told = predictor_of(rig), as_rows(rig, ASKED[family])
        codes = encode_table(predictor.schema, TABLE)
        prediction = predictor.predict_codes(codes)
        if family == "boosting":
            assert np.array_equal(told["set"], predictor.sets(prediction, 0.95))
            chosen = [predictor.classes.index(value) for value in prediction.values]
            assert told["set"][np.arange(9), chosen].all()
        if family == "dummy":
            ends = predictor.conformal.bounds(prediction.scores, 0.95)
            assert np.array_equal(told["interval"], ends)
        expected = predictor.explainer.explain(codes, prediction)
        assert np.allclose(told["explanation"], expected.contributions)
        assert np.array_equal(told["explanation_base"], expected.base)


def test_the_level_grows_the_interval_and_comes_by_header_too(rigs: dict[str, Rig]) -> None:
    rig, widths = rigs["dummy"], []
    for level in ("0.5", "0.9", "0.99"):
        headers = [(b"x-tenfold-with", b"interval"), (b"x-tenfold-level", level.encode())]
        answer = ok(rig.ask("POST", "/predict", {"rows": rows_of(rig)[:1]}, headers=headers))
        assert answer["level"] == float(level)
        lower, upper = answer["predictions"][0]["interval"]
        widths.append(upper - lower)
    assert widths == sorted(widths)
    assert len(set(widths)) == 3
    default = ok(rig.ask("POST", "/predict?with=interval", {"rows": rows_of(rig)[:1]}))
    assert default["level"] == 0.9


def test_who_does_not_ask_pays_nothing(tmp_path: Path, publish: Any) -> None:
    rig = Rig(tmp_path / "live", board_with(publish(0)))
    answer = ok(rig.ask("POST", "/predict?with=warnings", {"rows": rows_of(rig)}))
    assert set(answer) == {"model", "version", "digest", "arm", "predictions"}
    loaded = vars(predictor_of(rig))
    assert "conformal" not in loaded
    assert "explainer" not in loaded
    rig.labels.close()


@pytest.mark.parametrize(
    ("family", "query", "reason"),
    [
        ("boosting", "with=interval", "a model of classes has no interval; ask for ?with=set"),
        ("dummy", "with=set", "a model of numbers has no set; ask for ?with=interval"),
        ("kmeans", "with=set", "segments have no truth that a set could hold"),
        ("boosting", "with=set&level=1", "level is a number from 0.5 to 0.995, not '1'"),
        ("boosting", "with=set&level=high", "level is a number from 0.5 to 0.995, not 'high'"),
        ("boosting", "with=set&level=nan", "level is a number from 0.5 to 0.995, not 'nan'"),
        ("boosting", "with=sets", "with= takes warnings, interval, set, explanation, and not"),
        ("boosting", "levels=0.9", "the query takes ?with=…&level=…, and not 'levels'"),
    ],
)
def test_what_a_model_cannot_give_is_refused(
    rigs: dict[str, Rig], family: str, query: str, reason: str
) -> None:
    rig = rigs[family]
    reply = rig.ask("POST", f"/predict?{query}", {"rows": rows_of(rig)})
    assert reply.status == 400
    assert reason in reply.json()["error"]["message"]


def test_rows_to_explain_are_bounded(rigs: dict[str, Rig], tmp_path: Path) -> None:
    rig = rigs["kmeans"]
    many = rows_of(rig) * 12  # 108; walks over 8 columns allow 97
    wide = Rig(tmp_path / "live", rig.board, limits=EndpointLimits(max_rows=1000))
    reply = wide.ask("POST", "/predict?with=explanation", {"rows": many})
    assert reply.status == 400
    message = reply.json()["error"]["message"]
    assert "explanations holds at most 97 rows of this model, not 108" in message
    assert wide.ask("POST", "/predict", {"rows": many}).status == 200
    wide.labels.close()


def plain_rig(folder: Path, *, family: str, damage: bytes | None = None) -> Rig:
    """A model as it was published before there were limits; its booster damaged on request."""
    make_artifact(folder / "with", family=family)
    files = dict(read_artifact(folder / "with").files)
    for name in ("conformal.json", "golden.arrow", "manifest.json"):
        files.pop(name, None)
    _, draft = small_files(family)
    if damage is not None:
        files["model.ubj"] = damage
    pack_artifact(
        folder / "plain",
        files=files,
        manifest=replace(draft, project=PROJECT),
        table=mixed_table(100),
    )
    registry = Registry(Settings.from_env({"TENFOLD_HOME": str(folder / "home")}))
    return Rig(folder / "live", board_with(registry.publish("mixed", folder / "plain")))


def test_a_model_of_before_says_what_to_do_and_still_explains(tmp_path: Path) -> None:
    rig = plain_rig(tmp_path, family="linear")
    reply = rig.ask("POST", "/predict?with=set", {"rows": rows_of(rig)})
    assert reply.status == 400
    words = "trained before there were intervals and sets; train it again"
    assert words in reply.json()["error"]["message"]
    assert as_rows(rig, "with=explanation")["method"] == "coefficients"
    page = ok(rig.ask("GET", "/openapi.json"))
    assert "set" not in page["components"]["schemas"]["Prediction"]["properties"]
    rig.labels.close()


def test_an_explainer_that_fails_its_probe_is_told_and_answers_go_on(tmp_path: Path) -> None:
    rig = plain_rig(tmp_path, family="boosting", damage=b"{not a booster")
    for _again in range(2):  # the second time without another probe
        reply = rig.ask("POST", "/predict?with=explanation", {"rows": rows_of(rig)})
        assert reply.status == 503
        assert "this model cannot be explained: the model failed its probe" in str(reply.json())
    assert rig.ask("POST", "/predict", {"rows": rows_of(rig)}).status == 200
    rig.labels.close()


@pytest.mark.parametrize("family", ASKED)
def test_the_page_types_what_can_be_asked_for(rigs: dict[str, Rig], family: str) -> None:
    rig = rigs[family]
    page = ok(rig.ask("GET", "/openapi.json"))
    parameters = page["paths"]["/predict"]["post"]["parameters"]
    words = next(p for p in parameters if p["name"] == "with")["schema"]["items"]["enum"]
    query = ",".join(words)
    answer = ok(rig.ask("POST", f"/predict?with={query}", {"rows": rows_of(rig)}))
    document = {
        **page["components"]["schemas"]["PredictResponse"],
        "components": page["components"],
    }
    jsonschema.Draft202012Validator(document).validate(answer)
    told = page["components"]["schemas"]["Prediction"]["properties"]
    assert set(answer["predictions"][0]) == set(told)


def test_more_than_a_few_waiting_explanations_are_told_to_come_back() -> None:
    """A slow explainer: one works, some wait, the others are refused before they are scored."""
    entered, go = threading.Event(), threading.Event()

    def explain(_codes: Any, _prediction: Any) -> str:
        entered.set()
        assert go.wait(20)
        return "told"

    slow: Any = SimpleNamespace(
        explainer=SimpleNamespace(explain=explain), manifest=SimpleNamespace(digest="d")
    )
    nothing: Any = None

    async def crowd() -> list[Any]:
        explaining = Explaining()
        tasks = []
        for _ in range(MAX_WAITING):
            explaining.check_room()
            tasks.append(asyncio.ensure_future(explaining.explain(slow, nothing, nothing)))
            await asyncio.sleep(0)
        assert await asyncio.to_thread(entered.wait, 20)
        with pytest.raises(HttpError) as refused:
            explaining.check_room()
        assert refused.value.status == 429
        go.set()
        told = await asyncio.gather(*tasks)
        explaining.check_room()
        return list(told)

    assert asyncio.run(crowd()) == ["told"] * MAX_WAITING


def test_packing_keeps_old_artifacts_readable(tmp_path: Path) -> None:
    """Without limits the folder is what it always was."""
    files, draft = small_files("linear")
    manifest = pack_artifact(tmp_path / "a", files=files, manifest=draft, table=mixed_table(100))
    assert "conformal.json" not in manifest.files
    assert read_artifact(tmp_path / "a").manifest.model_digest == manifest.model_digest
