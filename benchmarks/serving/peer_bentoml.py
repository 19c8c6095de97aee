"""BentoML with the booster, as its guides write it; the model's path is in ``PEER_MODEL``."""

import os

import bentoml
import numpy as np
import xgboost


@bentoml.service
class Scorer:
    def __init__(self) -> None:
        self.booster = xgboost.Booster(model_file=os.environ["PEER_MODEL"])
        self.booster.set_param({"nthread": 1})

    @bentoml.api
    def predict(self, rows: np.ndarray) -> np.ndarray:
        return self.booster.inplace_predict(rows.astype(np.float32))
