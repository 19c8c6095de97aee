"""Mutated bytes against every decoder, in a process of its own, so that a crash is seen as one:
the bodies of requests, and the files of an artifact that are read before the model.

::

    python -m tests.tenfold_serve.doors.fuzz DECODER SEED --rounds 500
    python -m tests.tenfold_serve.doors.fuzz DECODER SEED --seconds 600

It prints how many got which status (400 is what a refused file gets), and ends with an error on the
first 5xx; the bytes are then in the file ``failed.bin`` of the folder it ran in.
"""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import itertools
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import orjson
import pyarrow as pa

from tenfold.artifact import MANIFEST_FILE, PREPROCESS_FILE, read_artifact, write_artifact
from tenfold.errors import ArtifactError
from tenfold.inference import Predictor
from tenfold.registry import Registry
from tenfold.settings import Settings
from tenfold.testing.artifacts import small_artifact, small_files
from tenfold.testing.mixed import json_rows, mixed_table, wide_schema, wide_table
from tenfold_serve.doors.grpc_messages import SERVICE
from tests.tenfold_serve.doors.grpc_live import grpc_serving, infer_request
from tests.tenfold_serve.doors.through import ARROW_TYPE, _pack, _tensor, arrow_table, stream
from tests.tenfold_serve.support import Rig, board_with, call, make_artifact

SCHEMA = wide_schema()
INFER = "/v2/models/mixed/infer"
JSON_TYPE = (b"content-type", b"application/json")
Request = tuple[str, bytes, list[tuple[bytes, bytes]]]
Send = Callable[[int, bytes], Awaitable[int]]
GRPC = "grpc"
FILES = {"manifest": MANIFEST_FILE, "preprocess": PREPROCESS_FILE}
REFUSED = {"INVALID_ARGUMENT", "NOT_FOUND"}

BITS = (b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\x00\x00\x00\x80", b"\xff\xff\xff\x7f", b"\x01")
WORDS = (b"null", b"true", b"-1", b"1e999", b"[]", b"{}", b'""', b'"\\u0000"', b"9" * 30, b"NaN",
         b"[[[[", b'"age":', b'"\xf0\x9f\x98\x80"', b"1.5", b'"39"')  # fmt: skip


def seeds() -> dict[str, list[Request]]:
    """Good requests, from which the others are made."""
    rows = json_rows(SCHEMA, wide_table(5, seed=2))
    columns = {column.name: [row[column.name] for row in rows] for column in SCHEMA.features}
    types = {"number": "FP64", "integer": "INT64", "boolean": "BOOL"}
    tensors, raw = [], []
    for column in SCHEMA.features:
        datatype = types.get(column.kind.value, "BYTES")
        data = _pack(column, datatype, columns[column.name])
        tensors.append(_tensor(column.name, datatype, 5, data))
        raw.append(data)
    head = orjson.dumps({"inputs": tensors, "parameters": {"binary_data_output": True}})
    length = (b"inference-header-content-length", str(len(head)).encode())
    plain = [
        {
            "name": column.name,
            "shape": [5],
            "datatype": types.get(column.kind.value, "BYTES"),
            "data": columns[column.name],
        }
        for column in SCHEMA.features
    ]
    table = arrow_table(SCHEMA, rows)
    coded = pa.table(
        [c.dictionary_encode() if pa.types.is_string(c.type) else c for c in table.columns],
        names=table.column_names,
    )
    return {
        "json": [
            ("/predict", orjson.dumps({"rows": rows}), [JSON_TYPE]),
            ("/predict", orjson.dumps({"columns": columns}), [JSON_TYPE]),
            ("/feedback", b'{"labels": [{"id": "x", "label": "yes"}]}', [JSON_TYPE]),
        ],
        "v2": [(INFER, orjson.dumps({"inputs": plain, "outputs": [{"name": "id"}]}), [JSON_TYPE])],
        "v2-binary": [
            (INFER, head + b"".join(raw), [(b"content-type", b"application/octet-stream"), length])
        ],
        "arrow": [
            ("/predict?with=warnings", stream(table), [ARROW_TYPE]),
            ("/predict", stream(coded), [ARROW_TYPE]),
            ("/predict", stream(*table.slice(0, 2).to_batches(), table.slice(2)), [ARROW_TYPE]),
        ],
    }


def mutate(rng: random.Random, body: bytes) -> bytes:
    """One to eight small changes."""
    data = bytearray(body)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        place = rng.randrange(len(data) + 1)
        size = rng.choice((1, 1, 2, 4, 8, 64))
        kind = rng.randrange(7)
        if kind == 0 and data:
            data[place % len(data)] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[place : place + 4] = rng.choice(BITS)
        elif kind == 2:
            data[place:place] = rng.choice(WORDS)
        elif kind == 3:
            del data[place : place + size]
        elif kind == 4:
            data[place : place + size] = rng.randbytes(size)
        elif kind == 5:
            other = rng.randrange(len(data) + 1)
            data[place:place] = data[other : other + size]
        else:
            del data[place:]
    return bytes(data)


@contextmanager
def opened(decoder: str, folder: Path) -> Iterator[tuple[list[bytes], Send]]:
    """Good bytes for a decoder, and what sends changed ones of them and tells the status."""
    if decoder in FILES:
        with _files(FILES[decoder], folder) as found:
            yield found
        return
    make_artifact(folder / "artifact", wide=True)
    registry = Registry(Settings.from_env({"TENFOLD_HOME": str(folder / "home")}))
    rig = Rig(folder / "live", board_with(registry.publish("mixed", folder / "artifact")))
    try:
        with _grpc(rig) if decoder == GRPC else _http(rig, seeds()[decoder]) as found:
            yield found
    finally:
        rig.labels.close()


@contextmanager
def _http(rig: Rig, good: list[Request]) -> Iterator[tuple[list[bytes], Send]]:
    numbers = itertools.count(1)

    async def send(number: int, data: bytes) -> int:
        path, _, headers = good[number]
        reply: Any = await call(rig.app, "POST", path, data, headers=headers)
        if next(numbers) % 500 == 0:
            rig.recorder.flush()
        return int(reply.status)

    yield [body for _, body, _ in good], send


@contextmanager
def _grpc(rig: Rig) -> Iterator[tuple[list[bytes], Send]]:
    """Through a real port: what answers is gRPC's own parser as well as ours."""
    rows = json_rows(SCHEMA, wide_table(5, seed=2))
    good = [infer_request(SCHEMA, rows, raw=raw).SerializeToString() for raw in (True, False)]
    with grpc_serving(rig.app) as address, grpc.insecure_channel(address) as channel:
        infer = channel.unary_unary(f"/{SERVICE}/ModelInfer")

        async def send(number: int, data: bytes) -> int:
            try:
                infer(data, timeout=20)
            except grpc.RpcError as error:
                refused = error.code().name in REFUSED  # type: ignore[attr-defined]
                return 400 if refused else 500
            return 200

        yield good, send


@contextmanager
def _files(name: str, folder: Path) -> Iterator[tuple[list[bytes], Send]]:
    """A file of an artifact; but for the manifest itself every digest is right."""
    small_artifact(folder / "good", family="linear")
    files = dict(read_artifact(folder / "good").files)
    manifest = (folder / "good" / MANIFEST_FILE).read_bytes()
    _, draft = small_files("linear")
    table = mixed_table(20)

    async def send(number: int, data: bytes) -> int:
        bad = folder / "bad"
        try:
            if name == MANIFEST_FILE:
                shutil.copytree(folder / "good", bad)
                (bad / name).write_bytes(data)
            else:
                write_artifact(bad, files=files | {name: data}, manifest=draft)
            Predictor.load(bad).predict_table(table)
        except ArtifactError:
            return 400
        finally:
            shutil.rmtree(bad, ignore_errors=True)
        return 200

    yield [manifest if name == MANIFEST_FILE else files[name]], send


def fuzz(decoder: str, seed: int, *, go_on: Callable[[int], bool]) -> Counter[int]:
    """Send mutated bytes until told to stop; the statuses.

    Raises:
        AssertionError: some were answered with 5xx.
    """
    rng = random.Random(seed)
    statuses: Counter[int] = Counter()
    with tempfile.TemporaryDirectory() as name, opened(decoder, Path(name)) as (good, send):
        asyncio.run(_send(good, send, rng, statuses, go_on))
    return statuses


async def _send(
    good: list[bytes],
    send: Send,
    rng: random.Random,
    statuses: Counter[int],
    go_on: Callable[[int], bool],
) -> None:
    for number, body in enumerate(good):
        assert await send(number, body) in {200, 202}
    n_sent = 0
    while go_on(n_sent):
        number = rng.randrange(len(good))
        data = mutate(rng, good[number])
        last = Path("last.bin")
        last.write_bytes(data)  # what a crash leaves behind
        status = await send(number, data)
        if status >= 500:
            last.rename("failed.bin")
            raise AssertionError(f"request {number} changed to failed.bin got {status}")
        statuses[status] += 1
        n_sent += 1
    for number, body in enumerate(good):  # it is as open as before
        assert await send(number, body) in {200, 202}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("decoder", choices=[*seeds(), GRPC, *FILES])
    parser.add_argument("seed", type=int)
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0.0)
    asked = parser.parse_args()
    faulthandler.enable()
    end = time.monotonic() + asked.seconds
    statuses = fuzz(
        asked.decoder,
        asked.seed,
        go_on=lambda n: n < asked.rounds or time.monotonic() < end,
    )
    sys.stdout.write(json.dumps({str(k): v for k, v in sorted(statuses.items())}) + "\n")


if __name__ == "__main__":
    main()
