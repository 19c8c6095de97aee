"""The contest: whose model is best after the same seconds on the same rows and cores.

``make bench-quality`` runs what is missing of 8 tables, 6 systems and 3 seeds at 120 seconds, some
hours in all; raw scores are kept in ``results/quality-runs.jsonl`` line by line, so that a stopped
contest goes on where it was. ``--tables``, ``--systems``, ``--seeds`` and ``--seconds`` choose;
``--report`` only compares what is there.

- Test rows are a quarter, by hash (`contest.tables`); nobody sees them before its model is made.
- The metric is ROC AUC, log loss for several classes, RMSE for numbers.
- Two systems tie on a table and seed if they differ by no more than one standard error of the
  paired bootstrap; over seeds the majority counts.
- ``row_ms``: median of single rows in the contestant's own process, preparation included.
- The seconds of ours hold ``prepare`` and the starts of its processes; the peers' begin after their
  imports, and the wall time of each whole process is kept beside.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from _form import RESULTS, Form, machine
from contest.score import compare, majority, score_with_replicates
from contest.systems import HERE, SYSTEMS, System, environment
from contest.tables import TABLES, Split, Table, split_table

RUNS = RESULTS / "quality-runs.jsonl"
OURS = "tenfold"
DIGITS = 7
GRACE = 4.0
"""A process may take so many times its seconds, and a minute; then it is ended and has lost."""

Run = dict[str, Any]


def key_of(run: Run) -> tuple[str, str, int, int]:
    """What makes a run one of a kind."""
    return run["table"], run["system"], run["seconds"], run["seed"]


def kept_runs() -> dict[tuple[str, str, int, int], Run]:
    """What earlier contests left."""
    if not RUNS.exists():
        return {}
    lines = [json.loads(line) for line in RUNS.read_text().splitlines()]
    return {key_of(run): run for run in lines}


def keep(run: Run) -> None:
    """Append one run: a stop loses at most the one under way."""
    RUNS.parent.mkdir(exist_ok=True)
    with RUNS.open("a") as file:
        file.write(json.dumps(run, sort_keys=True) + "\n")


def play(
    system: System, table: Table, split: Split, *, seconds: int, seed: int, python: Path
) -> Run:
    """One system on one split, in a process of its own."""
    run: Run = {"table": table.name, "system": system.name, "seconds": seconds, "seed": seed}
    run |= {"load_1m": machine()["machine.load_1m"], "cores": machine()["machine.cores"]}
    out = Path(tempfile.mkdtemp(prefix="contest-"))
    ask = out / "ask.json"
    ask.write_text(
        json.dumps(
            {
                "train": str(split.train), "test": str(split.test), "task": table.task,
                "target": table.target, "positive": table.positive, "seconds": seconds,
                "seed": seed, "out": str(out), "preset": system.preset,
            }
        )
    )  # fmt: skip
    began = time.monotonic()
    try:
        done = subprocess.run(
            [str(python), str(HERE / system.script), str(ask)],
            capture_output=True, text=True, timeout=GRACE * seconds + 60, check=False,
            env={**os.environ, "OMP_NUM_THREADS": str(run["cores"])},
        )  # fmt: skip
        run["wall_s"] = round(time.monotonic() - began, 1)
        if done.returncode:
            return run | {"error": done.stderr.strip().splitlines()[-1:] or ["no word"]}
        facts = json.loads((out / "facts.json").read_text())
        scores = np.load(out / "scores.npy", allow_pickle=False)
        value, replicates = score_with_replicates(table, split.truth, facts["classes"], scores)
    except subprocess.TimeoutExpired:
        return run | {"wall_s": round(time.monotonic() - began, 1), "error": ["it did not end"]}
    finally:
        shutil.rmtree(out, ignore_errors=True)
    return run | {
        "score": round(value, DIGITS),
        "replicates": [float(f"{one:.{DIGITS}g}") for one in replicates],
        "row_ms": round(facts["row_ms"], 4),
        "chosen": facts["chosen"],
        "version": facts["version"],
    }


def contest(options: argparse.Namespace) -> None:
    """Plays what is missing."""
    kept = kept_runs()
    for seed in range(options.seeds):
        for table in TABLES:
            if table.name not in options.tables:
                continue
            with tempfile.TemporaryDirectory() as folder:
                split = split_table(table, options.data, seed=seed, folder=Path(folder))
                for system in SYSTEMS:
                    key = (table.name, system.name, options.seconds, seed)
                    if system.name not in options.systems or key in kept:
                        continue
                    python = environment(system, options.environments)
                    run = play(
                        system, table, split, seconds=options.seconds, seed=seed, python=python
                    )
                    keep(run)
                    told = run.get("score", run.get("error"))
                    print(f"{table.name:14} {system.name:17} seed {seed}: {told}", flush=True)


def report(runs: Iterable[Run], *, seconds: int) -> None:
    """Tables for people and ``results/quality.json``."""
    form = Form("quality")
    found: dict[tuple[str, str], dict[int, Run]] = defaultdict(dict)
    for run in runs:
        if run["seconds"] == seconds and "score" in run:
            found[run["table"], run["system"]][run["seed"]] = run
    rows, verdicts = [], defaultdict(list)
    for table in TABLES:
        ours = found.get((table.name, OURS), {})
        for system in SYSTEMS:
            theirs = found.get((table.name, system.name), {})
            if not theirs:
                continue
            mean = statistics.mean(run["score"] for run in theirs.values())
            latency = statistics.median(run["row_ms"] for run in theirs.values())
            form.add(f"{table.name}.{system.name}.{table.metric}", mean)
            form.add(f"{table.name}.{system.name}.row_ms", latency)
            verdict = "" if system.name == OURS else _verdict(table, ours, theirs)
            if verdict:
                verdicts[system.name].append(verdict)
                form.add(f"{table.name}.{system.name}.ours", verdict)
            shown = f"{mean:.4f}" if mean < 1000 else f"{mean:,.0f}"
            rows.append([table.name, system.name, shown, f"{latency:.2f}", len(theirs), verdict])
    form.table(f"After {seconds} s", ["table", "system", "score", "row ms", "seeds", "ours"], rows)
    for name, outcomes in verdicts.items():
        held = sum(outcome != "loss" for outcome in outcomes) / len(outcomes)
        form.add(f"wins_or_ties.{name}", held)
        form.add(f"tables.{name}", len(outcomes))
    form.add("budget_s", seconds)
    form.table(
        "Ours wins or ties",
        ["against", "share", "tables"],
        [
            [name, f"{sum(o != 'loss' for o in outcomes) / len(outcomes):.0%}", len(outcomes)]
            for name, outcomes in verdicts.items()
        ],
    )
    form.finish(libraries=["xgboost", "torch", "scikit-learn"])


def _verdict(table: Table, ours: dict[int, Run], theirs: dict[int, Run]) -> str:
    seeds = sorted(ours.keys() & theirs.keys())
    if not seeds:
        return ""
    return majority(
        [
            compare(
                table,
                (ours[seed]["score"], ours[seed]["replicates"]),
                (theirs[seed]["score"], theirs[seed]["replicates"]),
            )
            for seed in seeds
        ]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument(
        "--environments", type=Path, default=Path.home() / ".cache" / "tenfold-contest",
        help="where the peers' environments are made and kept",
    )  # fmt: skip
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--seeds", type=int, default=3)
    names = [table.name for table in TABLES]
    parser.add_argument("--tables", nargs="+", choices=names, default=names)
    systems = [system.name for system in SYSTEMS]
    parser.add_argument("--systems", nargs="+", choices=systems, default=systems)
    parser.add_argument("--report", action="store_true", help="compare what is there, play nothing")
    options = parser.parse_args(arguments)
    if not options.report:
        contest(options)
    report(kept_runs().values(), seconds=options.seconds)


if __name__ == "__main__":
    main()
