"""A hand-written FastAPI with the booster or with ONNX: ``MODEL PORT``, by the model's suffix."""

import sys

import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import create_model

MODEL, PORT = sys.argv[1], int(sys.argv[2])
NAMES = [f"x{k:02d}" for k in range(20)]
Row = create_model("Row", **dict.fromkeys(NAMES, (float, ...)))


def load(path):
    if path.endswith(".onnx"):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return lambda matrix: float(session.run(None, {name: matrix})[-1][0, 1])
    import xgboost

    booster = xgboost.Booster(model_file=path)
    booster.set_param({"nthread": 1})
    return lambda matrix: float(booster.inplace_predict(matrix)[0])


score = load(MODEL)
app = FastAPI()


@app.post("/predict")
async def predict(row: Row) -> dict:
    matrix = np.array([[getattr(row, name) for name in NAMES]], dtype=np.float32)
    value = score(matrix)
    return {"value": "yes" if value >= 0.5 else "no", "probability": value}


uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="error", access_log=False)
