"""Rows in memory through the split by buckets: in pieces on disk, with buckets forced small."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.data.drivers import Driver, InProcess
from tenfold.data.hashing import mix
from tenfold.data.keys import KeyFiles, KeyForm, SplitKeys, write_keys
from tenfold.data.label import label_rows
from tenfold.data.near_jobs import NearGroups
from tenfold.data.split import TEST, SplitRule
from tenfold.data.split_jobs import count_equal
from tenfold.data.work import Work
from tenfold.progress import SILENT, Progress


def key_files(
    folder: Path, keys: SplitKeys, rule: SplitRule, *, cuts: list[int], **sizes: Any
) -> KeyFiles:
    """The keys of rows, kept in pieces that begin at ``cuts``."""
    n_rows = len(keys.hashes)
    form = KeyForm(
        named=keys.named is not None,
        grouped=keys.groups is not None,
        time="" if keys.time is None else f"<{keys.time.dtype.kind}8",
        placed=keys.positions is not None,
    )
    bounds = [0, *sorted(cuts), n_rows]
    files = []
    for piece, (start, end) in enumerate(pairwise(bounds)):
        part = keys.take(np.arange(start, end))
        files.append(folder / f"key-{piece:05d}.bin")
        if part.positions is not None:
            part = part.take(np.arange(end - start))
            part.positions[:] -= start
        write_keys(files[-1], part, form, seed=rule.seed)
    return KeyFiles(files, bounds[:-1], bounds[:-1], form, **sizes)


def near_leaders(near: NDArray[np.int64]) -> NDArray[np.int64]:
    """The least row of each group, given any name of a row's group."""
    _, first, group = np.unique(near, return_index=True, return_inverse=True)
    return np.asarray(first[group])


def label_in_buckets(
    keys: SplitKeys,
    rule: SplitRule,
    *,
    near: NDArray[np.int64] | None = None,
    cuts: list[int] | None = None,
    n_buckets: int = 4,
    chunk_rows: int = 10,
    progress: Progress = SILENT,
    folder: Path | None = None,
    driver: Driver | None = None,
) -> NDArray[np.int8]:
    """One label a row."""
    with tempfile.TemporaryDirectory() as made:
        place = folder or Path(made)
        half = len(keys.hashes) // 2
        files = key_files(
            place,
            keys,
            rule,
            cuts=[half] if cuts is None else cuts,
            n_buckets=n_buckets,
            chunk_rows=chunk_rows,
        )
        work = Work(place, place, driver or InProcess(n_threads=1), progress, len(files.files))
        labels, _ = label_rows(
            work,
            files,
            rule,
            n_classes=int(keys.classes.max(initial=0)) + 1,
            find_near=None if near is None else lambda _: NearGroups(near_leaders(near)),
        )
        stays = labels >= TEST
        if keys.named is not None and rule.newest_of_key:  # of a key only one row stays
            stays &= (keys.named == keys.hashes).all(axis=1)
        kept = keys.hashes[stays]
        assert count_equal(place, n_buckets) == len(kept) - len(np.unique(kept, axis=0))
        return labels


def many_rows() -> tuple[SplitKeys, SplitRule]:
    """Rows of three classes, an eighth of them twice."""
    ids = np.arange(4000, dtype=np.uint64) % np.uint64(3500)
    hashes = np.stack([mix(ids), mix(ids + np.uint64(2**40))], axis=1)
    return SplitKeys(hashes, (ids % np.uint64(3)).astype(np.int32)), SplitRule(5, 0.2)
