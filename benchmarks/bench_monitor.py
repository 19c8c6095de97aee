"""The monitor beside what people use instead: false alarms, delays, harm, cost.

``make bench-monitor``; about five minutes on two cores. Everything is simulated with fixed seeds,
so the statistical numbers repeat exactly; only the timings depend on the machine.

Rivals are the popular defaults, as their users run them, once per window of 500 rows: any feature's
PSI above 0.1 or 0.2, any feature's Kolmogorov-Smirnov p-value below 0.05, the same with a
Bonferroni correction for all features and windows, and a dummy that alarms every 100th window.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import statistics
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
from scipy import stats

from _form import Form, median_seconds
from tenfold.monitor import (
    BlockConformal,
    CountsMessage,
    FrozenBins,
    LossRule,
    Monitor,
    MonitorSettings,
    Outcome,
    Reference,
    build_reference,
)
from tenfold.monitor.blocks import block_scores
from tenfold.monitor.bounds import rate_upper
from tenfold.monitor.evidence import score_cell
from tenfold.testing.streams import STREAM_KINDS, bins_of, healthy_stream

N_FEATURES = 20
BLOCK = 500
N_REFERENCE = 40_000
NULL_BLOCKS = 300
HEALTHY_BLOCKS = 40
CHANGED_BLOCKS = 100
FALSE_ALARM = 0.01

Floats = npt.NDArray[np.float64]
Detector = Callable[[Floats], bool]
"""Takes a window, says whether it alarms."""

CHANGES: dict[str, Callable[[Floats], None]] = {}


def _change(name: str) -> Callable[[Callable[[Floats], None]], Callable[[Floats], None]]:
    def keep(function: Callable[[Floats], None]) -> Callable[[Floats], None]:
        CHANGES[name] = function
        return function

    return keep


@_change("one_0.1s")
def _one_small(rows: Floats) -> None:
    rows[:, 0] += 0.1


@_change("one_0.25s")
def _one_quarter(rows: Floats) -> None:
    rows[:, 0] += 0.25


@_change("one_0.5s")
def _one_half(rows: Floats) -> None:
    rows[:, 0] += 0.5


@_change("all_0.1s")
def _all_small(rows: Floats) -> None:
    rows += 0.1


@_change("one_scale_1.2")
def _one_wider(rows: Floats) -> None:
    rows[:, 0] *= 1.2


class World:
    """One reference and one stream after it."""

    def __init__(self, kind: str, seed: int) -> None:
        self.kind = kind
        self.generator = np.random.default_rng([seed, STREAM_KINDS.index(kind)])
        self.clock = 0
        self.rows = self.draw(N_REFERENCE)
        self.bins = bins_of(self.rows)

    def draw(self, n_rows: int) -> Floats:
        made = healthy_stream(
            n_rows, N_FEATURES, kind=self.kind, generator=self.generator, start=self.clock
        )
        self.clock += n_rows
        return made

    def windows(self, n: int, change: Callable[[Floats], None] | None = None) -> Iterator[Floats]:
        for _ in range(n):
            rows = self.draw(BLOCK)
            if change is not None:
                change(rows)
            yield rows


def tenfold_detector(world: World) -> Detector:
    """The feature channel as a monitor runs it, with the whole bound spent on it."""
    reference = build_reference(world.bins, world.rows, block_rows=BLOCK)
    detector = BlockConformal(reference.bag, alpha=FALSE_ALARM)
    generator = np.random.default_rng(1)

    def look(rows: Floats) -> bool:
        counts = world.bins.count(rows)
        cells = score_cell(block_scores(world.bins, counts, reference.shape), block_rows=BLOCK)
        detector.update(cells, 1.0 - generator.random(N_FEATURES), now_s=0.0)
        return bool(detector.mixture.alarmed().any())

    return look


def psi_detector(world: World, *, limit: float) -> Detector:
    """Any feature's PSI over ten quantile bins above a fixed limit."""
    edges = np.quantile(world.rows, np.arange(1, 10) / 10, axis=0)

    def shares(rows: Floats) -> Floats:
        cells = (rows[:, None, :] > edges[None, :, :]).sum(axis=1)
        counts = [np.bincount(column, minlength=10) for column in cells.T]
        return np.maximum(np.array(counts) / len(rows), 1e-4)

    before = np.concatenate([shares(part) for part in np.array_split(world.rows, 8)])
    expected = before.reshape(8, N_FEATURES, 10).mean(axis=0)

    def look(rows: Floats) -> bool:
        now = shares(rows)
        index = ((now - expected) * np.log(now / expected)).sum(axis=1)
        return bool(index.max() > limit)

    return look


def ks_detector(world: World, *, level: float) -> Detector:
    """Any feature's two-sample Kolmogorov-Smirnov p-value below a level."""
    ordered = np.sort(world.rows, axis=0)
    scale = math.sqrt(BLOCK * N_REFERENCE / (BLOCK + N_REFERENCE))
    # the statistic at which the asymptotic p-value is the level
    limit = stats.kstwobign.isf(level) / scale
    steps = np.arange(BLOCK + 1) / BLOCK

    def look(rows: Floats) -> bool:
        for feature, column in enumerate(np.sort(rows, axis=0).T):
            place = np.searchsorted(ordered[:, feature], column, side="right") / N_REFERENCE
            if max(np.abs(place - steps[1:]).max(), np.abs(place - steps[:-1]).max()) > limit:
                return True
        return False

    return look


def dummy_detector(_world: World) -> Detector:
    """Alarms at every hundredth window, whatever it sees."""
    seen = 0

    def look(_rows: Floats) -> bool:
        nonlocal seen
        seen += 1
        return seen % 100 == 0

    return look


DETECTORS: dict[str, Callable[[World], Detector]] = {
    "tenfold": tenfold_detector,
    "psi_0.1": lambda world: psi_detector(world, limit=0.1),
    "psi_0.2": lambda world: psi_detector(world, limit=0.2),
    "ks_0.05": lambda world: ks_detector(world, level=0.05),
    "ks_bonferroni": lambda world: ks_detector(
        world, level=FALSE_ALARM / (N_FEATURES * NULL_BLOCKS)
    ),
    "dummy": dummy_detector,
}


def study_false_alarms(form: Form, *, n_runs: int) -> None:
    """How often a healthy stream of 300 windows ever raises an alarm."""
    rows = []
    for kind in STREAM_KINDS:
        runs = dict.fromkeys(DETECTORS, 0)
        windows = dict.fromkeys(DETECTORS, 0)
        for seed in range(n_runs):
            world = World(kind, seed)
            detectors = {name: make(world) for name, make in DETECTORS.items()}
            flags = dict.fromkeys(DETECTORS, 0)
            for window in world.windows(NULL_BLOCKS):
                for name, look in detectors.items():
                    flags[name] += look(window)
            for name, count in flags.items():
                runs[name] += count > 0
                windows[name] += count
        for name in DETECTORS:
            ratio, share = runs[name] / n_runs, windows[name] / (n_runs * NULL_BLOCKS)
            form.add(f"null.{kind}.{name}.runs_alarmed_ratio", ratio)
            form.add(f"null.{kind}.{name}.windows_alarmed_ratio", share)
            rows.append([f"{kind} {name}", f"{ratio:.0%}", f"{share:.1%}"])
    form.add("null.runs", n_runs)
    form.add("null.windows_per_run", NULL_BLOCKS)
    form.table(
        f"False alarms: {n_runs} healthy runs of {NULL_BLOCKS} windows, {N_FEATURES} features",
        ["stream, detector", "runs alarmed", "windows alarmed"],
        rows,
    )


def study_bound(form: Form, *, n_runs: int) -> None:
    """The stated bound of 1 %, tried on many healthy runs of every kind of stream."""
    rows, alarmed = [], 0
    for kind in STREAM_KINDS:
        found = 0
        for seed in range(n_runs):
            world = World(kind, 10_000 + seed)
            look = tenfold_detector(world)
            found += any(look(window) for window in world.windows(NULL_BLOCKS))
        alarmed += found
        upper = rate_upper(found, n_runs, delta=0.05).item()
        form.add(f"bound.{kind}.runs_alarmed_ratio", found / n_runs)
        form.add(f"bound.{kind}.runs_alarmed_upper95", upper)
        rows.append([kind, found, n_runs, f"{upper:.2%}"])
    upper = rate_upper(alarmed, n_runs * len(STREAM_KINDS), delta=0.05).item()
    form.add("bound.all.runs_alarmed_ratio", alarmed / (n_runs * len(STREAM_KINDS)))
    form.add("bound.all.runs_alarmed_upper95", upper)
    rows.append(["all", alarmed, n_runs * len(STREAM_KINDS), f"{upper:.2%}"])
    form.table(
        f"The bound of {FALSE_ALARM:.0%}: healthy runs of {NULL_BLOCKS} windows",
        ["stream", "alarmed", "runs", "upper 95 %"],
        rows,
    )


def study_delays(form: Form, *, n_runs: int) -> None:
    """How many windows after a change a detector alarms; runs with an earlier alarm count too."""
    rows = []
    for change_name, change in CHANGES.items():
        delays: dict[str, list[float]] = {name: [] for name in DETECTORS}
        for seed in range(n_runs):
            world = World("iid", 1000 + seed)
            detectors = {name: make(world) for name, make in DETECTORS.items()}
            for window in world.windows(HEALTHY_BLOCKS):
                for look in detectors.values():
                    look(window)
            found = dict.fromkeys(DETECTORS, math.inf)
            for number, window in enumerate(world.windows(CHANGED_BLOCKS, change), start=1):
                for name, look in detectors.items():
                    if look(window):
                        found[name] = min(found[name], number)
            for name, delay in found.items():
                delays[name].append(delay)
        for name, values in delays.items():
            median = statistics.median(values)
            missed = sum(map(math.isinf, values)) / n_runs
            known = None if math.isinf(median) else median
            form.add(f"delay.{change_name}.{name}.windows_median", known)
            form.add(f"delay.{change_name}.{name}.missed_ratio", missed)
            shown = "never" if known is None else f"{known:g}"
            rows.append([f"{change_name} {name}", shown, f"{missed:.0%}"])
    form.add("delay.runs", n_runs)
    form.table(
        f"Delay in windows of {BLOCK} rows after {HEALTHY_BLOCKS} healthy ones "
        f"(i.i.d.; {n_runs} runs; read it beside the false alarms)",
        ["change, detector", "median", f"missed in {CHANGED_BLOCKS}"],
        rows,
    )


def study_harm(form: Form, *, n_runs: int) -> None:
    """Labels until harm is proven, beside "accuracy of the last 500 is two points lower"."""
    rows = []
    n_labels, healthy, base = 20_000, 2_000, 0.1
    for after in (base, 0.15, 0.2, 0.3, 0.6):
        found: dict[str, list[float]] = {"tenfold": [], "window_500": []}
        early = dict.fromkeys(found, 0)
        for seed in range(n_runs):
            generator = np.random.default_rng([seed, int(1000 * after)])
            held_out = (generator.random(2000) < base).astype(float)
            rates = np.where(np.arange(n_labels) < healthy, base, after)
            wrong = generator.random(n_labels) < rates
            for name, when in (
                ("tenfold", _tenfold_harm(held_out, wrong)),
                ("window_500", _window_harm(held_out.mean(), wrong)),
            ):
                early[name] += when < healthy or (after == base and when < n_labels)
                if when >= healthy:  # the delay of a run that cried wolf before says nothing
                    found[name].append(when - healthy)
        for name, values in found.items():
            key = f"harm.error_{after:g}.{name}"
            median = statistics.median(values or [math.inf])
            known = None if math.isinf(median) or after == base else median
            form.add(f"{key}.false_alarm_ratio", early[name] / n_runs)
            form.add(f"{key}.labels_median", known)
            shown = "-" if known is None else f"{known:g}"
            rows.append([f"0.1 to {after:g} {name}", shown, f"{early[name] / n_runs:.0%}"])
    form.add("harm.runs", n_runs)
    form.table(
        f"Labels until harm is proven ({n_runs} runs; change after {healthy} labels)",
        ["error rate, detector", "median labels", "false alarms"],
        rows,
    )


def _tiny_reference(losses: Floats) -> Reference:
    rows = np.linspace(0.0, 1.0, 1000)[:, None]
    return build_reference(bins_of(rows), rows, losses=losses, rule=LossRule("zero_one"))


def _tenfold_harm(held_out: Floats, wrong: npt.NDArray[np.bool_]) -> float:
    settings = MonitorSettings("harm", 1, "multiclass", false_alarm=FALSE_ALARM)
    monitor = Monitor(_tiny_reference(held_out), settings)
    for start in range(0, len(wrong), 50):
        part = wrong[start : start + 50]
        outcomes = [Outcome(f"{start}-{k}", "a", "b" if w else "a") for k, w in enumerate(part)]
        monitor.labels(outcomes, now_s=float(start))
        if monitor.channels["harm"].active:
            return float(start + 50)
    return math.inf


def _window_harm(reference: float, wrong: npt.NDArray[np.bool_]) -> float:
    total = np.concatenate([[0], np.cumsum(wrong)])
    rate = (total[500:] - total[:-500]) / 500
    above = np.flatnonzero(rate > reference + 0.02)
    return float(above[0] + 500) if len(above) else math.inf


def study_cost(form: Form) -> None:
    """What counting costs a replica, and a block the aggregator."""
    rows = []
    for n_features in (20, 100):
        generator = np.random.default_rng(0)
        data = generator.normal(size=(20_000, n_features))
        bins: FrozenBins = bins_of(data)
        for batch in (100, 2000):
            part = data[:batch]
            seconds = median_seconds(lambda b=bins, p=part: b.count(p), repeats=30)
            form.add(
                f"cost.count.{n_features}_features.batch_{batch}.us_per_row", 1e6 * seconds / batch
            )
            rows.append(
                [
                    f"count, {n_features} features, batch {batch}",
                    f"{1e6 * seconds / batch:.2f} us/row",
                ]
            )
        reference = build_reference(bins, data, block_rows=BLOCK)
        monitor = Monitor(reference, MonitorSettings("cost", 1, "clustering"))
        counts = bins.count(data[: reference.block_rows])
        seconds = median_seconds(_one_block(monitor, counts), repeats=50)
        form.add(f"cost.block.{n_features}_features.ms", 1e3 * seconds)
        size = len(json.dumps(monitor.state()))
        form.add(f"cost.checkpoint.{n_features}_features.bytes", size)
        rows.append([f"block, {n_features} features", f"{1e3 * seconds:.2f} ms"])
        rows.append([f"checkpoint, {n_features} features", f"{size} bytes"])
    form.table("Cost", ["what", "median"], rows)


def _one_block(monitor: Monitor, counts: npt.NDArray[np.int64]) -> Callable[[], object]:
    """A call that gives the monitor one more whole block."""
    n_rows = monitor.reference.block_rows
    messages = (CountsMessage(1, "r", 1, seq, n_rows, counts, 0.0) for seq in itertools.count())
    return lambda: monitor.observe(next(messages))


def main() -> None:
    """Run all studies and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20, help="runs per cell (default 20)")
    n_runs = parser.parse_args().runs
    form = Form("monitor")
    study_cost(form)
    study_harm(form, n_runs=2 * n_runs)
    study_delays(form, n_runs=max(n_runs // 2, 1))
    study_false_alarms(form, n_runs=n_runs)
    study_bound(form, n_runs=10 * n_runs)
    form.finish(libraries=["numpy", "scipy"])


if __name__ == "__main__":
    main()
