"""Ten swaps of the model under load, one replica; the clients' own journals say what failed."""

from __future__ import annotations

import http.client
import json
import statistics
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from _form import Form
from serving.ours import Ours
from serving.reference import N_NUMBERS, PROJECT, rows_of
from tenfold.inference import Predictor, prediction_items

__all__ = ["measure_swaps"]

N_SWAPS = 10
_CLIENTS = 4
_PATIENCE_S = 60.0


@dataclass
class Journal:
    """What one client saw; it alone writes.

    Attributes:
        answers: time, version and (digest, probabilities) of each answer.
        failures: what else happened.
    """

    answers: list[tuple[float, int, tuple[str, str]]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def measure_swaps(form: Form, ours: Ours, artifacts: Mapping[int, Path]) -> None:
    """Swap between two published versions.

    Args:
        form: takes the numbers.
        ours: the endpoint; the first version answers.
        artifacts: the folder of each version's artifact.
    """
    rows = rows_of(np.random.default_rng(4).normal(size=(2, N_NUMBERS)))
    right = {version: _expected(folder, rows) for version, folder in artifacts.items()}
    journals = [Journal() for _ in range(_CLIENTS)]
    stop = threading.Event()
    body = json.dumps({"rows": rows}).encode()
    threads = [
        threading.Thread(target=_client, args=(ours.port, body, journal, stop))
        for journal in journals
    ]
    for thread in threads:
        thread.start()
    seconds, after_probe = [], []
    first, second = artifacts
    try:
        while not all(journal.answers for journal in journals):
            time.sleep(0.01)
        for number in range(N_SWAPS):
            wanted = first if number % 2 else second
            began = time.monotonic()
            ours.promote(PROJECT, wanted)
            while not all(j.answers and j.answers[-1][1] == wanted for j in journals):
                assert time.monotonic() - began < _PATIENCE_S, f"version {wanted} never answered"
                time.sleep(0.01)
            seconds.append(time.monotonic() - began)
            after_probe.append(_old_until(journals, wanted) - ours.probed_s(PROJECT))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    answers = [one for journal in journals for one in journal.answers]
    failures = [one for journal in journals for one in journal.failures]
    mixed = sum(seen != right[version] for _, version, seen in answers)
    form.add("swap_failed_requests", len(failures))
    form.add("swap_mixed_answers", mixed)
    form.add("swap.requests", len(answers))
    form.add("swap.s", statistics.median(seconds))
    form.add("swap.after_probe_s", statistics.median(after_probe))
    form.add("swap.after_probe_max_s", max(after_probe))
    form.table(
        f"{N_SWAPS} swaps under load, one replica",
        ["answers", "failed", "mixed", "s until all see it", "of it after the probe", "most"],
        [
            [len(answers), len(failures), mixed]
            + [
                f"{one:.2f}"
                for one in (
                    statistics.median(seconds),
                    statistics.median(after_probe),
                    max(after_probe),
                )
            ]
        ],
    )
    for failure in failures[:5]:
        print(failure)


def _old_until(journals: list[Journal], wanted: int) -> float:
    """When the version before this one answered last."""
    return max(
        next(at for at, version, _ in reversed(journal.answers) if version != wanted)
        for journal in journals
    )


def _expected(folder: Path, rows: list[dict[str, float]]) -> tuple[str, str]:
    predictor = Predictor.load(folder)
    prediction = predictor.predict_rows(rows)
    ids = [""] * len(rows)
    items = json.loads(json.dumps(prediction_items(prediction, classes=predictor.classes, ids=ids)))
    return predictor.digest, _told(items)


def _told(items: list[dict[str, Any]]) -> str:
    return json.dumps([(item["value"], item["probabilities"]) for item in items])


def _client(port: int, body: bytes, journal: Journal, stop: threading.Event) -> None:
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    headers = {"content-type": "application/json"}
    while not stop.is_set():
        try:
            line.request("POST", f"/{PROJECT}/predict", body, headers)
            reply = line.getresponse()
            text = reply.read()
            if reply.status != 200:
                journal.failures.append(f"{reply.status} {text[:200]!r}")
                continue
            said = json.loads(text)
            seen = (said["digest"], _told(said["predictions"]))
            journal.answers.append((time.monotonic(), said["version"], seen))
        except (OSError, http.client.HTTPException) as error:
            journal.failures.append(repr(error))
            line.close()
    line.close()
