"""``tenfold simulate``: the table as live traffic against the running endpoint."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tenfold.cluster.keeper import endpoint_url
from tenfold.errors import ClusterError
from tenfold.progress import SILENT, Progress
from tenfold.project import Project
from tenfold.settings import Settings
from tenfold_jobs.client import EndpointClient
from tenfold_jobs.scenarios import Stream, make_stream, rows_of

__all__ = ["Replay", "SimulateRecord", "replay", "run_simulate"]

ROWS_PER_REQUEST = 20
"""A few rows a request, as a page or a small batch caller would ask."""


@dataclass(frozen=True, slots=True)
class SimulateRecord:
    """What a simulation sent and got.

    Attributes:
        project: name of the project.
        scenario: the injected change.
        change: the same in words.
        rows: predictions that were answered.
        labels: labels that were accepted.
        failed: requests that failed, of either kind.
        first_failure: the first reason, if any.
        loss: error rate (classes) or mean absolute error of the answers; None without labels.
        p50_ms: median latency of a request, in milliseconds.
        p99_ms: 99th percentile.
    """

    project: str
    scenario: str
    change: str
    rows: int
    labels: int
    failed: int
    first_failure: str
    loss: float | None
    p50_ms: float
    p99_ms: float

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON values."""
        return asdict(self)


@dataclass(slots=True)
class Replay:
    """Running totals of a replay, shown to ``on_request`` after every request.

    Attributes:
        n_rows: predictions answered so far.
        n_labels: labels accepted so far.
        losses: one loss per answered row, in the order sent: 0 or 1 for classes, absolute error.
        versions: the model version that answered each row.
    """

    n_rows: int
    n_labels: int
    losses: list[float]
    versions: list[int]

    def recent_loss(self, n_rows: int) -> float:
        """Mean loss of the newest rows; NaN before the first."""
        tail = self.losses[-n_rows:]
        return sum(tail) / len(tail) if tail else math.nan


def replay(
    client: EndpointClient,
    stream: Stream,
    *,
    send_labels: bool,
    rows_per_s: float | None = None,
    on_request: Callable[[Replay], bool] = lambda _: True,
) -> Replay:
    """Send a stream row group by row group, labels right after their predictions.

    Args:
        client: the endpoint; it counts failures.
        stream: rows and labels.
        send_labels: whether the labels go back as well.
        rows_per_s: the pace; as fast as the answers come if None.
        on_request: called after every request; returning False ends the replay early.
    """
    state = Replay(0, 0, [], [])
    rows = list(rows_of(stream.rows))
    began = time.monotonic()
    for start in range(0, len(rows), ROWS_PER_REQUEST):
        if rows_per_s is not None:
            time.sleep(max(0.0, began + start / rows_per_s - time.monotonic()))
        answer = client.predict(rows[start : start + ROWS_PER_REQUEST])
        if answer is not None:
            truths = stream.labels[start : start + ROWS_PER_REQUEST]
            predictions = answer["predictions"]
            state.n_rows += len(predictions)
            state.versions += [int(answer["version"])] * len(predictions)
            state.losses += [
                _loss(prediction["value"], truth)
                for prediction, truth in zip(predictions, truths, strict=True)
                if truth is not None
            ]
            if send_labels:
                state.n_labels += _send(client, predictions, truths)
        if not on_request(state):
            break
    return state


def run_simulate(
    project: Project,
    settings: Settings,
    *,
    scenario: str,
    n_rows: int,
    send_labels: bool,
    seed: int,
    rows_per_s: float | None = None,
    progress: Progress = SILENT,
) -> SimulateRecord:
    """Replay the sealed test rows, which no model was fitted on, with a change injected.

    Raises:
        UserError: the project was not prepared, or no endpoint runs.
        ClusterError: the endpoint answered no request at all.
    """
    import pyarrow.compute as pc

    from tenfold.data import Snapshot

    snapshot = Snapshot.latest(settings, project)
    send_labels = send_labels and snapshot.schema.target is not None
    table = snapshot.table()
    sealed = table.filter(pc.equal(table.column("__fold"), -1))
    stream = make_stream(sealed, snapshot.schema, scenario=scenario, n_rows=n_rows, seed=seed)
    url = endpoint_url(settings, project.name)
    with (
        EndpointClient(url) as client,
        progress.step(f"simulate {scenario}", total=n_rows) as advance,
    ):
        done = 0

        def on_request(state: Replay) -> bool:
            nonlocal done
            advance(state.n_rows - done)
            done = state.n_rows
            return True

        state = replay(
            client, stream, send_labels=send_labels, rows_per_s=rows_per_s, on_request=on_request
        )
        traffic = client.traffic
    if not state.n_rows:
        raise ClusterError(f"{url} answered no request: {traffic.first_failure}")
    return SimulateRecord(
        project=project.name,
        scenario=scenario,
        change=stream.text,
        rows=state.n_rows,
        labels=state.n_labels,
        failed=traffic.n_failed,
        first_failure=traffic.first_failure,
        loss=float(np.mean(state.losses)) if send_labels else None,
        p50_ms=traffic.quantile_ms(0.5),
        p99_ms=traffic.quantile_ms(0.99),
    )


def _send(client: EndpointClient, predictions: Sequence[Any], truths: Sequence[Any]) -> int:
    labels = [
        {"id": prediction["id"], "label": truth, "source": "simulate"}
        for prediction, truth in zip(predictions, truths, strict=True)
        if truth is not None
    ]
    answer = client.feedback(labels)
    if answer is None:
        return 0
    return sum(item["status"] == "accepted" for item in answer["items"])


def _loss(value: Any, truth: Any) -> float:
    if isinstance(truth, str):
        return float(value != truth)
    return abs(float(value) - float(truth))
