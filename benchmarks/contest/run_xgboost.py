"""XGBoost with tuned defaults (pytabkit's) and early stopping on a tenth of the rows."""

import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import xgboost
from frames import categories

DEFAULTS = {
    "classes": {
        "eta": 0.08, "max_depth": 6, "min_child_weight": 5e-6, "reg_lambda": 0,
        "colsample_bylevel": 0.9, "subsample": 0.65,
    },
    "regression": {
        "eta": 0.05, "max_depth": 9, "min_child_weight": 2, "reg_lambda": 0, "subsample": 0.7,
    },
}  # fmt: skip
PATIENCE = 300
ROUNDS = 1000


def main():
    ask = json.loads(Path(sys.argv[1]).read_text())
    train, test = pd.read_csv(ask["train"]), pd.read_csv(ask["test"])
    target = train.pop(ask["target"])
    train, test = categories(train, test)
    regression = ask["task"] == "regression"
    classes = [] if regression else sorted(target.astype(str).str.strip().unique())
    truth = target if regression else target.astype(str).str.strip().map(classes.index)
    hold = np.random.default_rng(ask["seed"]).random(len(train)) < 0.1
    params = {**DEFAULTS["regression" if regression else "classes"], "seed": ask["seed"]}
    if regression:
        params["objective"] = "reg:squarederror"
    elif len(classes) == 2:
        params["objective"] = "binary:logistic"
    else:
        params |= {"objective": "multi:softprob", "num_class": len(classes)}
    make = {"enable_categorical": True}
    fit = xgboost.DMatrix(train[~hold], truth[~hold], **make)
    stop = xgboost.DMatrix(train[hold], truth[hold], **make)
    booster = xgboost.train(
        params, fit, ROUNDS, evals=[(stop, "stop")], early_stopping_rounds=PATIENCE,
        verbose_eval=False,
    )  # fmt: skip
    rounds = (0, booster.best_iteration + 1)

    def predict(frame):
        raw = booster.predict(xgboost.DMatrix(frame, **make), iteration_range=rounds)
        return np.column_stack([1 - raw, raw]) if len(classes) == 2 else raw.reshape(len(frame), -1)

    scores = predict(test)
    times = []
    for row in range(min(100, len(test))):
        began = time.perf_counter()
        predict(test.iloc[row : row + 1])
        times.append(time.perf_counter() - began)
    out = Path(ask["out"])
    np.save(out / "scores.npy", scores.astype(np.float64))
    facts = {
        "classes": classes, "row_ms": 1000 * statistics.median(times),
        "chosen": f"{rounds[1]} rounds", "version": xgboost.__version__,
    }  # fmt: skip
    (out / "facts.json").write_text(json.dumps(facts))


main()
