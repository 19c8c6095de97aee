"""Our endpoint beside what people put there instead, and our doors beside the bare scorer.

``make bench-serving``; twelve minutes and, the first time, the installs; needs ``wrk`` (Debian
package). The model is the reference one: 200 trees of depth 6 on 20 numbers (`serving.reference`);
ours and a hand-written FastAPI also with the categories of adult.csv.

- In process: requests of 1,000 rows through each door beside the scorer (`serving.doors`), and what
  split, ids and recorder cost (`serving.record`).
- ``tenfold predict`` over a million rows, from file to file, beside the engine and the booster
  alone (`serving.batch`).
- Over HTTP, one row a request: ours as ``tenfold up`` starts it, with validation, ids, split and
  recorder, and on a bare uvicorn; the peers of `serving.peers`, each in an environment of its own.
  All run at once, on the same cores as the client; turns of a few seconds go round, 16 connections
  and 1, closed loop; medians of the turns are told. Then, open loop, latency from the moment at
  which a request was due: ours at half of its saturation, FastAPI with ONNX at half of its own, and
  the bare application at our pace; the other peers have ended.
- A tenth of the requests to a canary (`serving.split`).
- Ten times what it can answer, for a minute (`serving.overload`).
- Ten swaps of the model under load (`serving.swaps`).

``--environments`` says where the peers' environments are kept, ``--peers`` which stand beside.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from _form import Form
from serving.batch import measure_batch
from serving.doors import measure_doors
from serving.load import paced, wrk
from serving.ours import Ours, tenfold_up
from serving.overload import measure_overload
from serving.peers import ADULT, PEERS, peer_running
from serving.processes import Target, await_answer, free_port, server
from serving.record import measure_record
from serving.reference import N_NUMBERS, PROJECT, adult_table, make_adult, make_reference, rows_of
from serving.split import measure_split
from serving.swaps import measure_swaps

HERE = Path(__file__).parent
OURS = "tenfold"
_BARE = "bare_asgi"
_ALIKE = "fastapi_onnx"
_IDLE_S = 3.0
_QUIET_CORES = 0.3
_SETTLE_S = 45.0
_PACED_S = 8.0
_WARM_S = 1


def measure_servers(
    form: Form, targets: Sequence[Target], ours: Ours, work: Path, options: argparse.Namespace
) -> dict[str, float]:
    """Turns go round over all of them; the requests a second of each."""
    form.add("idle_cores", _settled())
    for target in targets:
        wrk(target, work, connections=16, seconds=_WARM_S)
    many: dict[str, list[dict[str, float]]] = {target.name: [] for target in targets}
    one: dict[str, list[dict[str, float]]] = {target.name: [] for target in targets}
    costs: dict[str, list[float]] = {"replica": [], "haproxy": []}
    for _ in range(options.rounds):
        for target in targets:
            before = ours.cpu_s()
            turn = wrk(target, work, connections=16, seconds=options.seconds)
            if target.name == OURS:
                n_requests = turn["rps"] * options.seconds
                for kind, spent in ours.cpu_s().items():
                    costs[kind].append((spent - before[kind]) / n_requests * 1e6)
            many[target.name].append(turn)
            one[target.name].append(wrk(target, work, connections=1, seconds=options.seconds))
    rps = {name: statistics.median(t["rps"] for t in turns) for name, turns in many.items()}
    peers = {peer.name: OURS if peer.of == PROJECT else f"{OURS}_{peer.of}" for peer in PEERS}
    rows = []
    for name, turns in many.items():
        beside = rps[peers.get(name, OURS)]  # ours with the same model
        values = {
            "rps": rps[name],
            "rps_min": min(t["rps"] for t in turns),
            "rps_max": max(t["rps"] for t in turns),
            "p99_ms_c16": statistics.median(t["p99_ms"] for t in turns),
            "p50_ms_c1": statistics.median(t["p50_ms"] for t in one[name]),
            "p99_ms_c1": statistics.median(t["p99_ms"] for t in one[name]),
        }
        for key, value in values.items():
            form.add(f"{name}.{key}", value)
        rows.append(
            [name, f"{rps[name]:,.0f}", f"{beside / rps[name]:.2f}",
             *(f"{values[key]:.2f}" for key in ("p99_ms_c16", "p50_ms_c1", "p99_ms_c1"))]
        )  # fmt: skip
    for name in rps:
        if name in peers:
            form.add(f"rps_vs_{name}", rps[peers[name]] / rps[name])
    form.add("p50_ms_c1", statistics.median(t["p50_ms"] for t in one[OURS]))
    for kind, found in costs.items():
        form.add(f"{OURS}.{kind}_us", statistics.median(found))
    form.table(
        "One row a request",
        ["server", "requests/s at 16", "ours, times", "p99 ms", "p50 ms at 1", "p99 ms at 1"],
        rows,
    )
    return rps


def measure_half(
    form: Form, targets: Sequence[Target], *, rps: dict[str, float], rounds: int
) -> None:
    """Open loop at half of saturation. How much of a slow answer is the machine's, two others say:
    a server that is as busy as ours, and one at our pace that is hardly busy.

    A machine that is one of many on its host is paused at times. After a pause a server works off
    who came meanwhile, which takes longer the busier it is, however quick it is. Twice the turns
    less one, since the median of few moves with such minutes.
    """
    asked = {target.name: target for target in targets if target.name in (OURS, _ALIKE, _BARE)}
    rates = {name: rps[name if name == _ALIKE else OURS] / 2 for name in asked}
    half: dict[str, list[dict[str, Any]]] = {name: [] for name in asked}
    form.add("idle_cores_half", _settled())
    for _ in range(2 * rounds - 1):
        for name, target in asked.items():
            half[name].append(paced(target, rate=rates[name], seconds=_PACED_S))
    keys = ("p50_ms", "p99_ms", "max_ms", "late_ms")
    rows = []
    for name, turns in half.items():
        prefix = "" if name == OURS else f"{name}."
        for key in keys:
            form.add(f"{prefix}{key}_half", statistics.median(turn[key] for turn in turns))
        form.add(f"{prefix}failed_half", sum(turn["failed"] for turn in turns))
        pace = f"{rates[name]:,.0f}"
        rows += [[name, pace, *(f"{turn[k]:.2f}" for k in keys), turn["failed"]] for turn in turns]
    form.table(
        "Open loop at half of saturation",
        ["server", "requests/s", "p50 ms", "p99 ms", "max ms", "client late ms", "failed"],
        rows,
    )


def _settled() -> float:
    """Wait until what was started is quiet (workers of Ray import for a while); the cores that
    everything on the machine then uses while nobody asks."""
    end = time.monotonic() + _SETTLE_S
    while (found := _busy_cores()) > _QUIET_CORES and time.monotonic() < end:
        pass
    return found


def _busy_cores() -> float:

    def busy() -> int:
        user, nice, system, _idle, _wait, irq, soft, *_ = map(int, _first_line().split()[1:9])
        return user + nice + system + irq + soft

    before, began = busy(), time.monotonic()
    time.sleep(_IDLE_S)
    return (busy() - before) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - began)


def _first_line() -> str:
    return Path("/proc/stat").read_text().splitlines()[0]


def _seconds(steps: Mapping[str, float]) -> list[str]:
    return [f"{seconds:.1f}" for seconds in steps.values()]


def measure(form: Form, work: Path, options: argparse.Namespace) -> None:
    bench = make_reference(work / "bench-1")
    other = make_reference(work / "bench-2", seed=1)
    measure_doors(form, bench, work / "live")
    measure_record(form, bench)
    (work / "batch").mkdir()
    measure_batch(form, bench, work / "batch")
    artifacts, columns = {PROJECT: bench}, {PROJECT: "y"}
    asked = {PROJECT: rows_of(np.random.default_rng(2).normal(size=(1, N_NUMBERS)))[0]}
    file = options.data / "adult.csv"
    if file.exists():
        schema, table = adult_table(file, work / "adult-home")
        artifacts[ADULT] = make_adult(work / "adult-1", schema, table)
        columns[ADULT] = "salary"
        first = table.slice(0, 1).drop_columns(["salary"])
        names = {column.name for column in schema.features}
        asked[ADULT] = {k: v for k, v in first.to_pylist()[0].items() if k in names}
    bodies = {project: orjson.dumps({"rows": [row]}) for project, row in asked.items()}
    with ExitStack() as stack:
        ours = stack.enter_context(tenfold_up(artifacts, columns, work=work))
        form.add("startup_s", sum(ours.startup_s.values()))
        form.table("Seconds until it answers", list(ours.startup_s), [_seconds(ours.startup_s)])
        targets = [Target(OURS, ours.url(PROJECT), bodies[PROJECT])]
        if ADULT in artifacts:
            targets.append(Target(f"{OURS}_{ADULT}", ours.url(ADULT), bodies[ADULT]))
        port, log = free_port(), work / "uvicorn.log"
        command = [sys.executable, "-m", "serving.reference", str(bench), str(port)]
        child = stack.enter_context(server(command, log=log, folder=HERE))
        alone = Target(
            f"{OURS}_uvicorn", f"http://127.0.0.1:{port}/{PROJECT}/predict", bodies[PROJECT]
        )
        await_answer(alone, child, log=log)
        targets.append(alone)
        others = stack.enter_context(ExitStack())
        for peer in PEERS:
            if peer.name in options.peers and peer.of in artifacts:
                running = peer_running(
                    peer, artifacts[peer.of], asked[peer.of],
                    environments=options.environments, work=work,
                )  # fmt: skip
                keeper = stack if peer.name in (_ALIKE, _BARE) else others
                targets.append(keeper.enter_context(running))
                form.add(f"{peer.name}.installs", " ".join(peer.installs))
        rps = measure_servers(form, targets, ours, work, options)
        others.close()  # another Ray alone, that nobody asks, keeps a tenth of a core busy
        measure_half(form, targets, rps=rps, rounds=options.rounds)
        measure_overload(form, ours.url(PROJECT), seconds=options.overload)
        second = ours.publish(PROJECT, other)
        measure_split(
            form, ours, targets[0], work,
            version=second, rounds=options.rounds, seconds=options.seconds,
        )  # fmt: skip
        measure_swaps(form, ours, {1: bench, second: other})


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=HERE.parents[1] / "shared" / "data")
    parser.add_argument(
        "--environments", type=Path, default=Path.home() / ".cache" / "tenfold-peers",
        help="where the peers' environments are made and kept",
    )  # fmt: skip
    names = [peer.name for peer in PEERS]
    parser.add_argument("--peers", nargs="*", choices=names, default=names)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="of one turn")
    parser.add_argument(
        "--overload", type=float, default=60.0, help="seconds of ten times what it can"
    )
    options = parser.parse_args(arguments)
    if shutil.which("wrk") is None:
        sys.exit("wrk is needed (Debian package wrk)")
    # Told to end, it ends what it started, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    form = Form("serving")
    with tempfile.TemporaryDirectory(prefix="tf-") as name:
        measure(form, Path(name), options)
    form.finish(libraries=["onnxruntime", "xgboost", "uvicorn", "ray", "pyarrow"])


if __name__ == "__main__":
    main()
