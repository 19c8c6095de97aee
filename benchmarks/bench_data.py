"""Scan, fit and transform of a large table, beside Ray's own preprocessors and Polars.

``make bench-data`` takes some minutes; ``python benchmarks/bench_data.py --rows 500000`` is a look.

The table: 20 numbers of several shapes, 5 categories of 8 to 5,000 levels, 2 % of both missing, a
binary target; Parquet in row groups of 65,536. Every contender reads the same file on the same
cores, each in a process of its own, in turns; medians count.

- *tenfold*: the row groups are scanned by a schema that is there already (moments, quantiles,
  distinct and top values, co-moments, the target in every cell) and for the report (the course over
  the rows, what is missing together, the sample and the runs of rows behind associations and
  order), one scan a core; the parts are merged, and the preprocessor is fitted on them. Not timed:
  the inference of the schema, cleaning, and what the report makes of the merged parts.
- *ray*: `ray.data.preprocessors.Chain` of imputers, scaler and ordinal encoder, ``fit``. Its rows
  lie in workers, so the memory told is the driver's alone.
- *polars*: the same statistics as ours, lazily, streaming engine.

Memory is each contender's private one (USS: what would be free if the process ended), the largest
that was seen 20 times a second while it scanned and fitted; ``peak_rss_gb`` is ours. It is looked
at in runs of their own, as looking made ours a sixth slower.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from _form import Form
from _memory import Peak, private_peak

N_NUMBERS = 20
LEVELS = (8, 30, 100, 1000, 5000)
NUMBERS = [f"n{i}" for i in range(N_NUMBERS)]
CATEGORIES = [f"c{i}" for i in range(len(LEVELS))]
GROUP_ROWS = 65_536
REPEATS = 3
Watch = Callable[[], AbstractContextManager[Peak]]
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


def write_table(path: Path, n_rows: int) -> None:
    """The table, group by group, from a fixed seed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    random = np.random.default_rng(7)
    names = [pa.array([f"v{v}" for v in range(k)]) for k in LEVELS]
    shapes: list[Callable[[Any], Any]] = [
        lambda x: x, np.exp, lambda x: np.round(x * 100), lambda x: np.round(x, 2),
    ]  # fmt: skip
    writer = None
    for start in range(0, n_rows, GROUP_ROWS):
        n = min(GROUP_ROWS, n_rows - start)
        columns: dict[str, Any] = {}
        for i, name in enumerate(NUMBERS):
            values = shapes[i % 4](random.normal(size=n))
            columns[name] = pa.array(values, mask=random.random(n) < 0.02)
        for name, texts in zip(CATEGORIES, names, strict=True):
            places = (random.random(n) ** 2 * len(texts)).astype(int)
            columns[name] = texts.take(pa.array(places, mask=random.random(n) < 0.02))
        columns["y"] = pa.array(["no", "yes"]).take(pa.array((random.random(n) < 0.3).astype(int)))
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table, row_group_size=GROUP_ROWS)
    assert writer is not None
    writer.close()


def _schema() -> Any:
    from tenfold.schema import Column, Kind, Role, Schema

    texts = [
        Column(name, Kind.CATEGORY, domain=tuple(sorted(f"v{v}" for v in range(k))))
        for name, k in zip(CATEGORIES, LEVELS, strict=True)
    ]
    target = Column("y", Kind.CATEGORY, Role.TARGET, domain=("no", "yes"))
    return Schema((*(Column(name, Kind.NUMBER) for name in NUMBERS), *texts, target))


def _scan_and_fit(shards: Sequence[Any], schema: Any) -> Any:
    """One scan a core over its share of the row groups, as `ProfileJob` does over blocks, with the
    survey that `FinishJob` takes of each."""
    from tenfold.data.drivers import InProcess
    from tenfold.features import Preprocessor, Recipe
    from tenfold.profile import Profile, ProfileScan, merge_profiles
    from tenfold.profile.course import Axis
    from tenfold.profile.runs import Windows
    from tenfold.profile.sample import hash_limit
    from tenfold.profile.survey import Survey

    n_cores = os.cpu_count() or 1
    runs = np.array_split(np.arange(len(shards)), n_cores)
    parts: dict[int, Profile] = {}
    surveys: dict[int, Survey] = {}
    n_rows = GROUP_ROWS * (shards[-1].groups[-1] + 1)
    axis, windows, limit = Axis.of_rows(n_rows), Windows.of(n_rows), hash_limit(n_rows)

    def survey(piece: int, table: Any) -> Survey:
        random = np.random.default_rng(piece)
        return Survey.from_table(
            table, schema, axis=axis, windows=windows, limit=limit,
            hashes=random.integers(0, 2**64, len(table), dtype=np.uint64),
            positions=shards[piece].groups[0] * GROUP_ROWS + np.arange(len(table)),
        )  # fmt: skip

    def scan(run: int) -> None:
        scan = ProfileScan(schema)
        for piece in runs[run]:
            table = shards[piece].read().table
            scan.add(table)
            surveys[piece] = survey(piece, table)
        parts[run] = scan.profile()

    for _ in InProcess(n_threads=n_cores).run(scan, range(n_cores)):
        pass
    total = merge_profiles([parts[run] for run in range(n_cores)])
    Survey.merge_all([surveys[piece] for piece in range(len(shards))])
    recipe = Recipe(numbers="standard", categories="ordinal")
    return Preprocessor.fit(schema, total, recipe=recipe)


def _tenfold(path: Path, watch: Watch) -> dict[str, float]:
    from tenfold.data.drivers import InProcess
    from tenfold.data.parquet_file import parquet_shards
    from tenfold.profile import Profile

    schema, shards = _schema(), parquet_shards(path, source="t")
    # As Ray's `take` before its clock: what is loaded at the first use (Arrow loads pandas at its
    # first array of Python values) is no part of a scan.
    Profile.from_table(shards[0].read().table.slice(0, 1), schema)
    with watch() as peak:
        start = time.perf_counter()
        made = _scan_and_fit(shards, schema)
        fitted = time.perf_counter()

    def transform(piece: int) -> None:
        made.transform(shards[piece].read().table)

    begun = time.perf_counter()
    for _ in InProcess(n_threads=os.cpu_count()).run(transform, range(len(shards))):
        pass
    return {
        "fit": fitted - start,
        "transform": time.perf_counter() - begun,
        "uss_gb": peak.gb,
    }


def _ray(path: Path, watch: Watch) -> dict[str, float]:
    import ray
    import ray.data
    from ray.data.preprocessors import Chain, OrdinalEncoder, SimpleImputer, StandardScaler

    ray.init(num_cpus=os.cpu_count(), log_to_driver=False, logging_level="error")
    ray.data.DataContext.get_current().enable_progress_bars = False
    dataset = ray.data.read_parquet(str(path))
    dataset.take(1)
    chain = Chain(
        SimpleImputer(NUMBERS, strategy="mean"),
        SimpleImputer(CATEGORIES, strategy="most_frequent"),
        StandardScaler(NUMBERS),
        OrdinalEncoder(CATEGORIES),
    )
    with watch() as peak:
        start = time.perf_counter()
        chain.fit(dataset)
        fitted = time.perf_counter()
    begun = time.perf_counter()
    for _ in chain.transform(dataset).iter_batches(batch_size=GROUP_ROWS, batch_format="pyarrow"):
        pass
    return {
        "fit": fitted - start,
        "transform": time.perf_counter() - begun,
        "uss_gb": peak.gb,
    }


def _polars(path: Path, watch: Watch) -> dict[str, float]:
    import polars as pl

    with watch() as peak:
        start = time.perf_counter()
        frame = pl.scan_parquet(path)
        numbers = [
            expression
            for name in NUMBERS
            for expression in (
                pl.col(name).null_count().alias(f"{name}:nulls"),
                pl.col(name).mean().alias(f"{name}:mean"),
                pl.col(name).std().alias(f"{name}:std"),
                pl.col(name).skew().alias(f"{name}:skew"),
                pl.col(name).kurtosis().alias(f"{name}:kurtosis"),
                pl.col(name).min().alias(f"{name}:min"),
                pl.col(name).max().alias(f"{name}:max"),
                pl.col(name).n_unique().alias(f"{name}:distinct"),
                *(pl.col(name).quantile(q).alias(f"{name}:q{q}") for q in QUANTILES),
            )
        ]
        frame.select(numbers).collect(engine="streaming")
        frame.select(
            pl.corr(a, b).alias(f"{a}:{b}") for i, a in enumerate(NUMBERS) for b in NUMBERS[:i]
        ).collect(engine="streaming")
        yes = (pl.col("y") == "yes").mean()
        for name in CATEGORIES:
            frame.group_by(name).agg(pl.len(), yes.alias("yes")).collect(engine="streaming")
        for name in NUMBERS:
            cell = pl.col(name).qcut(20, allow_duplicates=True).alias("cell")
            frame.select(cell, "y").group_by("cell").agg(pl.len(), yes.alias("yes")).collect()
        fitted = time.perf_counter()
    return {"fit": fitted - start, "uss_gb": peak.gb}


def _rows(_path: Path, _watch: Watch) -> dict[str, float]:
    """Microseconds of one row through the preprocessor that `_tenfold` fits (standardized numbers,
    ordinal categories), 20 and 100 columns, a quarter of them categories; the median of
    many rounds. `bench_features` tells other recipes, the dearest as ``row_us_20.dearest``."""
    import timeit

    import pyarrow as pa

    from tenfold.features import Preprocessor, Recipe
    from tenfold.profile import Profile
    from tenfold.schema import Column, Kind, Schema

    random, found = np.random.default_rng(3), {}
    for n_columns in (20, 100):
        n_texts = n_columns // 4
        domain = tuple(f"v{k}" for k in range(20))
        columns = [Column(f"n{i}", Kind.NUMBER) for i in range(n_columns - n_texts)]
        columns += [Column(f"c{i}", Kind.CATEGORY, domain=domain) for i in range(n_texts)]
        table = pa.table({
            c.name: random.normal(size=500) if c.kind is Kind.NUMBER else random.choice(domain, 500)
            for c in columns
        })  # fmt: skip
        schema = Schema(tuple(columns))
        recipe = Recipe(numbers="standard", categories="ordinal")
        made = Preprocessor.fit(schema, Profile.from_table(table, schema), recipe=recipe)
        row = table.slice(0, 1).to_pylist()[0]
        rounds = timeit.repeat(
            lambda made=made, row=row: made.transform_row(row), number=200, repeat=40
        )
        found[f"row_us_{n_columns}"] = statistics.median(rounds) / 200 * 1e6
    return found


CONTENDERS = {"tenfold": _tenfold, "ray": _ray, "polars": _polars, "rows": _rows}


@contextmanager
def unwatched() -> Iterator[Peak]:
    """Where seconds are measured, nobody looks at the memory."""
    yield Peak()


def measure(name: str, path: Path, *, memory: bool = False) -> dict[str, float]:
    """One contender in a process of its own: seconds by step, or its private memory at the peak."""
    command = [sys.executable, __file__, "--one", name, "--path", str(path)]
    command += ["--memory"] if memory else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr[-3000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """All contenders in turns, then the file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--one", choices=CONTENDERS)
    parser.add_argument("--path", type=Path)
    parser.add_argument("--memory", action="store_true")
    asked = parser.parse_args()
    if asked.one:
        watch = private_peak if asked.memory else unwatched
        found = CONTENDERS[asked.one](asked.path, watch)
        sys.stdout.write(json.dumps(found) + "\n")
        return
    form = Form("data")
    form.add("rows", asked.rows)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.parquet"
        write_table(path, asked.rows)
        runs: dict[str, list[dict[str, float]]] = {"tenfold": [], "ray": [], "polars": []}
        for _ in range(REPEATS):
            for name, found in runs.items():
                found.append(measure(name, path))
        rows = measure("rows", path)
        median = {
            name: {key: statistics.median(run[key] for run in found) for key in found[0]}
            | {"uss_gb": measure(name, path, memory=True)["uss_gb"]}
            for name, found in runs.items()
        }
    ours, chain, polars = median["tenfold"], median["ray"], median["polars"]
    form.add("fit_vs_ray_chain", chain["fit"] / ours["fit"])
    form.add("fit_vs_polars", polars["fit"] / ours["fit"])
    form.add("transform_vs_ray_chain", chain["transform"] / ours["transform"])
    form.add("peak_rss_gb", ours["uss_gb"])
    for key in ("row_us_20", "row_us_100"):
        form.add(key, rows[key])
    for name, found in median.items():
        for key, value in found.items():
            form.add(f"{name}.{key}", value)
    form.table(
        f"{asked.rows:,} rows x {N_NUMBERS + len(LEVELS)} columns, seconds (medians of {REPEATS})",
        ["contender", "scan and fit", "transform", "process USS, GB"],
        [
            [name, f"{found['fit']:.1f}", f"{found.get('transform', float('nan')):.1f}",
             f"{found['uss_gb']:.2f}"]
            for name, found in median.items()
        ],
    )  # fmt: skip
    form.table(
        "Ratios and rows",
        ["figure", "measured", "wanted"],
        [
            ["fit, ray chain / tenfold", f"{chain['fit'] / ours['fit']:.1f}", ">= 8"],
            ["fit, polars / tenfold", f"{polars['fit'] / ours['fit']:.2f}", ">= 0.5"],
            [
                "transform, ray chain / tenfold",
                f"{chain['transform'] / ours['transform']:.1f}",
                ">= 3",
            ],
            ["one row of 20 columns, us", f"{rows['row_us_20']:.1f}", "< 30"],
            ["one row of 100 columns, us", f"{rows['row_us_100']:.1f}", "< 120"],
        ],
    )
    form.finish(libraries=["ray", "polars", "pyarrow", "numpy"])


if __name__ == "__main__":
    main()
