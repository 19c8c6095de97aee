"""Who is judged on what: the sealed test set and the folds, as one label a row.

Labels: -1 is the sealed test set; without an order, 0..k-1 are folds; with an order, 0..k are time
slices, oldest first. The label of a row hangs on its content (or its time), never on the order
in which blocks were read. Where rows have a key the label hangs on that alone, so that a corrected
row keeps its fold (as long as its class and the set of keys stand).

Pure kernels, each for one bucket of `tenfold.data.keys` or for what is known of all buckets
together; `tenfold.data.label` puts them to work. A *run* is all rows of one class and one hash:
they share a label.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tenfold.data.duplicates import mark_duplicates
from tenfold.data.hashing import mix
from tenfold.data.keys import SplitKeys, rank_rows
from tenfold.errors import DataError

__all__ = [
    "TEST",
    "Groups",
    "Runs",
    "SplitRule",
    "Strata",
    "deal_groups",
    "demand_all",
    "find_runs",
    "kept_rows",
    "slice_ranks",
]

TEST = -1
"""Label of the sealed test set."""

Labels = NDArray[np.int8]
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SplitRule:
    """How rows are parted.

    Attributes:
        n_folds: k of cross-validation.
        test_fraction: share of rows sealed away, above 0 up to 0.5.
        seed: another seed gives another split.
        ordered: split along the order in `SplitKeys.time`.
        drop_duplicates: keep one of equal rows; otherwise equal rows share a label, but where the
            order of the rows is the time: there each has its own place.
        newest_of_key: keep the newest row of each key.
        near: ``off``, ``report`` rows that are nearly the same, or ``group`` them in one part.
        sealed_after: rows at this position of the source and later are the test set, whatever
            ``test_fraction`` says; for a retrain, whose judge was dealt before. None: by share.
    """

    n_folds: int
    test_fraction: float
    seed: int = 0
    ordered: bool = False
    drop_duplicates: bool = False
    newest_of_key: bool = True
    near: str = "report"
    sealed_after: int | None = None


def kept_rows(keys: SplitKeys, rule: SplitRule) -> Labels:
    """`KEPT`, or why a row is not; shape (n_rows,)."""
    return mark_duplicates(
        keys.hashes,
        drop_equal=rule.drop_duplicates,
        named=keys.named if rule.newest_of_key else None,
        time=keys.time,
    )


@dataclass(frozen=True, slots=True)
class Runs:
    """Rows of one class and one hash, in order of class, then rank.

    Attributes:
        classes: of each run, shape (n_runs,).
        base: hash of its rows, shape (n_runs, 2).
        counts: its rows, shape (n_runs,).
    """

    classes: NDArray[np.int32]
    base: NDArray[np.uint64]
    counts: Counts

    def tally(self, n_classes: int) -> tuple[Counts, Counts]:
        """Rows and runs of each class; shapes (n_classes,)."""
        n_runs = np.bincount(self.classes, minlength=n_classes)
        begins = np.append(0, np.cumsum(n_runs))
        total = np.append(0, np.cumsum(self.counts))
        return np.diff(total[begins]), n_runs.astype(np.int64)


def find_runs(
    classes: NDArray[np.int32],
    base: NDArray[np.uint64],
    *,
    seed: int,
    counts: Counts | None = None,
) -> tuple[Runs, NDArray[np.int64]]:
    """The runs of some rows, and the run of each row.

    Args:
        classes: of each row, shape (n_rows,).
        base: hash of each row, shape (n_rows, 2).
        seed: of the split.
        counts: how many rows each row stands for; one each if None.

    >>> base = np.array([[7, 0], [9, 0], [7, 0]], dtype=np.uint64)
    >>> runs, member = find_runs(np.zeros(3, np.int32), base, seed=0)
    >>> sorted(runs.counts.tolist()), bool(member[0] == member[2] != member[1])
    ([1, 2], True)
    """
    ranks = rank_rows(base, seed)
    order = np.argsort(ranks, kind="stable")
    if len(order) and bool((ranks[order[1:]] == ranks[order[:-1]]).any()):
        order = np.lexsort((base[:, 1], ranks))
    if len(classes) and bool((classes != classes[0]).any()):
        order = order[np.argsort(classes[order].astype(np.uint16), kind="stable")]  # a radix sort
    ranked, sorted_classes = base[order], classes[order]
    start = np.ones(len(order), dtype=bool)
    start[1:] = (ranked[1:] != ranked[:-1]).any(axis=1)
    start[1:] |= sorted_classes[1:] != sorted_classes[:-1]
    begins = np.flatnonzero(start)
    member = np.empty(len(order), dtype=np.int64)
    member[order] = np.cumsum(start) - 1
    if counts is None:
        sizes = np.diff(begins, append=len(order))
    else:
        sizes = np.add.reduceat(counts[order], begins) if len(begins) else counts
    return Runs(sorted_classes[begins], ranked[begins], sizes.astype(np.int64)), member


@dataclass(frozen=True, slots=True)
class Strata:
    """Stratified: within each class the first ranks are the test, then rows are dealt round.

    Equal rows stay together, so the one run at the end of the test set goes to where most of it is,
    and the test set is off by half of it at most; the first run of all is always in it.

    Ranks go from bucket to bucket, so all that a bucket needs of the others is two counts a class.
    The turn goes on from class to class, so that small classes do not all land in fold 0.

    Attributes:
        n_test: rows of each class to seal, shape (n_classes,).
        rows_before: rows of each class in earlier buckets, shape (n_buckets, n_classes).
        turns_before: runs dealt before a bucket's of each class, of the class or of earlier ones.
        n_folds: k.
    """

    n_test: Counts
    rows_before: Counts
    turns_before: Counts
    n_folds: int

    def labels(self, bucket: int, runs: Runs) -> Labels:
        """The label of each run of a bucket; shape (n_runs,)."""
        in_test = self._in_test(bucket, runs)
        turn = _before_in_class(runs.classes, (~in_test).astype(np.int64))
        turn += self.turns_before[bucket][runs.classes]
        return np.where(in_test, TEST, turn % self.n_folds).astype(np.int8)

    def _in_test(self, bucket: int, runs: Runs) -> NDArray[np.bool_]:
        place = _before_in_class(runs.classes, runs.counts)
        place += self.rows_before[bucket][runs.classes]
        n_test = self.n_test[runs.classes]
        inside = 2 * place + runs.counts <= 2 * n_test  # most of the run is
        return np.asarray(inside | ((place == 0) & (n_test > 0)), dtype=bool)

    @classmethod
    def of(
        cls,
        rows: Counts,
        runs: Counts,
        rule: SplitRule,
        *,
        load: Callable[[int], Runs],
    ) -> Strata:
        """From what each bucket holds.

        Args:
            rows: of each bucket and class, shape (n_buckets, n_classes).
            runs: of each bucket and class, same shape.
            rule: how rows are parted.
            load: gives the runs of a bucket; asked only where the end of the test set falls into
                a bucket whose runs are not all single rows.
        """
        n_test = (rows.sum(axis=0) * rule.test_fraction + 0.5).astype(np.int64)
        before = np.cumsum(rows, axis=0) - rows
        made = cls(n_test, before, np.zeros_like(before), rule.n_folds)
        tested = np.where(before + rows <= n_test, runs, np.clip(n_test - before, 0, None))
        torn = (before < n_test) & (n_test < before + rows) & (runs < rows)
        for bucket in np.flatnonzero(torn.any(axis=1)):
            held = load(int(bucket))
            in_test = held.classes[made._in_test(int(bucket), held)]
            found = np.bincount(in_test, minlength=rows.shape[1])
            tested[bucket] = np.where(torn[bucket], found, tested[bucket])
        turns = runs - tested
        of_class = turns.sum(axis=0)
        earlier = np.cumsum(of_class) - of_class + np.cumsum(turns, axis=0) - turns
        return cls(n_test, before, earlier, rule.n_folds)


def _before_in_class(classes: NDArray[np.int32], counts: Counts) -> Counts:
    """The sum of the earlier entries of the same class; classes in order; shape (n,)."""
    before = np.cumsum(counts) - counts
    begins = np.searchsorted(classes, np.arange(int(classes.max(initial=0)) + 1))
    return before - before[begins[classes]] if len(classes) else before


def slice_ranks(n_rows: int, rule: SplitRule) -> NDArray[np.int64]:
    """Where time slices end: a row later than so many others is of a later slice.

    The last share is the test, the rest k+1 slices of equal counts; equal times together.

    Returns:
        For each of the k slices after the first and for the test, how many rows must be earlier.

    >>> slice_ranks(120, SplitRule(4, 1 / 6)).tolist()
    [20, 40, 60, 80, 100]
    """
    n_train = n_rows - int(n_rows * rule.test_fraction + 0.5)
    parts = rule.n_folds + 1
    return -(-np.arange(1, parts + 1, dtype=np.int64) * n_train // parts)


@dataclass(frozen=True, slots=True)
class Groups:
    """Whole groups and their rows.

    Attributes:
        names: hash of each group, increasing; shape (n_groups,).
        counts: rows by class, shape (n_groups, n_classes).
    """

    names: NDArray[np.uint64]
    counts: Counts

    @classmethod
    def of(cls, groups: NDArray[np.uint64], classes: NDArray[np.int32], n_rows: Counts) -> Groups:
        """Add up rows of one group and class; shapes (n,)."""
        names, member = np.unique(groups, return_inverse=True)
        n_classes = int(classes.max(initial=0)) + 1
        counts = np.zeros((len(names), n_classes), dtype=np.int64)
        np.add.at(counts, (member, classes), n_rows)
        return cls(names, counts)


def deal_groups(groups: Groups, rule: SplitRule) -> Labels:
    """Whole groups, largest first, each to the part that its classes fill least.

    Returns:
        The label of each group; shape (n_groups,).
    """
    table = groups.counts.astype(np.float64)
    sizes = groups.counts.sum(axis=1)
    share = np.full(rule.n_folds + 1, (1 - rule.test_fraction) / rule.n_folds)
    share[-1] = rule.test_fraction
    # A part without a share (no test set is wanted) is full from the start, never divided by zero.
    wanted = np.maximum(share[:, None] * np.maximum(table.sum(axis=0), 1.0), np.finfo(float).tiny)
    filled = np.zeros_like(wanted)
    salt = mix(np.array([rule.seed], dtype=np.uint64))
    part = np.empty(len(table), dtype=np.int8)
    for group in np.lexsort((mix(groups.names ^ salt), -sizes)):
        weight = table[group] / sizes[group]
        with np.errstate(over="ignore"):  # infinitely full
            load = (((filled + table[group]) / wanted) * weight).sum(axis=1)
        best = int(np.argmin(load))
        filled[best] += table[group]
        part[group] = best if best < rule.n_folds else TEST
    return part


def demand_all(found: set[int], rule: SplitRule, *, n_rows: int) -> None:
    """Every part has a row.

    Args:
        found: the labels that rows have.
        rule: how rows are parted.
        n_rows: rows that were parted.

    Raises:
        DataError: one has none.
    """
    n_parts = rule.n_folds + (1 if rule.ordered else 0)
    empty = [part for part in (TEST, *range(n_parts)) if part not in found]
    if empty:
        raise DataError(
            f"the test set ({rule.test_fraction:g} of the rows) and each of {n_parts} folds or "
            f"slices need a row; {n_rows} rows fill {n_parts + 1 - len(empty)} of these "
            f"{n_parts + 1} parts (groups, equal times and equal rows stay whole); "
            "lower train.folds or give more rows"
        )
