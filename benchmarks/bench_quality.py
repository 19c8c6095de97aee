"""The contest: whose model is best after the same seconds on the same rows and cores.

``make bench-quality`` runs what is missing of 13 tables, 6 systems and 3 seeds at 120 seconds, a
working day in all; raw scores are kept in ``results/quality-runs.jsonl`` line by line, so that a
stopped contest goes on where it was. ``--tables``, ``--systems``, ``--seeds`` and ``--seconds``
choose; ``--report`` only compares what is there. The page of the guide, ``docs/contest.md``, is
made anew.

- Five of the tables were kept aside: nobody had played one before it was chosen (`contest.aside`).
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
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from _form import RESULTS, Form, machine
from contest.aside import aside_folder
from contest.page import write_page
from contest.score import score_with_replicates
from contest.standings import Run, Standing, held, standings, times_slower
from contest.systems import HERE, SYSTEMS, System, environment
from contest.tables import TABLES, Split, Table, split_table

RUNS = RESULTS / "quality-runs.jsonl"
DIGITS = 7
GRACE = 4.0
"""A process may take so many times its seconds, and a minute; then it is ended and has lost."""


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
    run: dict[str, Any] = {
        "table": table.name,
        "system": system.name,
        "seconds": seconds,
        "seed": seed,
    }
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
            data = aside_folder(options.environments) if table.is_aside else options.data
            with tempfile.TemporaryDirectory() as folder:
                split = split_table(table, data, seed=seed, folder=Path(folder))
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


def report(lines: Sequence[Standing], *, seconds: int) -> None:
    """Tables for people and ``results/quality.json``."""
    form = Form("quality")
    rows = []
    for line in lines:
        name = f"{line.table.name}.{line.system}"
        form.add(f"{name}.{line.table.metric}", line.score)
        form.add(f"{name}.row_ms", line.row_ms)
        if line.ours:
            form.add(f"{name}.ours", line.ours)
        shown = f"{line.score:.4f}" if line.score < 1000 else f"{line.score:,.0f}"
        rows.append(
            [line.table.name, line.system, shown, f"{line.row_ms:.2f}", line.seeds, line.ours]
        )
    form.table(f"After {seconds} s", ["table", "system", "score", "row ms", "seeds", "ours"], rows)
    shares = []
    for name, outcomes in held(lines).items():
        share = sum(outcome != "loss" for outcome in outcomes) / len(outcomes)
        form.add(f"wins_or_ties.{name}", share)
        form.add(f"tables.{name}", len(outcomes))
        shares.append([name, f"{share:.0%}", len(outcomes)])
    for name, ratios in times_slower(lines).items():
        form.add(f"row_vs_ours.{name}.least", min(ratios))
        form.add(f"row_vs_ours.{name}.median", statistics.median(ratios))
    form.add("budget_s", seconds)
    form.table("Ours wins or ties", ["against", "share", "tables"], shares)
    form.finish(libraries=["xgboost", "torch", "scikit-learn"])


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
    parser.add_argument(
        "--page", type=Path, default=Path(__file__).parents[1] / "docs",
        help="folder where contest.md and its plot are made",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    if not options.report:
        contest(options)
    lines = standings(kept_runs().values(), seconds=options.seconds)
    report(lines, seconds=options.seconds)
    write_page(options.page, lines, seconds=options.seconds)


if __name__ == "__main__":
    main()
