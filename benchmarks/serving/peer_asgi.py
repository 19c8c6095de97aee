"""A bare ASGI application with ONNX, no checks at all: ``MODEL PORT``. The limit above us."""

import sys

import numpy as np
import onnxruntime
import orjson
import uvicorn

MODEL, PORT = sys.argv[1], int(sys.argv[2])
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(MODEL, options, providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name


async def app(scope, receive, send):
    body = (await receive())["body"]
    matrix = np.array([list(orjson.loads(body).values())], dtype=np.float32)
    scores = session.run(None, {name: matrix})[-1]
    answer = orjson.dumps(scores.tolist())
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(answer)).encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


uvicorn.run(
    app, host="127.0.0.1", port=PORT, log_level="error", access_log=False, loop="uvloop",
    http="httptools", lifespan="off",
)  # fmt: skip
