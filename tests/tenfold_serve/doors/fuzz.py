"""Mutated bodies against every decoder, in a process of its own, so that a crash is seen as one.

::

    python -m tests.tenfold_serve.doors.fuzz DECODER SEED --rounds 500
    python -m tests.tenfold_serve.doors.fuzz DECODER SEED --seconds 600

It prints how many bodies got which status, and ends with an error on the first 5xx; the body is
then in the file ``failed.bin`` of the folder it ran in.
"""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from tenfold.registry import Registry
from tenfold.settings import Settings
from tenfold.testing.mixed import json_rows, wide_schema, wide_table
from tests.tenfold_serve.doors.through import ARROW_TYPE, _pack, _tensor, arrow_table, stream
from tests.tenfold_serve.support import Rig, board_with, call, make_artifact

SCHEMA = wide_schema()
INFER = "/v2/models/mixed/infer"
JSON_TYPE = (b"content-type", b"application/json")
Request = tuple[str, bytes, list[tuple[bytes, bytes]]]

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


def fuzz(decoder: str, seed: int, *, go_on: Callable[[int], bool]) -> Counter[int]:
    """Send mutated bodies until told to stop; the statuses.

    Raises:
        AssertionError: one was answered with 5xx.
    """
    rng = random.Random(seed)
    good = seeds()[decoder]
    statuses: Counter[int] = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_artifact(folder / "artifact", wide=True)
        registry = Registry(Settings.from_env({"TENFOLD_HOME": str(folder / "home")}))
        rig = Rig(folder / "live", board_with(registry.publish("mixed", folder / "artifact")))
        try:
            asyncio.run(_send(rig, good, rng, statuses, go_on))
        finally:
            rig.labels.close()
    return statuses


async def _send(
    rig: Rig,
    good: list[Request],
    rng: random.Random,
    statuses: Counter[int],
    go_on: Callable[[int], bool],
) -> None:
    for path, body, headers in good:
        assert (await call(rig.app, "POST", path, body, headers=headers)).status in {200, 202}
    n_sent = 0
    while go_on(n_sent):
        path, body, headers = rng.choice(good)
        data = mutate(rng, body)
        last = Path("last.bin")
        last.write_bytes(data)  # what a crash leaves behind
        reply: Any = await call(rig.app, "POST", path, data, headers=headers)
        if reply.status >= 500:
            last.rename("failed.bin")
            raise AssertionError(f"{path} answered {reply.status}: {reply.body!r}")
        statuses[reply.status] += 1
        n_sent += 1
        if n_sent % 500 == 0:
            rig.recorder.flush()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("decoder", choices=list(seeds()))
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
