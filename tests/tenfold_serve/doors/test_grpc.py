"""The Open Inference Protocol over gRPC: a client we did not write, bad input, keys, limits."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pyarrow as pa
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tenfold.cluster.ports import free_port
from tenfold.errors import ClusterError, RequestError, UserError
from tenfold.project import load_project
from tenfold.settings import Settings
from tenfold.state import Keys, open_state
from tenfold.testing.mixed import json_rows, mixed_schema, mixed_table
from tenfold_serve.access import Access, KeyReader
from tenfold_serve.doors import grpc_door
from tenfold_serve.doors.grpc_messages import SERVICE, message, parameter
from tenfold_serve.doors.wire import TENSORS, check_parts
from tenfold_serve.endpoint import Endpoint
from tenfold_serve.grpc_server import GrpcPort, grpc_ports
from tenfold_serve.spool import segments
from tests.tenfold_serve.doors.grpc_live import ask, found, grpc_serving, infer_request
from tests.tenfold_serve.doors.through import DOORS
from tests.tenfold_serve.support import IDS, LIMITS, PROJECT, Publish, Rig, board_with

SCHEMA = mixed_schema()
ROWS = json_rows(SCHEMA, mixed_table(12, seed=4))


@pytest.fixture(scope="module")
def address(door_rig: Rig) -> Iterator[str]:
    with grpc_serving(door_rig.app) as where:
        yield where


@pytest.fixture(scope="module")
def expected(door_rig: Rig) -> Any:
    return DOORS["rows"](door_rig, SCHEMA, ROWS)


TRITON = """
import json, sys
import numpy as np
import tritonclient.grpc as triton

url, name = sys.argv[1], sys.argv[2]
sent = json.loads(sys.stdin.read())
client = triton.InferenceServerClient(url=url)
metadata = client.get_model_metadata(name, as_json=True)
told = {
    "live": client.is_server_live(),
    "ready": client.is_server_ready(),
    "model_ready": client.is_model_ready(name),
    "version_ready": client.is_model_ready(name, "1"),
    "other_ready": client.is_model_ready("other"),
    "server": client.get_server_metadata(as_json=True),
    "model": metadata,
}
types = {"FP64": np.float64, "INT64": np.int64, "BOOL": np.bool_, "BYTES": np.object_}
inputs = []
for tensor in sent:
    one = triton.InferInput(tensor["name"], [len(tensor["data"])], tensor["datatype"])
    one.set_data_from_numpy(np.array(tensor["data"], types[tensor["datatype"]]))
    inputs.append(one)
names = ["id", "value", "probabilities", "set", "explanation"]
for outputs in (None, [triton.InferRequestedOutput(n) for n in names]):
    answer = client.infer(
        name, inputs, outputs=outputs, request_id="r1", parameters={"level": "0.95"},
        headers={"x-request-id": "mine-1"},
    )
    told[str(outputs is None)] = {
        "id": answer.get_response().id,
        "values": [v.decode() for v in answer.as_numpy("value").tolist()],
        "scores": answer.as_numpy("probabilities").tobytes().hex(),
        "set": None if outputs is None else answer.as_numpy("set").tolist(),
        "shape": None if outputs is None else list(answer.as_numpy("explanation").shape),
    }
for call in (lambda: client.infer("other", inputs), lambda: client.infer(name, inputs[:2])):
    try:
        call()
    except triton.InferenceServerException as error:
        told.setdefault("errors", []).append([str(error.status()), error.message()])
print(json.dumps(told))
"""


def test_tritons_client_works_unchanged(door_rig: Rig, address: str, expected: Any) -> None:
    sent = []
    for column in SCHEMA.features:
        datatype = {"number": "FP64", "integer": "INT64", "boolean": "BOOL"}.get(
            column.kind.value, "BYTES"
        )
        values = [row[column.name] for row in ROWS]
        empty: Any = {"BYTES": "", "BOOL": False}.get(datatype, 0)
        filled = [empty if value is None else value for value in values]
        mask = [value is None for value in values]
        sent.append({"name": column.name, "datatype": datatype, "data": filled})
        sent.append({"name": f"{column.name}.missing", "datatype": "BOOL", "data": mask})
    done = subprocess.run(
        [sys.executable, "-c", TRITON, address, "mixed"],
        input=json.dumps(sent),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    for name in ("live", "ready", "model_ready", "version_ready"):
        assert told[name] is True
    assert told["other_ready"] is False
    assert told["server"]["name"] == "tenfold"
    assert told["model"]["versions"] == ["1"]
    assert [one["name"] for one in told["model"]["inputs"]] == [c.name for c in SCHEMA.features]
    for case in ("True", "False"):
        assert told[case]["id"] == "r1"
        assert told[case]["values"] == expected.values
        assert bytes.fromhex(told[case]["scores"]) == expected.scores
    predictor = door_rig.board.lineup.arms[0].predictor
    prediction = predictor.predict_rows(ROWS)
    assert told["False"]["set"] == predictor.sets(prediction, 0.95).tolist()
    assert told["False"]["shape"] == [12, len(SCHEMA.features)]
    (unknown, short) = told["errors"]
    assert unknown == ["StatusCode.NOT_FOUND", "the model here is mixed, not 'other'"]
    assert short[0] == "StatusCode.INVALID_ARGUMENT"
    assert "the column is missing" in short[1]


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "contents"])
def test_both_forms_of_a_tensor_give_the_same_bits(address: str, expected: Any, raw: bool) -> None:
    answer = ask(address, "ModelInfer", infer_request(SCHEMA, ROWS, raw=raw, id="q"))
    told = found(answer)
    assert (answer.model_name, answer.model_version, answer.id) == ("mixed", "1", "q")
    assert answer.parameters["arm"].string_param == "champion"
    assert told["value"] == expected.values
    assert told["probabilities"].tobytes() == expected.scores


def test_metadata_asks_for_more_as_headers_do(address: str) -> None:
    request = infer_request(SCHEMA, ROWS)
    answer = ask(
        address, "ModelInfer", request, x_tenfold_with="warnings,set", x_tenfold_level="0.99"
    )
    assert [output.name for output in answer.outputs][-2:] == ["warnings", "set"]
    assert answer.parameters["level"].double_param == 0.99
    request.parameters["level"].CopyFrom(parameter(0.6))
    answer = ask(address, "ModelInfer", request, x_tenfold_with="set")
    assert answer.parameters["level"].double_param == 0.6


def refusal(address: str, method: str, request: Any, **metadata: str) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as caught:
        ask(address, method, request, **metadata)
    error: Any = caught.value
    return error.code().name, error.details()


def changed(**fields: Any) -> Any:
    request = infer_request(SCHEMA, ROWS[:2])
    for name, value in fields.items():
        if isinstance(value, str):
            setattr(request, name, value)
        else:
            value(getattr(request, name))
    return request


BAD = {
    "another model": (changed(model_name="other"), "NOT_FOUND", "the model here is mixed"),
    "another version": (changed(model_version="7"), "NOT_FOUND", "versions that answer: 1; not 7"),
    "no version": (changed(model_version="one"), "NOT_FOUND", "a version is a number from 1"),
    "nothing": (message("ModelInferRequest")(model_name="mixed"), "INVALID_ARGUMENT", "has inputs"),
    "a raw one less": (
        changed(raw_input_contents=lambda raw: raw.pop()),
        "INVALID_ARGUMENT",
        "16 inputs have as many raw_input_contents, not 15",
    ),
    "a short tensor": (
        changed(raw_input_contents=lambda raw: raw.__setitem__(0, b"1234")),
        "INVALID_ARGUMENT",
        "has 4 bytes, and 2 values of FP64 have 16",
    ),
    "an unknown type": (
        changed(inputs=lambda inputs: setattr(inputs[0], "datatype", "FP128")),
        "INVALID_ARGUMENT",
        "has one of the datatypes BOOL",
    ),
    "twice": (
        changed(inputs=lambda inputs: setattr(inputs[2], "name", inputs[0].name)),
        "INVALID_ARGUMENT",
        "comes twice",
    ),
    "raw and typed": (
        changed(inputs=lambda inputs: inputs[0].contents.fp64_contents.append(1.0)),
        "INVALID_ARGUMENT",
        "has raw contents or fp64_contents, not both",
    ),
    "two columns in one": (
        changed(inputs=lambda inputs: inputs[0].shape.append(3)),
        "INVALID_ARGUMENT",
        "its shape is [n] or [n, 1]",
    ),
    "an unknown output": (
        changed(outputs=lambda outputs: outputs.add(name="secret")),
        "INVALID_ARGUMENT",
        "outputs are some of id, value",
    ),
    "a level of text": (
        changed(parameters=lambda found: found["level"].CopyFrom(parameter("high"))),
        "INVALID_ARGUMENT",
        "level is a number from 0.5 to 0.995",
    ),
    "too many rows": (infer_request(SCHEMA, ROWS * 5), "INVALID_ARGUMENT", "holds at most 50 rows"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_told_in_the_words_of_the_other_doors(address: str, name: str) -> None:
    request, code, words = BAD[name]
    told = refusal(address, "ModelInfer", request)
    assert told[0] == code
    assert words in told[1]


def test_typed_values_of_another_type_are_refused(address: str) -> None:
    request = infer_request(SCHEMA, ROWS[:2], raw=False)
    request.inputs[0].contents.Clear()
    request.inputs[0].contents.int64_contents.extend([1, 2])
    code, words = refusal(address, "ModelInfer", request)
    assert code == "INVALID_ARGUMENT"
    assert "FP64, stand in fp64_contents" in words
    request = infer_request(SCHEMA, ROWS[:2], raw=False)
    place = next(k for k, one in enumerate(request.inputs) if one.datatype == "BYTES")
    request.inputs[place].contents.bytes_contents[0] = b"\xff\xfe"
    assert "element 0 is no UTF-8" in refusal(address, "ModelInfer", request)[1]


def test_a_large_message_is_refused_also_when_it_is_sent_small(address: str) -> None:
    """The limit of a body holds, and for what a compressed message holds."""
    request = message("ModelInferRequest")(model_name="mixed", raw_input_contents=[b"0" * 100_000])
    assert refusal(address, "ModelInfer", request)[0] == "RESOURCE_EXHAUSTED"
    packed = [("grpc.default_compression_algorithm", grpc.Compression.Gzip.value)]
    with grpc.insecure_channel(address, options=packed) as channel:
        call = channel.unary_unary(f"/{SERVICE}/ModelInfer")
        bomb = message("ModelInferRequest")(raw_input_contents=[b"0" * 100_000_000])
        with pytest.raises(grpc.RpcError) as caught:
            call(bomb.SerializeToString(), timeout=20, compression=grpc.Compression.Gzip)
    assert caught.value.code().name == "RESOURCE_EXHAUSTED"  # type: ignore[attr-defined]


@pytest.mark.parametrize("repeated", [b"\x2a\x00", b"\x22\x00", b"\x32\x00", b"\x3a\x00"])
def test_a_message_of_small_parts_is_refused_before_it_is_made(
    address: str, repeated: bytes
) -> None:
    """Each two bytes would be an object of a hundred."""
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary(f"/{SERVICE}/ModelInfer")
        with pytest.raises(grpc.RpcError) as caught:
            call(repeated * 10_000, timeout=20)
    assert caught.value.code().name == "INVALID_ARGUMENT"  # type: ignore[attr-defined]
    assert "a message has at most" in caught.value.details()  # type: ignore[attr-defined]


Counts = st.lists(st.tuples(*[st.integers(0, 4)] * 3), max_size=5)


@given(Counts, st.integers(0, 3), st.integers(0, 3), st.binary(max_size=8))
def test_fields_are_counted_as_the_parser_would_make_them(
    inputs: list[tuple[int, int, int]], n_outputs: int, n_raw: int, text: bytes
) -> None:
    request = message("ModelInferRequest")(raw_input_contents=[text] * n_raw, id="i" * 200)
    n_fields = n_raw + 1
    for n_parameters, n_texts, n_shape in inputs:
        tensor = request.inputs.add(name="x", shape=[3] * n_shape)
        if n_texts:
            tensor.contents.bytes_contents.extend([text] * n_texts)
        for k in range(n_parameters):
            tensor.parameters[str(k)].double_param = 1.0
        n_fields += 2 + (n_shape > 0) + (n_texts > 0) + n_parameters  # itself, its name
    for _ in range(n_outputs):
        request.outputs.add(name="value").parameters["a"].bool_param = True
        n_fields += 3
    data = request.SerializeToString()
    check_parts(data, most=n_fields, within=TENSORS)
    with pytest.raises(RequestError, match=f"at most {n_fields - 1} fields"):
        check_parts(data, most=n_fields - 1, within=TENSORS)


@given(st.binary(max_size=200), st.integers(0, 20))
def test_bytes_of_any_kind_are_counted_or_refused(data: bytes, most: int) -> None:
    try:
        check_parts(data, most=most, within=TENSORS)
    except RequestError as error:
        assert str(error) == "the message is broken" or f"at most {most} fields" in str(error)


@pytest.mark.parametrize(
    "data",
    [
        b"\x7b\x7c" + b"\x2a\x00" * 10_000,  # a group ahead of them
        b"\x2a\xc0\x9a\x0c" + b"\x22\x00" * 100_000 + b"\x08",  # and an end in the middle
        b"\x2a\x00" * 10_000 + b"\x08",
        b"\xff" * 30_000,
    ],
)
def test_what_is_broken_is_refused_before_it_is_parsed(data: bytes) -> None:
    with pytest.raises(RequestError):
        check_parts(data, most=1000, within=TENSORS)


def test_keys_hold_at_this_door_too(door_rig: Rig, settings: Settings, tmp_path: Path) -> None:
    keys = Keys(open_state(settings).engine)
    texts = {role: keys.add("mixed", [role])[1] for role in ("predict", "feedback")}
    access = Access(KeyReader(settings, "mixed"))
    access.refresh()
    rig = Rig(tmp_path / "live", door_rig.board, access=access)
    request = infer_request(SCHEMA, ROWS[:2])
    with grpc_serving(rig.app) as address:
        assert ask(address, "ServerLive", message("ServerLiveRequest")()).live
        assert ask(address, "ServerReady", message("ServerReadyRequest")()).ready
        for method in ("ModelInfer", "ModelMetadata", "ServerMetadata", "ModelReady"):
            asked = request if method == "ModelInfer" else message(f"{method}Request")()
            code, words = refusal(address, method, asked)
            assert code == "UNAUTHENTICATED"
            assert "a valid key is needed" in words
        told = refusal(address, "ModelInfer", request, authorization=f"Bearer {texts['feedback']}")
        assert told[0] == "PERMISSION_DENIED"
        answer = ask(address, "ModelInfer", request, authorization=f"Bearer {texts['predict']}")
        assert len(found(answer)["value"]) == 2
    rig.labels.close()


def test_requests_are_counted_and_recorded_like_others(door_rig: Rig, tmp_path: Path) -> None:
    rig = Rig(tmp_path / "live", door_rig.board)
    with grpc_serving(rig.app) as address:
        told = found(ask(address, "ModelInfer", infer_request(SCHEMA, ROWS)))
        refusal(address, "ModelInfer", changed(model_name="other"))
        ask(address, "ServerReady", message("ServerReadyRequest")())
    assert rig.recorder.stats.statuses == {200: 1, 404: 1}
    assert [IDS.check(one) for one in told["id"]] == [True] * len(ROWS)
    rig.recorder.flush()
    (segment,) = segments(rig.folder, "predictions")
    with pa.OSFile(str(segment.path)) as file:
        assert pa.ipc.open_file(file).read_all().num_rows == len(ROWS)
    rig.labels.close()


def test_a_call_without_its_message_gives_its_place_back(
    tmp_path: Path, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grpc_door, "_ARRIVES_S", 0.5)
    rig = Rig(tmp_path / "live", board_with(publish(0)))
    name = f"/{SERVICE}/ModelInfer"
    with grpc_serving(rig.app, max_calls=1) as address, grpc.insecure_channel(address) as channel:
        never = threading.Event()
        silent = channel.stream_unary(name).future(iter(never.wait, object()), timeout=60)
        with pytest.raises(grpc.RpcError) as late:
            silent.result()
        assert late.value.code().name == "DEADLINE_EXCEEDED"  # type: ignore[attr-defined]
        assert "arrives whole within 0.5 s" in late.value.details()  # type: ignore[attr-defined]
        with pytest.raises(grpc.RpcError) as empty:
            channel.stream_unary(name)(iter(()), timeout=60)
        assert "none came" in empty.value.details()  # type: ignore[attr-defined]
        assert answers_again(address)
        never.set()
    rig.labels.close()


def answers_again(address: str) -> bool:
    """The place of a call that was answered is free a moment later."""
    for _ in range(100):
        try:
            return bool(ask(address, "ServerLive", message("ServerLiveRequest")()).live)
        except grpc.RpcError as error:
            assert error.code().name == "RESOURCE_EXHAUSTED"  # type: ignore[attr-defined]
    return False


def test_more_calls_than_allowed_are_refused_at_once(tmp_path: Path, publish: Publish) -> None:
    """One call is explained for the first time, which takes a child process; none fits beside."""
    rig = Rig(tmp_path / "live", board_with(publish(0)))
    with grpc_serving(rig.app, max_calls=1) as address, ThreadPoolExecutor(1) as pool:
        request = infer_request(SCHEMA, ROWS[:1])

        def explained() -> Any:
            while True:  # the questions below take the only place too, for a moment
                try:
                    return ask(address, "ModelInfer", request, x_tenfold_with="explanation")
                except grpc.RpcError as error:
                    assert error.code().name == "RESOURCE_EXHAUSTED"  # type: ignore[attr-defined]

        slow, codes = pool.submit(explained), set()
        while not slow.done() and "RESOURCE_EXHAUSTED" not in codes:
            try:
                ask(address, "ServerLive", message("ServerLiveRequest")())
            except grpc.RpcError as error:
                codes.add(error.code().name)  # type: ignore[attr-defined]
        assert "RESOURCE_EXHAUSTED" in codes
        assert "explanation" in found(slow.result())
        assert answers_again(address)
    rig.labels.close()


def test_replicas_share_a_port_and_hand_over(door_rig: Rig) -> None:
    """As when a replica is replaced: the new one listens before the old one stops."""

    async def change() -> list[bool]:
        old = door_rig.app.grpc_server(GrpcPort(0))
        port = await old.start()
        new = door_rig.app.grpc_server(GrpcPort(port))
        assert await new.start() == port
        await old.stop()
        ready = []
        for _ in range(5):
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                call = channel.unary_unary(
                    f"/{SERVICE}/ServerReady",
                    response_deserializer=message("ServerReadyResponse").FromString,
                )
                waiting = call(b"", metadata=[("x-request-id", "mine-9")])
                ready.append((await waiting).ready)
                assert dict(await waiting.trailing_metadata())["x-request-id"] == "mine-9"
        await new.stop()
        return ready

    assert asyncio.run(change()) == [True] * 5


def test_it_listens_from_startup_to_shutdown_of_the_application(door_rig: Rig) -> None:
    port = free_port()
    app = Endpoint(
        "mixed",
        board=door_rig.board,
        ids=IDS,
        recorder=door_rig.recorder,
        labels=door_rig.labels,
        metrics=door_rig.metrics,
        limits=LIMITS,
        grpc=GrpcPort(port),
    )

    async def life() -> list[str]:
        messages: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        sent: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        running = asyncio.ensure_future(app({"type": "lifespan"}, messages.get, sent.put))
        await messages.put({"type": "lifespan.startup"})
        said = [(await sent.get())["type"]]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_unary(
                f"/{SERVICE}/ServerReady",
                response_deserializer=message("ServerReadyResponse").FromString,
            )
            assert (await call(b"")).ready
        await messages.put({"type": "lifespan.shutdown"})
        said.append((await sent.get())["type"])
        await running
        return said

    assert asyncio.run(life()) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    with socket.socket() as again:
        again.bind(("127.0.0.1", port))


def test_a_port_of_somebody_else_is_refused(door_rig: Rig) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        server = door_rig.app.grpc_server(GrpcPort(other.getsockname()[1]))
        with pytest.raises(ClusterError, match=r"the gRPC door needs 127\.0\.0\.1:\d+ and it is"):
            asyncio.run(server.start())


def test_each_project_has_a_port_of_its_own(tmp_path: Path) -> None:
    projects = []
    for name, port in (("one", 9001), ("two", 9002), ("three", None)):
        path = tmp_path / f"{name}.yaml"
        serve = {} if port is None else {"serve": {"grpc_port": port}}
        path.write_text(yaml.safe_dump({**PROJECT, "name": name, **serve}))
        projects.append(load_project(path))
    assert grpc_ports(projects, taken=8000) == [9001, 9002]
    with pytest.raises(UserError, match=r"serve.grpc_port 9002 of 'two' is that of the endpoint"):
        grpc_ports(projects, taken=9002)
    with pytest.raises(UserError, match=r"serve.grpc_port 9001 of 'one' is that of one"):
        grpc_ports([projects[0], projects[0]], taken=8000)
