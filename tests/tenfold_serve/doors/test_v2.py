"""The Open Inference Protocol: documents, tensors in both forms, shape arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.errors import RequestError
from tenfold.testing.mixed import json_rows, mixed_schema, mixed_table
from tenfold_serve.arms import ArmBoard
from tenfold_serve.doors.tensors import NUMBERS, pack, parse_json, unpack
from tenfold_serve.doors.v2_request import read_infer
from tests.tenfold_serve.support import Publish, Rig, board_with

SCHEMA = mixed_schema()
INFER = "/v2/models/mixed/infer"
TYPES = {"amount": "FP64", "age": "INT64", "member": "BOOL", "constant": "FP64", "void": "FP64"}


def inputs(n_rows: int = 2) -> list[dict[str, Any]]:
    rows = json_rows(SCHEMA, mixed_table(n_rows))
    return [
        {
            "name": column.name,
            "shape": [n_rows],
            "datatype": TYPES.get(column.name, "BYTES"),
            "data": [row[column.name] for row in rows],
        }
        for column in SCHEMA.features
    ]


def changed(which: str, /, **fields: Any) -> list[dict[str, Any]]:
    """The inputs with one tensor changed; a field of None is taken away."""
    tensors = inputs()
    (tensor,) = [one for one in tensors if one["name"] == which]
    tensor |= fields
    for field, value in fields.items():
        if value is None:
            del tensor[field]
    return tensors


def test_the_server_and_its_model_describe_themselves(door_rig: Rig) -> None:
    server = door_rig.ask("GET", "/v2").json()
    assert server["name"] == "tenfold"
    assert server["extensions"] == ["binary_tensor_data"]
    assert door_rig.ask("GET", "/v2/health/live").json() == {"live": True}
    assert door_rig.ask("GET", "/v2/health/ready").json() == {"live": True, "ready": True}
    for path in ("/v2/models/mixed", "/v2/models/mixed/versions/1"):
        model = door_rig.ask("GET", path).json()
        assert (model["name"], model["versions"]) == ("mixed", ["1"])
        assert [one["name"] for one in model["inputs"]] == [c.name for c in SCHEMA.features]
        found = {one["name"]: one["datatype"] for one in model["inputs"]}
        assert found == {c.name: TYPES.get(c.name, "BYTES") for c in SCHEMA.features}
        assert model["outputs"][2]["labels"] == ["no", "yes"]
        ready = door_rig.ask("GET", f"{path}/ready").json()
        assert ready == {"name": "mixed", "ready": True}


@pytest.mark.parametrize(
    "path",
    ["/v2/models/other", "/v2/models/mixed/versions/2", "/v2/models/mixed/versions/x", "/v2/more",
     "/v2/models/mixed/versions/01", "/v2x", "/v2/models/mixed/versions/1/more"],
)  # fmt: skip
def test_what_is_not_there_is_404_with_an_error_of_the_protocol(door_rig: Rig, path: str) -> None:
    reply = door_rig.ask("GET", path)
    assert reply.status == 404
    assert isinstance(reply.json()["error"], str)


def test_without_a_model_the_server_lives_and_is_not_ready(tmp_path: Any) -> None:
    rig = Rig(tmp_path / "live", ArmBoard())
    assert rig.ask("GET", "/v2/health/live").status == 200
    ready = rig.ask("GET", "/v2/health/ready")
    said = "no model answers: no model was configured yet"
    assert ready.status == 503
    assert ready.json() == {"live": True, "ready": False, "error": said}
    assert ready.headers[b"retry-after"] == b"1"
    model = rig.ask("GET", "/v2/models/mixed/ready").json()
    assert model == {"name": "mixed", "ready": False, "error": said}
    reply = rig.ask("POST", INFER, {"inputs": inputs()})
    assert (reply.status, type(reply.json()["error"])) == (503, str)
    rig.labels.close()


def test_an_answer_names_model_version_digest_and_arm(door_rig: Rig) -> None:
    answer = door_rig.ask("POST", INFER, {"inputs": inputs(), "id": "mine"}).json()
    arm = door_rig.board.lineup.arms[0]
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("mixed", "1", "mine")
    assert answer["parameters"] == {"digest": arm.digest, "arm": "champion"}
    assert [tensor["name"] for tensor in answer["outputs"]] == ["id", "value", "probabilities"]
    assert answer["outputs"][2]["shape"] == [2, 2]
    assert "id" not in door_rig.ask("POST", INFER, {"inputs": inputs()}).json()


def test_outputs_are_those_that_were_asked_for(door_rig: Rig) -> None:
    body = {
        "inputs": changed("age", data=[200, 30]),
        "outputs": [{"name": "warnings"}, {"name": "value", "parameters": {"binary_data": True}}],
    }
    reply = door_rig.ask("POST", INFER, body)
    head = int(reply.headers[b"inference-header-content-length"])
    warnings, value = orjson.loads(reply.body[:head])["outputs"]
    assert orjson.loads(warnings["data"][0])[0]["column"] == "age"
    assert value["parameters"]["binary_data_size"] == len(reply.body) - head
    asked = door_rig.ask("POST", f"{INFER}?with=warnings", {"inputs": inputs()}).json()
    assert [tensor["name"] for tensor in asked["outputs"]][-1] == "warnings"


def test_a_version_answers_whatever_the_split_says(publish: Publish, tmp_path: Any) -> None:
    rig = Rig(tmp_path / "live", board_with(publish(0), publish(1), weights=(0.5, 0.5)))
    for version in ("1", "2"):
        path = f"/v2/models/mixed/versions/{version}/infer"
        found = {
            rig.ask(
                "POST", path, {"inputs": inputs()}, headers=[(b"x-tenfold-key", b"%d" % k)]
            ).json()["model_version"]
            for k in range(8)
        }
        assert found == {version}
    rig.labels.close()


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        (changed("age", shape=[2, 2]), "its shape is [n] or [n, 1]"),
        (changed("age", shape=[-2]), "its shape is [n] or [n, 1]"),
        (changed("age", shape=[2.0]), "its shape is [n] or [n, 1]"),
        (changed("age", shape=[True]), "its shape is [n] or [n, 1]"),
        (changed("age", shape=[2**63]), "at most 50 rows"),
        (changed("age", shape=[3]), "has 2 values and its shape says 3"),
        (changed("age", shape=[1], data=[1]), "columns must have one length"),
        (changed("age", shape=[]), "its shape is [n] or [n, 1]"),
        (changed("age", shape=None), "its shape is [n] or [n, 1]"),
        (changed("age", data=None), "needs data"),
        (changed("age", data=[[1], 2]), "flat data, or one list per row"),
        (changed("age", data=["a", "b"]), "not of the type INT64"),
        (changed("age", data=[True, False]), "not of the type INT64"),
        (changed("age", datatype="FP8"), "one of the datatypes"),
        (changed("age", datatype=7), "one of the datatypes"),
        (changed("age", name=""), "has the name of its column"),
        (changed("age", name="amount"), "comes twice"),
        (changed("age", parameters=[]), "parameters is an object"),
        (changed("age", parameters={"binary_data_size": -1}), "which is not negative"),
        (changed("age", parameters={"binary_data_size": 8}), "either data or a binary_data_size"),
        (changed("age", data=None, parameters={"binary_data_size": 16}), "0 are left in the body"),
        (changed("age", data=None, parameters={"binary_data_size": 2**62}), "0 are left"),
        (changed("age", name="shoe"), "'age'"),
        ([7], "a tensor is an object"),
        ([], "a request has inputs"),
        ({}, "a request has inputs"),
        (inputs() * 3, "at most one tensor per column"),
        (
            [*inputs(), {"name": "age.missing", "shape": [2], "datatype": "INT8", "data": [0, 1]}],
            "must be BOOL",
        ),
        (
            [*inputs(), {"name": "age.missing", "shape": [1], "datatype": "BOOL", "data": [True]}],
            "must be BOOL, with one value for each",
        ),
        (
            [*inputs(), {"name": "x.missing", "shape": [2], "datatype": "BOOL",
                         "data": [True, True]}],
            "no such column",
        ),
    ],
)  # fmt: skip
def test_tensors_that_do_not_fit_are_refused(door_rig: Rig, tensors: Any, words: str) -> None:
    reply = door_rig.ask("POST", INFER, {"inputs": tensors})
    assert reply.status == 400
    assert words in reply.json()["error"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"id": 7}, "id is a text"),
        ({"id": "x" * 300}, "id is a text"),
        ({"parameters": 1}, "parameters is an object"),
        ({"parameters": {"binary_data_output": 1}}, "true or false"),
        ({"outputs": {}}, "outputs is a list"),
        ({"outputs": [{"name": "other"}]}, "one of the names"),
        ({"outputs": [7]}, "one of the names"),
        ({"outputs": [{"name": "id", "parameters": {"binary_data": "yes"}}]}, "true or false"),
    ],
)
def test_requests_that_do_not_fit_are_refused(door_rig: Rig, more: Any, words: str) -> None:
    reply = door_rig.ask("POST", INFER, {"inputs": inputs(), **more})
    assert reply.status == 400
    assert words in reply.json()["error"]


@pytest.mark.parametrize("length", [b"", b"-1", b"1e3", b"999999999999999", b"10"])
def test_the_header_says_where_the_json_ends(door_rig: Rig, length: bytes) -> None:
    headers = [(b"inference-header-content-length", length)]
    reply = door_rig.ask("POST", INFER, {"inputs": inputs()}, headers=headers)
    assert reply.status == 400


def test_a_type_may_be_left_out_but_not_by_a_page_in_a_browser(door_rig: Rig) -> None:
    empty = (b"content-type", b"")
    body = {"inputs": inputs()}
    assert door_rig.ask("POST", INFER, body, headers=[empty]).status == 200
    for more in ((b"origin", b"http://evil.example"), (b"origin", b"null")):
        assert door_rig.ask("POST", INFER, body, headers=[empty, more]).status == 415
    assert (
        door_rig.ask("POST", INFER, body, headers=[(b"content-type", b"text/plain")]).status == 415
    )


def test_bytes_behind_the_last_tensor_are_refused() -> None:
    head = orjson.dumps({"inputs": inputs()})
    with pytest.raises(RequestError, match="3 bytes of the body belong to no tensor"):
        read_infer(head + b"abc", header_bytes=b"%d" % len(head), max_rows=9, columns=SCHEMA.names)


def test_a_real_column_with_the_name_of_a_mask_is_a_column() -> None:
    tensors = [
        {"name": name, "shape": [1], "datatype": "BOOL", "data": [True]}
        for name in ("a", "a.missing")
    ]
    body = orjson.dumps({"inputs": tensors})
    asked = read_infer(body, header_bytes=None, max_rows=9, columns=("a", "a.missing"))
    assert asked.columns.cells == {"a": [True], "a.missing": [True]}
    asked = read_infer(body, header_bytes=None, max_rows=9, columns=("a",))
    assert asked.columns.cells == {"a": [None]}


def test_single_precision_is_the_same_number_in_both_forms() -> None:
    raw = np.array([0.1, -2.5], "<f4").tobytes()
    binary = unpack("x", "FP32", memoryview(raw), n_rows=2)
    assert parse_json("x", "FP32", [0.1, -2.5], n_rows=2) == binary.astype(float).tolist()


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)))))
def test_texts_come_back(texts: list[str]) -> None:
    assert unpack("x", "BYTES", memoryview(pack(texts)), n_rows=len(texts)) == texts


@given(st.sampled_from(sorted(NUMBERS)), st.binary(max_size=64), st.integers(0, 9))
def test_numbers_are_as_many_as_the_shape_says(datatype: str, raw: bytes, n_rows: int) -> None:
    fits = len(raw) == n_rows * NUMBERS[datatype].itemsize
    try:
        found = unpack("x", datatype, memoryview(raw), n_rows=n_rows)
    except RequestError:
        assert not fits
    else:
        assert fits
        assert len(found) == n_rows


@given(st.binary(max_size=40), st.integers(0, 5))
def test_bytes_are_texts_or_refused(raw: bytes, n_rows: int) -> None:
    try:
        texts = unpack("x", "BYTES", memoryview(raw), n_rows=n_rows)
    except RequestError:
        return
    assert pack(texts) == raw
