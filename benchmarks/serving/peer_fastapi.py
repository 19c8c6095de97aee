"""A hand-written FastAPI with the booster or with ONNX: ``MODEL PORT [COLUMNS]``, by the model's
suffix. Without the file of columns there are 20 numbers; in it a category's words stand in the
order of their codes."""

import json
import sys
from pathlib import Path

import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import Field, create_model

MODEL, PORT = sys.argv[1], int(sys.argv[2])
COLUMNS = [[f"x{k:02d}", None] for k in range(20)]
if len(sys.argv) > 3:
    COLUMNS = json.loads(Path(sys.argv[3]).read_text())
CODES = {
    f"c{k}": words and {word: code for code, word in enumerate(words)}
    for k, (_, words) in enumerate(COLUMNS)
}
fields = {
    f"c{k}": (str | None if words else float, Field(None if words else ..., alias=name))
    for k, (name, words) in enumerate(COLUMNS)
}
Row = create_model("Row", **fields)


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
    values = [
        getattr(row, name) if codes is None else codes.get(getattr(row, name), np.nan)
        for name, codes in CODES.items()
    ]
    matrix = np.array([values], dtype=np.float32)
    value = score(matrix)
    return {"value": "yes" if value >= 0.5 else "no", "probability": value}


uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="error", access_log=False)
