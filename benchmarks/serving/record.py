"""What split, ids, totals and recorder cost a request: CPU of the whole process.

A hundred thousand one-row requests of the reference model between two arms; every 4,000 (about a
second of the highest measured load) the recorder does what it does between requests and in its
thread: count into the frozen bins, report, write the segment for the log.
"""

from __future__ import annotations

import gc
import tempfile
import time
from pathlib import Path

import numpy as np

from _form import Form
from serving.reference import N_NUMBERS, PROJECT, rows_of
from tenfold.inference import Predictor
from tenfold_serve.answers import Entry
from tenfold_serve.arms import arm_config, load_arm
from tenfold_serve.ids import IdMaker
from tenfold_serve.recorder import Recorder
from tenfold_serve.traffic import choose_arm, request_key

__all__ = ["measure_record"]

N_CALLS = 100_000
_ROUND = 4000
BUDGET_US = 12.0


def measure_record(form: Form, folder: Path) -> None:
    digest = Predictor.load(folder).digest
    arm = load_arm(arm_config("champion", version=1, digest=digest, path=folder, weight=0.9))
    values = np.random.default_rng(3).normal(size=(1, N_NUMBERS))
    rows = rows_of(values)
    prediction = arm.predictor.predict_codes(values)
    ids = IdMaker(b"s" * 32, project=PROJECT)
    with tempfile.TemporaryDirectory() as name:
        recorder = Recorder(
            project=PROJECT, replica="r", app="r.1", folder=Path(name), sink=lambda _report: None
        )
        stats = recorder.stats
        gc.collect()
        gc.freeze()  # as the replica does
        whole, request = time.process_time(), 0.0
        for start in range(0, N_CALLS, _ROUND):
            began = time.process_time()
            for number in range(start, start + _ROUND):
                key = request_key(None, rows, (), b"request-%d" % number)
                choose_arm((0.9, 0.1), key, salt=b"bench")
                now_ms = time.time_ns() // 1_000_000
                made = ids.make(1, millis=now_ms)
                recorder.offer(
                    Entry(made, rows, values, prediction.scores, prediction.values, arm, now_ms)
                )
                stats.add(200, 0.0004)
            request += time.process_time() - began
            recorder.flush()
        whole = time.process_time() - whole
        gc.unfreeze()
        assert recorder.dropped_rows == 0
    form.add("record_us", whole / N_CALLS * 1e6)
    form.add("record_request_us", request / N_CALLS * 1e6)
    form.add("record_budget_us", BUDGET_US)
    form.table(
        f"Split, id, totals and recorder, {N_CALLS:,} one-row requests",
        ["where", "us of CPU a request"],
        [
            ["in the request", f"{request / N_CALLS * 1e6:.2f}"],
            ["with what follows", f"{whole / N_CALLS * 1e6:.2f}"],
        ],
    )
