"""AutoGluon's TabularPredictor at one preset, within the seconds."""

import json
import statistics
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from autogluon.tabular import TabularPredictor

METRICS = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "root_mean_squared_error"}


def main():
    ask = json.loads(Path(sys.argv[1]).read_text())
    began = time.monotonic()
    train, test = pd.read_csv(ask["train"]), pd.read_csv(ask["test"])
    if ask["task"] != "regression":
        train[ask["target"]] = train[ask["target"]].astype(str).str.strip()
    predictor = TabularPredictor(
        ask["target"], problem_type=ask["task"], eval_metric=METRICS[ask["task"]],
        path=str(Path(ask["out"]) / "models"), verbosity=0,
    )  # fmt: skip
    left = ask["seconds"] - (time.monotonic() - began)
    predictor.fit(train, presets=ask["preset"], time_limit=left, num_cpus=2, num_gpus=0)
    predictor.persist()

    def predict(frame):
        if ask["task"] == "regression":
            return predictor.predict(frame).to_numpy().reshape(-1, 1)
        return predictor.predict_proba(frame).to_numpy()

    scores = predict(test)
    times = []
    for row in range(min(30, len(test))):
        began = time.perf_counter()
        predict(test.iloc[row : row + 1])
        times.append(time.perf_counter() - began)
    out = Path(ask["out"])
    np.save(out / "scores.npy", scores.astype(np.float64))
    names = [] if ask["task"] == "regression" else [str(name) for name in predictor.class_labels]
    facts = {
        "classes": names, "row_ms": 1000 * statistics.median(times),
        "chosen": predictor.model_best, "version": version("autogluon.tabular"),
    }  # fmt: skip
    (out / "facts.json").write_text(json.dumps(facts))


main()
