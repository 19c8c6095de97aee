"""The sealed test set and the folds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.data.duplicates import DROPPED
from tenfold.data.hashing import mix
from tenfold.data.keys import SplitKeys
from tenfold.data.split import TEST, SplitRule
from tenfold.errors import DataError
from tests.tenfold.data.bucketed import label_in_buckets as assign_labels


def _hashes(ids: np.ndarray) -> np.ndarray:
    ids = np.asarray(ids, dtype=np.uint64)
    return np.stack([mix(ids), mix(ids + np.uint64(2**40))], axis=1)


def _none(n_rows: int) -> np.ndarray:
    return np.zeros(n_rows, dtype=np.int32)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(2, 10), st.sampled_from([0.1, 0.2, 0.5]))
def test_labels_follow_the_rows_into_any_order(seed: int, n_folds: int, test: float) -> None:
    random = np.random.default_rng(seed)
    ids = random.integers(0, 400, 500)
    classes = (ids % 3 == 0).astype(np.int32)  # a row's class is part of the row
    for drop in (True, False):
        rule = SplitRule(n_folds, test, seed=seed, drop_duplicates=drop)
        labels = assign_labels(SplitKeys(_hashes(ids), classes), rule)
        order = random.permutation(500)
        turned = assign_labels(SplitKeys(_hashes(ids[order]), classes[order]), rule)
        by_id = dict(zip(ids[labels != DROPPED], labels[labels != DROPPED], strict=True))
        again = dict(zip(ids[order][turned != DROPPED], turned[turned != DROPPED], strict=True))
        assert by_id == again
        if drop:
            assert (labels != DROPPED).sum() == len(np.unique(ids))
        else:
            assert all(by_id[row] == label for row, label in zip(ids, labels, strict=True))


def test_the_test_set_and_the_folds_are_stratified_within_class() -> None:
    classes = np.array([0] * 900 + [1] * 95 + [2] * 5, dtype=np.int32)
    labels = assign_labels(SplitKeys(_hashes(np.arange(1000)), classes), SplitRule(5, 0.2))
    for label, wanted in ((TEST, [180, 19, 1]), *((fold, [144, 15.2, 0.8]) for fold in range(5))):
        found = np.bincount(classes[labels == label], minlength=3)
        assert np.abs(found - wanted).max() < 1, label
    sizes = [int((labels == fold).sum()) for fold in range(5)]
    assert max(sizes) - min(sizes) <= 1


def test_another_seed_is_another_split_and_the_same_seed_the_same() -> None:
    keys = SplitKeys(_hashes(np.arange(300)), _none(300))
    one, same, other = (assign_labels(keys, SplitRule(5, 0.2, seed=s)) for s in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_groups_stay_whole_and_parts_keep_their_size_and_classes(seed: int) -> None:
    random = np.random.default_rng(seed)
    group = random.integers(0, 200, 2000).astype(np.uint64)
    classes = (random.random(2000) < 0.3).astype(np.int32)
    labels = assign_labels(
        SplitKeys(_hashes(np.arange(2000)), classes, groups=mix(group)), SplitRule(5, 0.2)
    )
    for value in np.unique(group):
        assert len(np.unique(labels[group == value])) == 1
    assert (labels == TEST).mean() == pytest.approx(0.2, abs=0.02)
    for fold in range(5):
        assert (labels == fold).mean() == pytest.approx(0.16, abs=0.02)
        assert classes[labels == fold].mean() == pytest.approx(classes.mean(), abs=0.05)


def test_order_of_rows_gives_equal_slices_and_the_newest_rows_to_the_test() -> None:
    labels = assign_labels(
        SplitKeys(_hashes(np.arange(600)), _none(600)), SplitRule(5, 0.2, ordered=True)
    )
    assert labels.tolist() == [slice_ for slice_ in range(6) for _ in range(80)] + [TEST] * 120


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_a_time_column_orders_slices_and_keeps_equal_times_together(seed: int) -> None:
    random = np.random.default_rng(seed)
    time = random.integers(0, 120, 1000)
    labels = assign_labels(
        SplitKeys(_hashes(np.arange(1000)), _none(1000), time=time),
        SplitRule(4, 0.2, ordered=True),
    )
    ages = np.where(labels == TEST, 99, labels)
    order = np.argsort(time, kind="stable")
    assert (np.diff(ages[order]) >= 0).all()
    for moment in np.unique(time):
        assert len(np.unique(labels[time == moment])) == 1


def test_a_duplicate_in_order_keeps_its_first_place() -> None:
    ids = np.append(np.arange(99), 0)
    keys = SplitKeys(_hashes(ids), _none(100))
    dropped = assign_labels(keys, SplitRule(4, 0.2, ordered=True, drop_duplicates=True))
    assert (dropped[0], dropped[-1]) == (0, DROPPED)
    kept = assign_labels(keys, SplitRule(4, 0.2, ordered=True))
    assert (kept[0], kept[-1]) == (0, -1)  # each row has its own place in time


def test_too_few_rows_say_what_is_missing() -> None:
    with pytest.raises(DataError) as caught:
        assign_labels(SplitKeys(_hashes(np.arange(4)), _none(4)), SplitRule(5, 0.2))
    assert str(caught.value) == (
        "the test set (0.2 of the rows) and each of 5 folds or slices need a row; 4 rows fill 4 "
        "of these 6 parts (groups, equal times and equal rows stay whole); lower train.folds or "
        "give more rows"
    )


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_with_a_key_a_corrected_row_keeps_its_label(seed: int) -> None:
    random = np.random.default_rng(seed)
    ids = random.permutation(400)
    classes = (ids % 3 == 0).astype(np.int32)
    named = _hashes(ids)
    before = _hashes(ids + 10_000)
    corrected = random.random(400) < 0.3
    after = np.where(corrected[:, None], _hashes(ids + 50_000), before)
    rule = SplitRule(5, 0.2, seed=seed)
    labels = assign_labels(SplitKeys(before, classes, named=named), rule)
    assert np.array_equal(labels, assign_labels(SplitKeys(after, classes, named=named), rule))
    assert not np.array_equal(labels, assign_labels(SplitKeys(after, classes), rule))
    order = random.permutation(400)
    turned = assign_labels(SplitKeys(after[order], classes[order], named=named[order]), rule)
    assert np.array_equal(turned, labels[order])


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_time_and_groups_give_the_same_labels_in_any_order(seed: int, ordered: bool) -> None:
    random = np.random.default_rng(seed)
    ids = np.arange(300)
    time, group = random.integers(0, 60, 300), mix(random.integers(0, 40, 300).astype(np.uint64))
    classes = (random.random(300) < 0.4).astype(np.int32)
    order = random.permutation(300)
    rule = SplitRule(4, 0.2, seed=seed, ordered=ordered)
    one, other = (
        assign_labels(SplitKeys(_hashes(ids[o]), classes[o], groups=group[o], time=time[o]), rule)
        for o in (ids, order)
    )
    assert np.array_equal(one[order], other)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_near_duplicates_and_groups_share_a_label_in_any_order(seed: int, grouped: bool) -> None:
    random = np.random.default_rng(seed)
    ids, near = np.arange(500), random.integers(0, 300, 500)
    group = mix((near % 150).astype(np.uint64)) if grouped else None
    classes = (random.random(500) < 0.4).astype(np.int32)
    rule = SplitRule(4, 0.2, seed=seed, near="group")
    labels = assign_labels(SplitKeys(_hashes(ids), classes, groups=group), rule, near=near)
    for value in np.unique(near % 150 if grouped else near):
        rows = (near % 150 if grouped else near) == value
        assert len(np.unique(labels[rows])) == 1
    assert (labels == TEST).mean() == pytest.approx(0.2, abs=0.08)
    order = random.permutation(500)
    turned = SplitKeys(
        _hashes(ids[order]),
        classes[order],
        groups=None if group is None else group[order],
    )
    assert np.array_equal(assign_labels(turned, rule, near=near[order]), labels[order])
