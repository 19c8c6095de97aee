"""The three passes, one piece at a time."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tenfold.canonical import read_json, sha256_hex
from tenfold.data.arrow_file import read_arrow, read_facts
from tenfold.data.clean import Rules
from tenfold.data.hashing import from_binary, sum_128
from tenfold.data.infer import Hints, infer_schema
from tenfold.data.jobs import (
    CleanJob,
    FinishJob,
    ScanJob,
    clean_file,
    fact_file,
    key_file,
    problem_file,
    scan_file,
    survey_file,
)
from tenfold.data.keys import KeyFiles, KeyForm
from tenfold.data.scan import TableScan
from tenfold.data.snapshot import FOLD, HASH, ROW
from tenfold.data.source import TableSource
from tenfold.data.split import SplitRule
from tenfold.profile.course import Axis
from tenfold.profile.runs import Windows
from tenfold.profile.survey import Survey

TABLE = pa.table(
    {"x": ["1", "2", "bad", "4", "5", *["6"] * 25], "y": ["a", "b", "a", "?", "b", *["a"] * 25]}
)
SHARDS = TableSource(TABLE, block_rows=20).shards()


def _travelled(job: Any) -> Any:
    """Jobs cross processes under Ray, which pickles them in flight."""
    return pickle.loads(pickle.dumps(job))  # noqa: S301


def test_a_table_goes_through_all_passes(tmp_path: Path) -> None:
    schema = infer_schema(TABLE, Hints(target="y", classes=True))
    _travelled(ScanJob(tmp_path, SHARDS, Rules()))(0)
    assert TableScan.from_bytes(scan_file(tmp_path, 0).read_bytes()).columns[0].n_rows == 20

    clean = _travelled(CleanJob(tmp_path, SHARDS, Rules(), schema, "s", SplitRule(2, 0.2)))
    for piece in (0, 1):
        clean(piece)
    assert read_facts(clean_file(tmp_path, 0)) == {
        "n_records": 20, "n_bad": 2, "n_rows": 18, "source": "s",
    }  # fmt: skip
    assert read_arrow(problem_file(tmp_path, 0))["position"].to_pylist() == [3, 4]

    labels = tmp_path / "labels.bin"
    np.array([-1, 0, -2, *[1] * 25], dtype=np.int8).tofile(labels)
    target = tmp_path / "snapshot"
    finish = _travelled(
        FinishJob(
            tmp_path,
            target,
            labels,
            (0, 18),
            (0, 20),
            schema,
            Axis.of_rows(30),
            2**64 - 1,
            Windows((22,)),
        )
    )
    for piece in (0, 1):
        finish(piece)
    first, second = (read_arrow(target / f"block-{i:05d}.arrow") for i in (0, 1))
    assert first[FOLD].to_pylist() == [-1, 0, *[1] * 15]
    assert first[ROW].to_pylist() == [0, 1, *range(5, 20)]
    assert second[ROW].to_pylist() == list(range(20, 30))
    facts = read_json(fact_file(tmp_path, 0))
    data = (target / "block-00000.arrow").read_bytes()
    assert facts == {
        "name": "block-00000.arrow",
        "n_rows": 17,
        "size_bytes": len(data),
        "sha256": sha256_hex(data),
        "folds": [-1, 0, 1],
        "sums": [f"{sum_128(from_binary(first[HASH])):032x}", facts["sums"][1]],
    }
    keys = KeyFiles([key_file(tmp_path, 0)], [0], [0], KeyForm())
    (chunk,) = keys.chunks(0)
    assert chunk.keys.hashes[:2].tolist() == from_binary(first[HASH])[:2].tolist()
    assert chunk.keys.classes.tolist() == [0, 1, 1, *[0] * 15]
    survey = Survey.from_bytes(survey_file(tmp_path, 1).read_bytes())
    assert survey.runs.positions.tolist() == list(range(22, 30))
    survey = Survey.from_bytes(survey_file(tmp_path, 0).read_bytes())
    assert survey.runs.n_rows == 0
    assert survey.n_rows == 16  # without the sealed row
    assert survey.sample.positions.tolist() == [1, *range(5, 20)]
