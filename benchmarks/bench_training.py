"""What the platform adds to the fits themselves: by configuration, by search, by command.

``make bench-training``; some five minutes at the small sizes that are the default on two cores.
``--rows 1000000`` is the full size of the ingest part, ``--only`` chooses parts; what the file
holds of the others stays.

- ``search``: sessions' time beside the fits, by configuration; trials a minute against the barest
  loop that does the same work (one Optuna study asked and told in the driver, a pool of as many
  processes, the same configurations on the same prepared folds); from one session to two.
- ``first``: from the start of ``tenfold train --budget 1s`` to a registered version, with a Ray and
  MLflow's database there, and with neither. Processes are started afresh; so is Python.
- ``ingest``: one table as Parquet, to a saved booster: through a snapshot and a family, and by
  ``xgboost.train`` alone; same rounds, threads and bins. Preparing the snapshot and transforming
  the columns are told apart.
- ``schedule``: a model of 16 and 64 sessions with the costs that were measured (`_schedule`).

Wall times of a shared machine: read ratios, and the load beside them.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from _form import RESULTS, Form
from _schedule import Costs, simulate
from tenfold.data import Snapshot, prepare
from tenfold.models import FAMILIES, Fit
from tenfold.project import Project
from tenfold.settings import Settings
from tenfold.training.board import Board, Tried
from tenfold.training.evaluate import Config, Outcome, evaluate
from tenfold.training.journal import FolderJournal
from tenfold.training.question import question_of, traits_of
from tenfold.training.rows import load_rows
from tenfold.training.search import Limits, Material, search
from tenfold_jobs.ray_rim import start_ray

PARTS = ("search", "first", "ingest", "schedule")
GOALS = {"overhead_s": 0.2, "trials_ratio": 0.9, "first_s": 10.0, "ingest": 1.10, "two": 0.85}
ROUNDS, BINS = 100, 256
SEARCH_ROWS, SEARCH_COLUMNS = 8_000, 20


def write_table(folder: Path, n_rows: int, n_columns: int) -> Path:
    """Numbers with a little signal, as Parquet."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n_rows, n_columns)).astype(np.float32)
    score = x[:, 0] + 0.5 * x[:, 1] * x[:, 2] + rng.normal(size=n_rows)
    columns: dict[str, Any] = {f"x{k}": x[:, k] for k in range(n_columns)}
    columns["y"] = np.where(score > 0, "yes", "no")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "table.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def project_at(folder: Path, **train: Any) -> Project:
    body = {
        "name": "bench",
        "problem": {"task": "binary", "target": "y"},
        "data": {"sources": [{"path": "table.parquet"}]},
        "train": {"families": ["boosting"], "select_columns": "off", **train},
    }
    return Project.from_dict(body).at(folder)


def settings_at(folder: Path) -> Settings:
    return Settings.from_env({"TENFOLD_HOME": str(folder / "home")})


def material_of(project: Project, snapshot: Snapshot) -> Material:
    from dataclasses import replace

    profiles = snapshot.profiles()
    question = replace(
        question_of(project, snapshot, positive="yes"),
        traits=traits_of(snapshot.schema, profiles),
    )
    rows = load_rows(snapshot, question)
    return Material(rows.training, profiles, snapshot.schema, question, 1)


# ------------------------------------------------------------------------------------------ search


def searched(
    material: Material, folder: Path, *, trials: int, sessions: int
) -> tuple[list[Tried], float]:
    """What was tried after the sessions had started, and the wall time of it."""
    heard: list[tuple[float, Tried]] = []
    shutil.rmtree(folder, ignore_errors=True)
    limits = Limits(trials=trials, seconds=None, sessions=sessions)
    search(
        material, limits, storage=folder,
        on_tried=lambda tried: heard.append((time.perf_counter(), tried)),
    )  # fmt: skip
    steady = heard[sessions + 1 :]  # without the baseline and the first of each session
    return [tried for _, tried in steady], steady[-1][0] - heard[sessions][0]


_WORK: Any = None


def _open(material: Material) -> None:
    global _WORK
    _WORK = material.workspace()


def _evaluate(config: Config) -> Outcome:
    return evaluate(_WORK, config)


def bare_loop(material: Material, configs: list[Config], *, processes: int) -> float:
    """Seconds of the same configurations in a pool, an Optuna study asked and told beside."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = FAMILIES["boosting"].space
    assert space is not None
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=0, constant_liar=True)
    )
    left = list(configs)
    with ProcessPoolExecutor(processes, initializer=_open, initargs=(material,)) as pool:
        list(pool.map(_evaluate, [configs[0]] * processes))  # folds are prepared, as above
        began, running = time.perf_counter(), {}
        while left or running:
            while left and len(running) < processes:
                trial = study.ask()
                space(trial, "binary")
                running[pool.submit(_evaluate, left.pop(0))] = trial
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                outcome = done.result()
                score = outcome.score if np.isfinite(outcome.score) else 0.0
                study.tell(running.pop(done), score)
        return time.perf_counter() - began


def bench_search(form: Form, folder: Path, *, trials: int) -> None:
    project = project_at(folder, folds=5)
    write_table(folder, SEARCH_ROWS, SEARCH_COLUMNS)
    settings = settings_at(folder)
    material = material_of(project, prepare(project, settings=settings))
    with start_ray(settings, num_cpus=2):
        searched(material, folder / "warm", trials=8, sessions=2)
        two, wall_two = searched(material, folder / "two", trials=trials, sessions=2)
        one, wall_one = searched(material, folder / "one", trials=trials, sessions=1)
    fits = sum(tried.outcome.seconds for tried in two)
    overhead = max(0.0, 2 * wall_two - fits) / len(two)
    alone = sum(tried.outcome.seconds for tried in one)
    bare = bare_loop(material, [tried.config for tried in two], processes=2)
    ours = len(two) / wall_two
    efficiency = (wall_one / len(one)) / (2 * wall_two / len(two))
    ratio = ours / (len(two) / bare)
    form.add("search.trials", len(two))
    form.add("search.fit_seconds_each.two_sessions", fits / len(two))
    form.add("search.fit_seconds_each.one_session", alone / len(one))
    form.add("search.overhead_seconds_each", overhead)
    form.add("search.trials_a_minute.tenfold", 60 * ours)
    form.add("search.trials_a_minute.bare", 60 * len(two) / bare)
    form.add("search.trials_a_minute.ratio", ratio)
    form.add("search.efficiency_of_two", efficiency)
    slower = (fits / len(two)) / (alone / len(one))
    form.add("search.fit_slower_beside_another", slower)
    busy = (wall_one - alone) / len(one)
    form.add("search.overhead_seconds_each.one_session", busy)
    form.table(
        f"A search of {len(two)} configurations, {SEARCH_ROWS:,} x {SEARCH_COLUMNS}, two sessions",
        ["what", "found", "goal"],
        [
            ["seconds beside the fit, each", f"{overhead:.3f}", f"< {GOALS['overhead_s']}"],
            ["the same, one session", f"{busy:.3f}", f"< {GOALS['overhead_s']}"],
            ["trials a minute", f"{60 * ours:.0f}", ""],
            ["against the bare loop", f"{ratio:.2f}x", f">= {GOALS['trials_ratio']}x"],
            ["efficiency, one to two", f"{efficiency:.2f}", f">= {GOALS['two']}"],
            ["a fit beside another takes", f"{slower:.2f}x", "1x where cores are free"],
        ],
    )


# ------------------------------------------------------------------------------------------- first


def train_once(folder: Path, home: Path, *, address: str | None) -> float:
    """Seconds of the whole command, until its version is registered and it has ended."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "TENFOLD_"))}
    environ["TENFOLD_HOME"] = str(home)
    if address is not None:  # with the token of the Ray that this process started
        environ |= {k: v for k, v in os.environ.items() if k.startswith("RAY_AUTH_")}
        environ["RAY_ADDRESS"] = address
    command = [sys.executable, "-m", "tenfold_jobs", "train", str(folder / "project.json")]
    began = time.perf_counter()
    subprocess.run(
        [*command, "--budget", "1s"], env=environ, check=True, capture_output=True, timeout=300
    )
    return time.perf_counter() - began


def bench_first(form: Form, folder: Path) -> None:
    from tenfold.canonical import canonical_json

    project = project_at(folder, families=["linear", "boosting"])
    write_table(folder, SEARCH_ROWS, SEARCH_COLUMNS)
    (folder / "project.json").write_bytes(canonical_json(project.to_dict()))
    settings = settings_at(folder)
    prepare(project, settings=settings)
    cold = train_once(folder, settings.home, address=None)
    with start_ray(settings, num_cpus=2) as address:
        train_once(folder, settings.home, address=address)
        warm = min(train_once(folder, settings.home, address=address) for _ in range(3))
    form.add("first.seconds.warm", warm)
    form.add("first.seconds.cold", cold)
    form.table(
        "From the command's start to a registered version, and its end",
        ["what", "seconds", "goal"],
        [
            ["Ray and MLflow's database there", f"{warm:.1f}", f"< {GOALS['first_s']:g}"],
            ["neither", f"{cold:.1f}", ""],
        ],
    )


# ------------------------------------------------------------------------------------------ ingest


def alone(path: Path, folder: Path, params: dict[str, Any]) -> float:
    """``xgboost.train`` as a script would call it."""
    import xgboost

    began = time.perf_counter()
    table = pq.read_table(path)
    x = np.column_stack([table[name].to_numpy() for name in table.column_names[:-1]])
    y = (table["y"].to_numpy(zero_copy_only=False) == "yes").astype(np.int64)
    data = xgboost.QuantileDMatrix(x, y, nthread=params["nthread"], max_bin=BINS)
    booster = xgboost.train(params, data, num_boost_round=ROUNDS)
    booster.save_model(folder / "alone.ubj")
    return time.perf_counter() - began


def bench_ingest(form: Form, folder: Path, *, n_rows: int, n_columns: int) -> None:
    threads = len(os.sched_getaffinity(0))
    path = write_table(folder, n_rows, n_columns)
    project = project_at(folder, folds=2, device="cpu")
    began = time.perf_counter()
    snapshot = prepare(project, settings=settings_at(folder))
    prepared = time.perf_counter() - began
    question = question_of(project, snapshot, positive="yes")
    params = {"eta": 0.1, "max_depth": 6, "rounds": ROUNDS}
    family = FAMILIES["boosting"]
    plain = {
        "objective": "binary:logistic", "tree_method": "hist", "nthread": threads,
        "eta": 0.1, "max_depth": 6, "max_bin": BINS, "verbosity": 0,
    }  # fmt: skip
    runs: dict[str, list[float]] = {"load": [], "transform": [], "fit": [], "alone": []}
    for _ in range(3):
        runs["alone"].append(alone(path, folder, plain))
        began = time.perf_counter()
        rows = load_rows(snapshot, question)
        runs["load"].append(time.perf_counter() - began)
        material = Material(rows, snapshot.profiles(), snapshot.schema, question, threads)
        from tenfold.features import Recipe

        began = time.perf_counter()
        folds = tuple(sorted(material.profiles))
        prep = material.workspace().crossfit(folds, Recipe(**family.recipe(params)))
        matrix = prep.transform_training(rows.codes, rows.fold)
        runs["transform"].append(time.perf_counter() - began)
        began = time.perf_counter()
        model = family.fit(Fit(matrix, rows.truth, "binary", 2, params, 0, threads))
        for name, body in model.files().items():
            (folder / name).write_bytes(body)
        runs["fit"].append(time.perf_counter() - began)
    best = {name: min(found) for name, found in runs.items()}
    ratio = (best["load"] + best["fit"]) / best["alone"]
    form.add("ingest.rows", n_rows)
    form.add("ingest.columns", n_columns)
    for name, seconds in {**best, "prepare": prepared}.items():
        form.add(f"ingest.seconds.{name}", seconds)
    form.add("ingest.ratio", ratio)
    form.table(
        f"From Parquet to a saved booster, {n_rows:,} x {n_columns}, {ROUNDS} rounds",
        ["what", "seconds", "goal"],
        [
            ["xgboost.train alone", f"{best['alone']:.2f}", ""],
            ["tenfold: rows", f"{best['load']:.2f}", ""],
            ["tenfold: fit and save", f"{best['fit']:.2f}", ""],
            ["tenfold, of alone", f"{ratio:.2f}x", f"<= {GOALS['ingest']}x"],
            ["beside: preparing the snapshot", f"{prepared:.2f}", ""],
            ["beside: transforming columns", f"{best['transform']:.2f}", ""],
        ],
    )


# ---------------------------------------------------------------------------------------- schedule


def measured_costs(folder: Path) -> Costs:
    """Of the board with its journal on disk: the mean over a search's first 120 configurations.

    An ask is a sampler's work, so its processor time counts; an outcome waits for the disk, too.
    """
    from _schedule import _outcome, _question

    journal = FolderJournal(folder / "journal")
    board = Board(_question(), trials=None, timed=True, journal=journal)
    board.left_s = 1e9
    oof = np.zeros((30_000, 2), np.float32)
    ask = tell = 0.0
    n = 120
    for _ in range(n):
        began = time.process_time()
        config = board.ask("s")
        ask += time.process_time() - began
        assert isinstance(config, Config)
        from dataclasses import replace

        outcome = replace(_outcome(config.number, 1.0), oof=oof)
        began = time.perf_counter()
        board.tell(outcome)
        tell += time.perf_counter() - began
    return Costs(ask / n, tell / n, 0.02)


def bench_schedule(form: Form, folder: Path) -> None:
    costs = measured_costs(folder)
    form.add("schedule.ask_seconds", costs.ask_s)
    form.add("schedule.tell_seconds", costs.tell_s)
    rows = []
    for mean_s in (2.0, 10.0):
        for n_sessions in (2, 16, 64):
            # Forty configurations a session: the last ones, which end apart, weigh alike.
            found = simulate(n_sessions, mean_s=mean_s, costs=costs, seconds=40 * mean_s)
            key = f"schedule.sessions_{n_sessions}.mean_{mean_s:g}s"
            form.add(f"{key}.efficiency", found.efficiency)
            form.add(f"{key}.board_share", found.board_share)
            rows.append(
                [
                    f"{n_sessions} sessions, {mean_s:g} s each",
                    f"{found.efficiency:.2f}",
                    f"{found.board_share:.2f}",
                    found.n_configs,
                ]
            )
    form.table(
        f"A model of wide searches (board: ask {1e3 * costs.ask_s:.1f} ms, "
        f"tell {1e3 * costs.tell_s:.1f} ms)",
        ["search", "busy", "board busy", "configurations"],
        rows,
    )


def kept_of(path: Path, *, without: Sequence[str]) -> dict[str, Any]:
    """What an earlier run found in the parts that this one left out."""
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return {k: v for k, v in found.items() if k.split(".")[0] in set(PARTS) - set(without)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--columns", type=int, default=50)
    parser.add_argument("--trials", type=int, default=30)
    args = parser.parse_args()
    form = Form("training")
    with tempfile.TemporaryDirectory(prefix="bench-training-") as folder:
        root = Path(folder)
        if "search" in args.only:
            bench_search(form, root / "search", trials=args.trials)
        if "first" in args.only:
            bench_first(form, root / "first")
        if "ingest" in args.only:
            bench_ingest(form, root / "ingest", n_rows=args.rows, n_columns=args.columns)
        if "schedule" in args.only:
            bench_schedule(form, root / "schedule")
    for name, value in kept_of(RESULTS / "training.json", without=args.only).items():
        form.add(name, value)
    form.finish(libraries=["ray", "optuna", "xgboost", "mlflow", "numpy", "pyarrow"])


if __name__ == "__main__":
    main()
