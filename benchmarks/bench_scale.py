"""`tenfold prepare` as tables grow: cost per row, and the private memory of every process.

``make bench-scale`` prepares 1 M and 5 M rows; ``python benchmarks/bench_scale.py --rows 1000000
50000000 --folder FOLDER`` goes up to 10 GB in memory, for which it needs 45 GB of disk. What was
measured lies in the folder: another call with more sizes measures only these.

The table is that of `bench_data`: 20 numbers, 5 categories, a binary target, about 210 bytes a row
in memory; Parquet in row groups of 65,536. Each size is a process of its own in a session of its
own. It starts a Ray with an object store of 1 GB, prepares adult.csv a few times (which answers
the question of the small table, and leaves Ray warm), then prepares the large one with
``TENFOLD_LOCAL_BYTES=0``: everything goes through Ray Data, and the report is written.

Memory is private (USS: what would be free if the process ended; pages of mapped files that nobody
else maps count), the largest of any process of the session, looked at five times a second by this
process. ``flat_X_vs_Y`` is the cost of a row at size X over that at Y.

What profiling found, and what it became (us a row of 24 or 25 columns, two cores): the scan wrote
every float as text (47 to 1.5); near links grouped records where sorted words tell that there are
none (7 of 35 at 5 M rows); the report searched for every value of two samples where one merge
does (10 of 35). At 50 M rows the profiles of the blocks took 5 of 17, cleaning and reading 3 to 4
each; since then one job scans a whole fold. The driver's peak is the report where a fold has just
below a million different values a column, the most that is kept as it is: 1.0 GB at 5 M rows, less
below and above.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from _form import Form
from _memory import private_bytes
from bench_data import write_table

STORE_BYTES = 10**9
EVERY_S = 0.2
SMALL_REPEATS = 4
WANTED = {"uss_gb": 2.0, "object_store_gb": 1.0, "adult_s": 6.0}


class _Timer:
    """A progress that remembers how long each step took."""

    def __init__(self) -> None:
        self.steps: dict[str, float] = {}

    def say(self, text: str) -> None:
        """Nothing is shown."""

    @contextmanager
    def step(self, name: str, *, total: int | None = None) -> Iterator[Callable[[int], None]]:
        """Time one step."""
        start = time.perf_counter()
        yield lambda _: None
        self.steps[name] = round(time.perf_counter() - start, 3)
        sys.stderr.write(f"  {name}: {self.steps[name]:.1f} s\n")


def _prepare(path: Path, target: str, home: Path, *, local_bytes: int) -> tuple[float, _Timer]:
    from tenfold.project import Project
    from tenfold.settings import Settings
    from tenfold_jobs.prepare import run_prepare

    shutil.rmtree(home, ignore_errors=True)
    project = Project.from_dict(
        {
            "problem": {"task": "binary", "target": target},
            "data": {"sources": [{"path": str(path)}]},
        }
    )
    settings = Settings.from_env(
        {"TENFOLD_HOME": str(home), "TENFOLD_LOCAL_BYTES": str(local_bytes)}
    )
    timer = _Timer()
    start = time.perf_counter()
    record = run_prepare(project, settings, progress=timer)
    took_s = time.perf_counter() - start
    wanted = "in-process" if local_bytes else "ray-data"
    if record.driver != wanted:
        raise SystemExit(f"{path} must go through {wanted}, went through {record.driver}")
    return took_s, timer


def run_one(path: Path, home: Path, small: Path | None) -> dict[str, Any]:
    """What the process of one size does."""
    from tenfold.cluster.connect import auth_environment
    from tenfold.settings import Settings
    from tenfold_jobs.ray_rim import QUIET_ENVIRONMENT, RAY_ENVIRONMENT

    settings = Settings.from_env({"TENFOLD_HOME": str(home / "ray")})
    os.environ |= RAY_ENVIRONMENT | QUIET_ENVIRONMENT | auth_environment(settings)
    import ray  # reads its environment at once

    ray.init(
        num_cpus=len(os.sched_getaffinity(0)),
        object_store_memory=STORE_BYTES,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="error",
    )
    found: dict[str, Any] = {
        "object_store_gb": ray.cluster_resources()["object_store_memory"] / 1e9
    }
    if small is not None:
        for key, local_bytes in (("adult_ray", 0), ("adult_local", 2**28)):
            times = [
                _prepare(small, "salary", home / "small", local_bytes=local_bytes)[0]
                for _ in range(SMALL_REPEATS)
            ]
            found[f"{key}_first_s"], found[f"{key}_s"] = times[0], statistics.median(times[1:])
    found["seconds"], timer = _prepare(path, "y", home / "large", local_bytes=0)
    found["steps"] = timer.steps
    ray.shutdown()
    return found


def _session(leader: int) -> Iterator[tuple[int, str]]:
    """Processes of a session, with their names."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            pid = int(entry.name)
            if os.getsid(pid) == leader:
                yield pid, (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (OSError, ProcessLookupError):
            continue


def _kind(pid: int, leader: int, command: str) -> str:
    if pid == leader:
        return "driver"
    if command.startswith("ray::"):
        return "worker"
    return "raylet" if "raylet/raylet" in command else "other"


def watch(process: subprocess.Popen[bytes]) -> dict[str, float]:
    """The largest private memory of each kind of process, GB, until the leader ends."""
    peaks = {"driver": 0, "worker": 0, "raylet": 0, "other": 0}
    while process.poll() is None:
        for pid, command in _session(process.pid):
            kind = _kind(pid, process.pid, command)
            try:
                peaks[kind] = max(peaks[kind], private_bytes(pid))
            except OSError:
                continue
        time.sleep(EVERY_S)
    return {kind: size / 1e9 for kind, size in peaks.items()}


def measure(path: Path, folder: Path, small: Path | None) -> dict[str, Any]:
    """One size in a process of its own."""
    home = folder / "home"
    out = folder / "one.json"
    command = [sys.executable, __file__, "--one", str(path), "--folder", str(home)]
    command += ["--out", str(out)] + ([] if small is None else ["--small", str(small)])
    process = subprocess.Popen(command, start_new_session=True)
    peaks = watch(process)
    if process.returncode:
        raise SystemExit(f"the process of {path} ended with {process.returncode}")
    shutil.rmtree(home, ignore_errors=True)
    return {
        **json.loads(out.read_text()),
        "uss_gb": peaks,
        "load_1m": os.getloadavg()[0],
        "taken_at": _now(),
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def found_or_measured(n_rows: int, folder: Path, small: Path | None) -> dict[str, Any]:
    """One size, unless it was measured in this folder before."""
    kept = folder / f"run-{n_rows}.json"
    if not kept.exists():
        path = folder / f"table-{n_rows}.parquet"
        if not path.exists():
            write_table(path.with_suffix(".part"), n_rows)
            path.with_suffix(".part").rename(path)
        kept.write_text(json.dumps(measure(path, folder, small)))
    return dict(json.loads(kept.read_text()))


def _word(n_rows: int) -> str:
    return f"{n_rows // 10**6}m" if n_rows % 10**6 == 0 else f"{n_rows // 1000}k"


def main() -> None:
    """All sizes from small to large, then the file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 5_000_000])
    parser.add_argument("--folder", type=Path, help="for tables, which are found again, and work")
    parser.add_argument("--small", type=Path, default=_adult())
    parser.add_argument("--one", type=Path)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    if asked.one:
        asked.out.write_text(json.dumps(run_one(asked.one, asked.folder, asked.small)))
        return
    form = Form("scale")
    with tempfile.TemporaryDirectory() as made:
        folder = asked.folder or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        sizes = sorted(asked.rows)
        found = {n_rows: found_or_measured(n_rows, folder, asked.small) for n_rows in sizes}
    _tell(form, found)
    form.finish(libraries=["ray", "pyarrow", "numpy"])


def _adult() -> Path | None:
    """Where the tests find the real tables too."""
    file = Path(__file__).resolve().parents[2] / "shared" / "data" / "adult.csv"
    return file if file.exists() else None


def _tell(form: Form, found: dict[int, dict[str, Any]]) -> None:
    rows = []
    cost = {n_rows: 1e6 * run["seconds"] / n_rows for n_rows, run in found.items()}
    least = min(found)
    for n_rows, run in found.items():
        word = _word(n_rows)
        form.add(f"prepare_us_row_{word}", cost[n_rows])
        form.add(f"prepare_s_{word}", run["seconds"])
        form.add(f"load_1m_{word}", run["load_1m"])
        form.add(f"taken_at_{word}", run["taken_at"])
        if n_rows != least:
            form.add(f"flat_{word}_vs_{_word(least)}", cost[n_rows] / cost[least])
        for kind, size in run["uss_gb"].items():
            form.add(f"uss_gb_{word}.{kind}", size)
        for step, seconds in run["steps"].items():
            form.add(f"steps_{word}.{step.replace(' ', '_')}_s", seconds)
        peaks = [f"{run['uss_gb'][kind]:.2f}" for kind in ("driver", "worker", "raylet", "other")]
        rows.append([f"{n_rows:,}", f"{run['seconds']:.0f}", f"{cost[n_rows]:.1f}", *peaks])
    peak = max(size for run in found.values() for size in run["uss_gb"].values())
    store = max(run["object_store_gb"] for run in found.values())
    form.add("peak_uss_gb", peak)
    form.add("object_store_gb", store)
    form.table(
        "prepare through Ray Data, report included; private memory in GB",
        ["rows", "seconds", "us a row", "driver", "worker", "raylet", "other"],
        rows,
    )
    small = {
        key: statistics.median(run[key] for run in found.values())
        for key in ("adult_ray_first_s", "adult_ray_s", "adult_local_first_s", "adult_local_s")
        if all(key in run for run in found.values())
    }
    for key, seconds in small.items():
        form.add(key, seconds)
    form.table(
        "What is asked",
        ["figure", "measured", "wanted"],
        [
            ["largest process, GB private", f"{peak:.2f}", f"< {WANTED['uss_gb']:g}"],
            ["object store, GB", f"{store:.2f}", f"<= {WANTED['object_store_gb']:g}"],
            *(
                [key, f"{seconds:.1f}", f"< {WANTED['adult_s']:g}"]
                for key, seconds in small.items()
            ),
        ],
    )


if __name__ == "__main__":
    main()
