"""Equal rows and versions of one key."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tenfold.data.duplicates import DROPPED, KEPT, REPLACED, first_of_equals, mark_duplicates
from tenfold.data.hashing import mix

ROWS = st.lists(st.tuples(st.integers(-1, 5), st.integers(0, 2), st.integers(0, 3)), max_size=40)
"""(key, value, time); key -1 is none."""


def _lanes(ids: np.ndarray) -> np.ndarray:
    ids = np.asarray(ids, dtype=np.int64).astype(np.uint64)
    return np.stack([mix(ids), mix(ids + np.uint64(2**40))], axis=1).reshape(-1, 2)


def _hashes(rows: list[tuple[int, int, int]]) -> tuple[np.ndarray, np.ndarray]:
    whole = np.array([100 * (key + 2) + 10 * value + time for key, value, time in rows])
    named = _lanes(np.array([row[0] + 10_000 for row in rows]))
    hashes = _lanes(whole)
    without = np.array([row[0] < 0 for row in rows], dtype=bool)
    return hashes, np.where(without.reshape(-1, 1), hashes, named)


@given(ROWS, st.booleans(), st.booleans())
def test_the_newest_row_of_each_key_stays(
    rows: list[tuple[int, int, int]], timed: bool, drop_equal: bool
) -> None:
    hashes, named = _hashes(rows)
    time = np.array([row[2] for row in rows], dtype=np.int64) if timed else None
    labels = mark_duplicates(hashes, drop_equal=drop_equal, named=named, time=time)
    for key in {row[0] for row in rows}:
        places = [place for place, row in enumerate(rows) if row[0] == key]
        kept = [place for place in places if labels[place] == KEPT]
        if key < 0:
            wanted = {rows[place] for place in places}
            assert {rows[place] for place in kept} == wanted
            assert len(kept) == (len(wanted) if drop_equal else len(places))
            continue
        newest = max(places, key=lambda place: (rows[place][2] if timed else 0, place))
        assert kept == [newest]
        for place in places:
            if place != newest:
                same = rows[place] == rows[newest]
                assert labels[place] == (DROPPED if same else REPLACED)


@given(ROWS)
def test_without_keys_the_first_of_equal_rows_stays(rows: list[tuple[int, int, int]]) -> None:
    hashes, _ = _hashes(rows)
    labels = mark_duplicates(hashes, drop_equal=True)
    assert [label == KEPT for label in labels] == [
        row not in rows[:place] for place, row in enumerate(rows)
    ]
    assert (mark_duplicates(hashes, drop_equal=False) == KEPT).all()
    assert first_of_equals(hashes).tolist() == [rows.index(row) for row in rows]
