"""The split in one process and one piece, as it was first built: what the buckets must equal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tenfold.data.duplicates import KEPT, first_of_equals
from tenfold.data.hashing import mix
from tenfold.data.keys import SplitKeys
from tenfold.data.split import TEST, SplitRule, kept_rows
from tenfold.errors import DataError

Labels = NDArray[np.int8]


def assign_labels(
    keys: SplitKeys, rule: SplitRule, *, near: NDArray[np.int64] | None = None
) -> Labels:
    """One label a row; of rows that are not kept, why."""
    labels = kept_rows(keys, rule)
    rows = np.flatnonzero(labels == KEPT)
    if rule.sealed_after is not None and keys.positions is not None:
        sealed = keys.positions[rows] >= rule.sealed_after
        labels[rows[sealed]] = TEST
        rows = rows[~sealed]
        rule = replace(rule, test_fraction=0.0)
    base = (keys.hashes if keys.named is None else keys.named)[rows]
    if rule.ordered:
        time = keys.time
        if time is None and rule.drop_duplicates:
            time = first_of_equals(keys.hashes)
        elif time is None:
            time = np.arange(len(keys.hashes))
        labels[rows] = _slices(time[rows], rule)
    elif near is not None:
        labels[rows] = _near_together(base, rows, keys, near, rule)
    elif keys.groups is not None:
        labels[rows] = _grouped(keys.groups[rows], keys.classes[rows], rule)
    else:
        labels[rows] = _stratified(base, keys.classes[rows], rule)
    _demand_all(labels, rule, n_rows=len(rows))
    return labels


def _near_together(
    base: NDArray[np.uint64],
    rows: NDArray[np.int64],
    keys: SplitKeys,
    near: NDArray[np.int64],
    rule: SplitRule,
) -> Labels:
    """Near duplicates in one part: the row of a group with the least hash speaks for all of it."""
    _, group = np.unique(near[rows], return_inverse=True)
    if keys.groups is not None:
        _, owner = np.unique(keys.groups[rows], return_inverse=True)
        group = _linked(group, owner)
    order = np.lexsort((base[:, 1], base[:, 0], group))
    start = np.ones(len(order), dtype=bool)
    start[1:] = group[order[1:]] != group[order[:-1]]
    speakers = order[start]  # in order of the groups
    largest = int(np.bincount(group).max(initial=0))
    fold = (1 - rule.test_fraction) / rule.n_folds
    if largest > max(1.0, fold * len(rows)):
        raise DataError(
            f"a group of near duplicates must fit into one fold ({fold:.0%} of {len(rows)} rows), "
            f"and one has {largest} rows: rows of so few different values are alike by chance; "
            "set prepare.near_duplicates: report, or lower train.folds"
        )
    if keys.groups is not None:
        return _grouped(base[speakers, 0][group], keys.classes[rows], rule)
    return _stratified(base[speakers], keys.classes[rows[speakers]], rule)[group]


def _linked(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """Groups of rows that share either number; numbered from 0; shape (n_rows,)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n_first, n_second = int(first.max(initial=-1)) + 1, int(second.max(initial=-1)) + 1
    size = n_first + n_second
    links = coo_array((np.ones(len(first), np.int8), (first, n_first + second)), shape=(size, size))
    _, group = connected_components(links, directed=False)
    return np.asarray(np.unique(group[first], return_inverse=True)[1], dtype=np.int64)


def _stratified(hashes: NDArray[np.uint64], classes: NDArray[np.int32], rule: SplitRule) -> Labels:
    """Within each class, rank by seeded hash: the first ranks are the test, then round robin."""
    salt = mix(np.array([rule.seed], dtype=np.uint64))
    ranks = mix(hashes[:, 0] ^ salt)
    order = np.lexsort((hashes[:, 1], ranks, classes))
    labels = np.empty(len(order), dtype=np.int8)
    bounds = np.flatnonzero(np.diff(classes[order])) + 1
    n_turns = 0  # goes on from class to class, so that small classes do not all land in fold 0
    for rows in np.split(order, bounds):
        start = _run_starts(hashes[rows])
        n_test = int(len(rows) * rule.test_fraction + 0.5)
        place = np.maximum.accumulate(np.where(start, np.arange(len(rows)), 0))
        sizes = np.bincount(np.cumsum(start) - 1)[np.cumsum(start) - 1]
        in_test = (2 * place + sizes <= 2 * n_test) | ((place == 0) & (n_test > 0))
        turn = np.cumsum(start & ~in_test) - 1 + n_turns
        labels[rows] = np.where(in_test, TEST, turn % rule.n_folds)
        n_turns += int((start & ~in_test).sum())
    return labels


def _run_starts(ranked: NDArray[np.uint64]) -> NDArray[np.bool_]:
    start = np.ones(len(ranked), dtype=bool)
    start[1:] = (ranked[1:] != ranked[:-1]).any(axis=1)
    return start


def _slices(time: NDArray[np.int64] | NDArray[np.float64], rule: SplitRule) -> Labels:
    """The last share is the test, the rest k+1 slices of equal counts; equal times together."""
    order = np.argsort(time, kind="stable")
    ranked = time[order]
    n_rows = len(order)
    start = np.ones(n_rows, dtype=bool)
    start[1:] = ranked[1:] != ranked[:-1]
    place = np.maximum.accumulate(np.where(start, np.arange(n_rows), 0))
    n_train = n_rows - int(n_rows * rule.test_fraction + 0.5)
    label = np.where(place < n_train, place * (rule.n_folds + 1) // max(n_train, 1), TEST)
    labels = np.empty(n_rows, dtype=np.int8)
    labels[order] = label
    return labels


def _grouped(groups: NDArray[np.uint64], classes: NDArray[np.int32], rule: SplitRule) -> Labels:
    """Whole groups, largest first, each to the part that its classes fill least."""
    unique, member, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    n_classes = int(classes.max(initial=0)) + 1
    counts = np.bincount(member * n_classes + classes, minlength=len(unique) * n_classes)
    table = counts.reshape(len(unique), n_classes).astype(np.float64)
    share = np.full(rule.n_folds + 1, (1 - rule.test_fraction) / rule.n_folds)
    share[-1] = rule.test_fraction
    # A part without a share (no test set is wanted) is full from the start, never divided by zero.
    wanted = np.maximum(share[:, None] * np.maximum(table.sum(axis=0), 1.0), np.finfo(float).tiny)
    filled = np.zeros_like(wanted)
    salt = mix(np.array([rule.seed], dtype=np.uint64))
    part = np.empty(len(unique), dtype=np.int8)
    for group in np.lexsort((mix(unique ^ salt), -sizes)):
        weight = table[group] / sizes[group]
        with np.errstate(over="ignore"):  # infinitely full
            load = (((filled + table[group]) / wanted) * weight).sum(axis=1)
        best = int(np.argmin(load))
        filled[best] += table[group]
        part[group] = best if best < rule.n_folds else TEST
    return part[member]


def _demand_all(labels: Labels, rule: SplitRule, *, n_rows: int) -> None:
    n_parts = rule.n_folds + (1 if rule.ordered else 0)
    found = set(np.unique(labels).tolist())
    empty = [part for part in (TEST, *range(n_parts)) if part not in found]
    if empty:
        raise DataError(
            f"the test set ({rule.test_fraction:g} of the rows) and each of {n_parts} folds or "
            f"slices need a row; {n_rows} rows fill {n_parts + 1 - len(empty)} of these "
            f"{n_parts + 1} parts (groups, equal times and equal rows stay whole); "
            "lower train.folds or give more rows"
        )
