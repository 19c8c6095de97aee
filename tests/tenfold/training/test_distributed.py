"""Every row reaches exactly one worker, in a fixed order. The fits are in test_train_large."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.data.arrow_file import write_arrow
from tenfold.features import CrossFit, Recipe
from tenfold.features.construct import Candidates, fit_construction
from tenfold.features.second import Stage, extend_profile
from tenfold.models import TargetMap
from tenfold.profile import Profile
from tenfold.project.measures import Task
from tenfold.schema import Schema
from tenfold.testing.preprocessing import same_bits
from tenfold.training.distributed import PartReader, part_of, parts_of
from tenfold.training.fitter import Plan
from tenfold.training.question import Question
from tenfold.training.rows import encode_rows


@pytest.mark.parametrize("ordered", [False, True])
def test_a_worker_encodes_each_row_without_its_own_fold(
    tmp_path: Path, make_table: Callable[..., tuple[Schema, pa.Table]], ordered: bool
) -> None:
    """The rows that a Ray Data task prepares are those that a fit in process gets."""
    schema, table = make_table(Task.BINARY, n_rows=300, ordered=ordered)
    question = Question(Task.BINARY, ("no", "yes"), "roc_auc", ordered, 3, 0, ("boosting",))
    fold = table["__fold"].to_numpy()
    profiles = {
        int(f): Profile.from_table(table.filter(pa.array(fold == f)), schema)
        for f in np.unique(fold[fold >= 0])
    }
    recipe = Recipe(categories="target")
    prepared = CrossFit.fit(schema, profiles, recipe=recipe, ordered=ordered)
    write_arrow(tmp_path / "block.arrow", table)
    reader = PartReader(Plan("boosting", {}, prepared, question, 1), TargetMap())
    parts = [
        reader({"path": [str(tmp_path / "block.arrow")], "part": [part], "n_parts": [2]})
        for part in range(2)
    ]
    rows = encode_rows(question, schema, table).training
    expected = prepared.transform_training(rows.codes, rows.fold)
    assert same_bits(np.concatenate([part["x"] for part in parts]), expected)
    assert not np.array_equal(expected, prepared.served.transform_codes(rows.codes))


def test_a_worker_reads_the_kept_columns_and_makes_the_constructed_ones(
    tmp_path: Path, make_table: Callable[..., tuple[Schema, pa.Table]]
) -> None:
    schema, table = make_table(Task.BINARY, n_rows=300, ordered=False)
    question = Question(Task.BINARY, ("no", "yes"), "roc_auc", False, 3, 0, ("boosting",))
    rows = encode_rows(question, schema, table).training
    made = fit_construction(schema, Candidates(groups=((2, 1),)), rows.codes)
    assert made is not None
    profile = Profile.from_table(table, schema)
    extended = extend_profile(profile, made, rows.codes, schema=schema, target=None)
    whole = Stage(schema, {0: extended}, construction=made)
    stage = whole.keep([len(made.direct) + made.names.index("z - mean by city")])
    assert [column.name for column in stage.schema.features] == ["z", "city"]
    prepared = stage.crossfit(Recipe())
    write_arrow(tmp_path / "block.arrow", table)
    reader = PartReader(Plan("boosting", {}, prepared, question, 1), TargetMap())
    part = reader({"path": [str(tmp_path / "block.arrow")], "part": [0], "n_parts": [1]})
    assert same_bits(part["x"], prepared.served.transform_codes(stage.narrow(rows.codes)))
    assert part["x"].shape[1] == 1


@given(st.lists(st.integers(0, 50), min_size=1, max_size=12), st.integers(1, 6))
def test_every_row_is_read_once(sizes: list[int], n_workers: int) -> None:
    blocks = {f"b{i}": pa.table({"r": [f"{i}:{k}" for k in range(n)]}) for i, n in enumerate(sizes)}
    shares = parts_of(list(blocks), n_workers)
    assert len(shares) == n_workers
    seen = [
        row
        for parts in shares
        for p in parts
        for row in part_of(blocks[p["path"]], p["part"], p["n_parts"])["r"].to_pylist()
    ]
    assert sorted(seen) == sorted(r for table in blocks.values() for r in table["r"].to_pylist())
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
