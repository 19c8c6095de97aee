"""Ray Serve as it comes, its own proxy, with the booster: ``MODEL PORT FOLDER``."""

import signal
import sys
import threading

import numpy as np
import ray
import xgboost
from ray import serve
from starlette.requests import Request

MODEL, PORT, FOLDER = sys.argv[1], int(sys.argv[2]), sys.argv[3]
NAMES = [f"x{k:02d}" for k in range(20)]


@serve.deployment
class Scorer:
    def __init__(self, path: str) -> None:
        self.booster = xgboost.Booster(model_file=path)
        self.booster.set_param({"nthread": 1})

    async def __call__(self, request: Request) -> dict:
        row = await request.json()
        matrix = np.array([[row[name] for name in NAMES]], dtype=np.float32)
        value = float(self.booster.inplace_predict(matrix)[0])
        return {"value": "yes" if value >= 0.5 else "no", "probability": value}


stop = threading.Event()
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: stop.set())
ray.init(address="local", include_dashboard=False, _temp_dir=FOLDER, log_to_driver=False)
serve.start(http_options={"host": "127.0.0.1", "port": PORT})
serve.run(Scorer.bind(MODEL), route_prefix="/predict")
stop.wait()
serve.shutdown()
ray.shutdown()
