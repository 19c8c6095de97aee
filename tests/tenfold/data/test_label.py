"""The split by buckets equals the split in memory, whatever the buckets, pieces and chunks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tenfold.data.forest import Forest
from tenfold.data.hashing import mix
from tenfold.data.keys import CELLS, KeyFiles, KeyForm, SplitKeys, buckets_for, write_keys
from tenfold.data.ranked import from_sortable, order_statistics, to_sortable
from tenfold.data.split import SplitRule
from tenfold.errors import DataError, StoreError
from tests.tenfold.data.bucketed import key_files, label_in_buckets, many_rows
from tests.tenfold.data.conftest import RecordingProgress
from tests.tenfold.data.split_reference import assign_labels

KILLED = Path(__file__).with_name("killed_label.py")


def _hashes(ids: NDArray[np.int64]) -> NDArray[np.uint64]:
    ids = np.asarray(ids, dtype=np.int64).astype(np.uint64)
    return np.stack([mix(ids), mix(ids + np.uint64(2**40))], axis=1).reshape(-1, 2)


@dataclass(frozen=True)
class Case:
    """Rows, how they are parted, and how they are cut."""

    keys: SplitKeys
    rule: SplitRule
    near: NDArray[np.int64] | None
    cuts: list[int]
    n_buckets: int
    chunk_rows: int


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Tables with everything that a label may depend on, in any mixture."""
    n_rows = draw(st.integers(1, 200))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_different = draw(st.sampled_from([3, n_rows, 10 * n_rows]))
    ids = random.integers(0, n_different, n_rows)
    hashes = _hashes(ids)
    named = None
    if draw(st.booleans()):
        names = random.integers(-2, max(1, n_rows // 2), n_rows)
        whole = mix((ids + 1000 * names).astype(np.int64).view(np.uint64))
        hashes = _hashes(whole.view(np.int64))
        named = np.where((names < 0)[:, None], hashes, _hashes(names + 10**6))
    time: NDArray[np.int64] | NDArray[np.float64] | None = None
    kind = draw(st.sampled_from(["none", "whole", "float"]))
    if kind != "none":
        time = random.integers(-20, 20, n_rows)
        time = time / 8 if kind == "float" else time
    rule = SplitRule(
        n_folds=draw(st.integers(2, 5)),
        test_fraction=draw(st.sampled_from([0.1, 0.2, 0.5])),
        seed=draw(st.integers(0, 100)),
        ordered=draw(st.booleans()),
        drop_duplicates=draw(st.booleans()),
        newest_of_key=draw(st.booleans()),
        near=draw(st.sampled_from(["report", "group"])),
        sealed_after=draw(st.none() | st.integers(0, n_rows)),
    )
    keys = SplitKeys(
        hashes=hashes,
        classes=(hashes[:, 0] % np.uint64(draw(st.integers(1, 4)))).astype(np.int32),
        groups=mix(random.integers(0, n_rows, n_rows).astype(np.uint64))
        if draw(st.booleans())
        else None,
        time=time,
        positions=np.arange(n_rows) if rule.sealed_after is not None else None,
        named=named,
    )
    return Case(
        keys=keys,
        rule=rule,
        near=random.integers(0, 2 * n_rows, n_rows) if rule.near == "group" else None,
        cuts=draw(st.lists(st.integers(0, n_rows), max_size=4)),
        n_buckets=draw(st.sampled_from([1, 2, 8])),
        chunk_rows=draw(st.sampled_from([1, 7, 1000])),
    )


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(cases())
def test_labels_by_bucket_are_those_in_memory(case: Case) -> None:
    def bucketed() -> NDArray[np.int8]:
        return label_in_buckets(
            case.keys,
            case.rule,
            near=case.near,
            cuts=case.cuts,
            n_buckets=case.n_buckets,
            chunk_rows=case.chunk_rows,
        )

    try:
        wanted = assign_labels(case.keys, case.rule, near=case.near)
    except DataError as error:
        with pytest.raises(DataError) as caught:
            bucketed()
        assert str(caught.value) == str(error)
        return
    assert bucketed().tolist() == wanted.tolist()


def test_many_rows_in_many_buckets() -> None:
    random = np.random.default_rng(4)
    hashes = _hashes(random.integers(0, 90_000, 100_000))
    keys = SplitKeys(hashes, (hashes[:, 0] % np.uint64(7) == 0).astype(np.int32))
    rule = SplitRule(5, 0.2, seed=3)
    cuts = [10_000, 10_000, 77_777]
    found = label_in_buckets(keys, rule, cuts=cuts, n_buckets=64, chunk_rows=10_000)
    assert np.array_equal(found, assign_labels(keys, rule))


def test_a_bucket_of_equal_rows_is_decided_in_chunks() -> None:
    keys = SplitKeys(_hashes(np.arange(30_000) % 11), np.zeros(30_000, dtype=np.int32))
    for drop in (True, False):
        rule = SplitRule(2, 0.3, drop_duplicates=drop)
        cuts = list(range(1000, 30_000, 1000))
        found = label_in_buckets(keys, rule, cuts=cuts, n_buckets=4, chunk_rows=2500)
        assert np.array_equal(found, assign_labels(keys, rule))


def test_buckets_hold_every_row_once_and_equal_rows_together(tmp_path: Path) -> None:
    keys = SplitKeys(_hashes(np.arange(5000) % 4000), np.zeros(5000, dtype=np.int32))
    files = key_files(tmp_path, keys, SplitRule(2, 0.2), cuts=[2000], n_buckets=8)
    chunks = [chunk for bucket in range(8) for chunk in files.chunks(bucket)]
    assert sorted(row for chunk in chunks for row in chunk.rows.tolist()) == list(range(5000))
    owners = np.empty(5000, dtype=int)
    for bucket, chunk in enumerate(chunks):
        assert (np.diff(chunk.rows) > 0).all()
        owners[chunk.rows] = bucket
    assert np.array_equal(owners[:1000], owners[4000:])
    assert (buckets_for(1), buckets_for(2**20 + 1), buckets_for(10**12)) == (1, 2, CELLS)


def test_a_cut_file_of_keys_is_told(tmp_path: Path) -> None:
    form = KeyForm()
    path = tmp_path / "key-00000.bin"
    write_keys(path, SplitKeys(_hashes(np.arange(9)), np.zeros(9, np.int32)), form, seed=0)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(StoreError, match=r"must have 9 records from byte 4100, and has 8"):
        list(KeyFiles([path], [0], [0], form).chunks(0))


@settings(deadline=None)
@given(
    st.lists(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20), min_size=1, max_size=5),
    st.booleans(),
)
def test_order_statistics_are_those_of_all_values(parts: list[list[int]], floats: bool) -> None:
    kind = np.float64 if floats else np.int64
    arrays = [np.array(part, dtype=np.int64).astype(kind) for part in parts]
    whole = np.sort(np.concatenate(arrays))
    words = [np.sort(to_sortable(array)) for array in arrays]
    found = from_sortable(order_statistics(words, np.arange(len(whole))), kind)
    assert found.tolist() == whole.tolist()


@settings(deadline=None)
@given(st.integers(1, 60), st.lists(st.tuples(st.integers(0, 59), st.integers(0, 59))))
def test_a_forest_joins_what_links_join(n_rows: int, pairs: list[tuple[int, int]]) -> None:
    links = [(a % n_rows, b % n_rows) for a, b in pairs]
    forest = Forest(n_rows)
    for start in range(0, len(links), 3):
        some = np.array(links[start : start + 3], dtype=np.int64)
        forest.join(some[:, 0], some[:, 1])
    wanted = list(range(n_rows))
    for _ in range(n_rows):
        for a, b in links:
            wanted[a] = wanted[b] = min(wanted[a], wanted[b])
    assert forest.leaders().tolist() == wanted


@pytest.mark.parametrize("step", ["find duplicates", "count rows", "deal rows"])
def test_killed_between_buckets_it_goes_on_there(
    tmp_path: Path, recording: RecordingProgress, step: str
) -> None:
    command = [sys.executable, str(KILLED), str(tmp_path), step, "3"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, timeout=60, check=False, env=environment)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    keys, rule = many_rows()
    found = label_in_buckets(keys, rule, n_buckets=8, progress=recording, folder=tmp_path)
    assert np.array_equal(found, assign_labels(keys, rule))
    assert recording.steps[step] == [3, 1, 1, 1, 1, 1]
