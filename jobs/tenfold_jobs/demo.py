"""``tenfold demo``: the whole loop on real data, with nothing installed but tenfold.

The data are the 1,797 handwritten digits that come with scikit-learn (64 pixel columns, 10
classes; E. Alpaydin, C. Kaynak, UCI repository). One half is the table that a model is trained on,
the other half is the future: it is sent as live traffic and was never seen by a fit. Then the
world changes (three in five digits are from now on filed under another number) and the loop has
to notice, retrain and swap, while requests keep coming.
"""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

from tenfold.canonical import write_atomic
from tenfold.cluster.keeper import running_keeper
from tenfold.errors import ClusterError
from tenfold.progress import Progress
from tenfold.project import Project, load_project
from tenfold.registry import Registry
from tenfold.schema import Schema
from tenfold.settings import Settings
from tenfold_jobs.client import EndpointClient
from tenfold_jobs.scenarios import make_stream
from tenfold_jobs.simulate import Replay, replay
from tenfold_jobs.up import start_keeper, stop_keeper

__all__ = ["Timeline", "run_demo", "write_demo_data"]

HEALTHY_ROWS = 800
"""Rows before the change: enough to show a quiet monitor and a steady quality."""

DRIFT_ROWS = 30_000
"""Rows after the change at most; the replay stops once the promoted model answers, after some two
thousand. A retrain gives way to all others, so where others take the cores it takes minutes."""

AFTER_ROWS = 800
"""Rows that show the quality of the promoted model."""

ROWS_PER_S = 100.0
"""A pace that leaves a two-core machine room to retrain beside it."""

RECENT_ROWS = 300

STYLES = {"alarm": "bold red", "promote": "bold green", "retrain_started": "yellow"}
"""How the loop's own events stand out on a terminal."""

MAX_GAP = 0.1
"""Accuracy that the promoted model may lack: it learned from some hundred rows, not from 900."""

PROJECT = """\
# The demo's project file: what a user would write for a table of their own.
name: digits
problem:
  task: multiclass
  target: digit
  metric: log_loss
  gates: ["accuracy >= 0.85", "latency_p99_ms <= 50"]
data:
  sources: [{path: digits.csv}]
train:
  budget: 25s
  folds: 3
monitor:
  block_rows: 100
retrain:
  min_labels: 500
  cooldown: 30s
"""


class Timeline:
    """What happened when, one line each, seconds since the start first.

    On a terminal the numbers and the kinds of events stand out; elsewhere the lines are plain.

    Args:
        stream: where the lines go.
    """

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, highlight=False)
        self._started = time.monotonic()
        self.events: list[tuple[float, str]] = []

    def say(self, text: str, *, style: str = "") -> None:
        """One event; ``style`` is rich's, for terminals."""
        self.events.append((self.elapsed_s, text))
        line = Text(f"[{self.elapsed_s:6.1f} s] ", style="dim")
        self._console.print(line.append(text, style=style or "default"), soft_wrap=True)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started


def run_demo(*, keep: bool, port: int | None, progress: Progress, stream: TextIO) -> dict[str, Any]:
    """Walk the loop; everything that was started is stopped, unless ``keep``.

    Args:
        keep: leave the endpoint up.
        port: of the endpoint; a free one if None.
        progress: for the steps that take a while.
        stream: where the timeline goes.

    Returns:
        ``failed_requests`` (must be 0), ``first_version``, ``promoted_version``, the quality
        before the change, after it and after the promotion (``accuracy_…``), ``seconds``, the
        paths ``report`` and ``card``, the endpoint's ``url``, and ``timeline``.

    Raises:
        ClusterError: the loop did not close: a gate was missed, no promoted model answered in time,
            or its quality is not what it was before the change.
    """
    timeline = Timeline(stream)
    settings = _demo_settings(progress)
    folder = settings.home / "project"
    future = write_demo_data(folder)
    project = load_project(folder / "project.yaml")
    timeline.say(f"project file and table written: {folder}")
    facts = _train(project, settings, timeline, progress)
    chosen = port or _free_port()
    with _environment(settings):
        started = start_keeper([folder / "project.yaml"], settings, port=chosen, progress=progress)
        try:
            url = started["urls"][project.name]
            timeline.say(f"endpoint up: {url}/predict, docs {url}/docs, metrics {url}/metrics")
            facts |= _live(project, settings, url, future, timeline, progress)
        finally:
            if keep and running_keeper(settings):
                timeline.say(f"left running; stop: TENFOLD_HOME={settings.home} tenfold down")
            else:
                stop_keeper(settings, progress=progress)
                timeline.say("everything that was started is stopped")
    facts |= {"url": url, "seconds": round(timeline.elapsed_s, 1)}
    _closing_lines(facts, timeline)
    return {**facts, "timeline": [{"at_s": round(t, 1), "event": e} for t, e in timeline.events]}


def write_demo_data(folder: Path) -> Path:
    """Write the project file, the table and the future; returns the future's path."""
    from sklearn.datasets import load_digits

    pixels, digits = load_digits(return_X_y=True)
    names = [f"pixel_{row}_{column}" for row in range(8) for column in range(8)]
    lines = [
        ",".join([*(f"{value:g}" for value in image), f"d{digit}"])
        for image, digit in zip(pixels, digits, strict=True)
    ]
    header = ",".join([*names, "digit"])
    half = len(lines) // 2
    write_atomic(folder / "digits.csv", "\n".join([header, *lines[:half], ""]).encode())
    write_atomic(folder / "future.csv", "\n".join([header, *lines[half:], ""]).encode())
    write_atomic(folder / "project.yaml", PROJECT.encode())
    return folder / "future.csv"


def _demo_settings(progress: Progress) -> Settings:
    """Settings in a folder of the demo's own, emptied first; an earlier kept demo is stopped."""
    own = Settings.from_env()
    home = own.home / "demo"
    settings = Settings.from_env({"TENFOLD_HOME": str(home)})
    stop_keeper(settings, progress=progress)
    shutil.rmtree(home, ignore_errors=True)
    return replace(settings, ray_address=None)


@contextmanager
def _environment(settings: Settings) -> Iterator[None]:
    """Let this process and its children see the demo's settings."""
    before = dict(os.environ)
    os.environ.pop("RAY_ADDRESS", None)
    os.environ.update(settings.to_env())
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _train(
    project: Project, settings: Settings, timeline: Timeline, progress: Progress
) -> dict[str, Any]:
    from tenfold_jobs.prepare import run_prepare
    from tenfold_jobs.train import run_train

    with _environment(settings):
        prepared = run_prepare(project, settings, progress=progress)
        timeline.say(
            f"prepared {prepared.rows} rows, snapshot {prepared.snapshot[:12]}; "
            f"report: {prepared.report}"
        )
        trained = run_train(project, settings, progress=progress)
    metrics = {name: metric["value"] for name, metric in trained.metrics.items()}
    timeline.say(
        f"version {trained.version} trained and tuned: {trained.family}, held-out accuracy "
        f"{metrics['accuracy']:.3f}; {_gates(trained.gates)}, {trained.alias or 'not promoted'}; "
        f"card: {trained.card}"
    )
    if trained.alias is None:
        raise ClusterError(f"the demo's model was not promoted: {_gates(trained.gates)}")
    return {
        "first_version": trained.version,
        "heldout_accuracy": metrics["accuracy"],
        "report": str(prepared.report),
        "card": str(trained.card),
    }


def _live(
    project: Project,
    settings: Settings,
    url: str,
    future: Path,
    timeline: Timeline,
    progress: Progress,
) -> dict[str, Any]:
    registry = Registry(settings)
    table, schema = _future_rows(settings, project, future)
    first = registry.require(project.name).version
    news = _News(registry, project.name, timeline)
    facts: dict[str, Any] = {}
    with EndpointClient(url) as client:
        healthy = make_stream(table, schema, scenario="none", n_rows=HEALTHY_ROWS, seed=1)
        state = replay(client, healthy, send_labels=True, rows_per_s=2 * ROWS_PER_S)
        facts["accuracy_before"] = 1.0 - state.recent_loss(HEALTHY_ROWS)
        timeline.say(
            f"{state.n_rows} predictions and {state.n_labels} labels over HTTP, "
            f"live accuracy {facts['accuracy_before']:.3f}"
        )
        changed = make_stream(table, schema, scenario="concept", n_rows=DRIFT_ROWS, seed=2)
        timeline.say(f"concept drift injected: {changed.text}")

        def until_swapped(state: Replay) -> bool:
            news.tell()
            return not state.versions or state.versions[-1] == first

        with progress.step("traffic during drift and retrain", total=None):
            state = replay(
                client,
                changed,
                send_labels=True,
                rows_per_s=ROWS_PER_S,
                on_request=until_swapped,
            )
        news.tell()
        if not state.versions or state.versions[-1] == first:
            raise ClusterError(
                f"no promoted model answered after {state.n_rows} drifted rows; "
                f"see {settings.keeper / 'keeper.log'}"
            )
        old = [x for x, v in zip(state.losses, state.versions, strict=True) if v == first]
        facts["accuracy_drifted"] = 1.0 - sum(old[-RECENT_ROWS:]) / len(old[-RECENT_ROWS:])
        facts["promoted_version"] = state.versions[-1]
        timeline.say(
            f"version {state.versions[-1]} answers, swapped in place after {state.n_rows} rows; "
            f"accuracy had fallen to {facts['accuracy_drifted']:.3f}"
        )
        after = make_stream(table, schema, scenario="concept", n_rows=AFTER_ROWS, seed=3)
        state = replay(client, after, send_labels=True, rows_per_s=2 * ROWS_PER_S)
        news.tell()
        facts["accuracy_after"] = 1.0 - state.recent_loss(AFTER_ROWS)
        gap = facts["accuracy_before"] - facts["accuracy_after"]
        if gap > MAX_GAP:
            raise ClusterError(
                f"accuracy is {facts['accuracy_after']:.3f} after the promotion and was "
                f"{facts['accuracy_before']:.3f} before the change: the loop repaired nothing"
            )
        timeline.say(f"live quality back: accuracy {facts['accuracy_after']:.3f}", style="green")
        facts["requests"] = len(client.traffic.latencies_s)
        facts["failed_requests"] = client.traffic.n_failed
        facts["first_failure"] = client.traffic.first_failure
        facts["p99_ms"] = round(client.traffic.quantile_ms(0.99), 1)
    return facts


class _News:
    """Journal rows that came since the last look, told on the timeline."""

    def __init__(self, registry: Registry, project: str, timeline: Timeline) -> None:
        self._journal = registry.state.journal
        self._project = project
        self._timeline = timeline
        tail = self._journal.tail(project, 1)
        self._seen = tail[-1].id if tail else 0

    def tell(self) -> None:
        for entry in self._journal.tail(self._project, 20):
            if entry.id > self._seen:
                self._seen = entry.id
                if entry.body.get("action") == "wait":
                    continue  # the policy waits most of the time
                text = f"{entry.kind}: {entry.body.get('reason', '')}".rstrip(": ")
                self._timeline.say(text, style=STYLES.get(entry.kind, ""))


def _future_rows(settings: Settings, project: Project, future: Path) -> tuple[Any, Schema]:
    import pyarrow as pa

    from tenfold.data import Snapshot, clean_table, read_batches

    schema = Snapshot.latest(settings, project).schema
    table, _problems = clean_table(pa.concat_tables(read_batches(future)), schema)
    return table, schema


def _closing_lines(facts: dict[str, Any], timeline: Timeline) -> None:
    timeline.say(
        f"{facts['requests']} requests, {facts['failed_requests']} failed, "
        f"p99 {facts['p99_ms']} ms; accuracy {facts['accuracy_before']:.3f} → "
        f"{facts['accuracy_drifted']:.3f} → {facts['accuracy_after']:.3f}"
    )
    for name in ("report", "card"):
        timeline.say(f"{name}: {facts[name]}")


def _gates(gates: Sequence[Mapping[str, Any]]) -> str:
    missed = [str(gate["gate"]) for gate in gates if not gate["holds"]]
    return f"missed: {', '.join(missed)}" if missed else "gates hold"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
