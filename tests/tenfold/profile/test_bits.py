"""Masks as words: what Arrow holds as bits and what NumPy packs counts the same rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.profile.bits import both_set, null_words, packed


@settings(max_examples=60, deadline=None)
@given(
    n_rows=st.integers(0, 200),
    n_columns=st.integers(0, 5),
    cut=st.integers(0, 70),
    share=st.sampled_from([0.0, 0.3, 1.0]),
    seed=st.integers(0, 99),
)
def test_rows_that_are_null_in_both_are_counted_wherever_a_column_begins(
    n_rows: int, n_columns: int, cut: int, share: float, seed: int
) -> None:
    masks = np.random.default_rng(seed).random((n_columns, cut + n_rows)) < share
    arrays = [pa.array(np.arange(len(mask)), mask=mask).slice(cut) for mask in masks]

    kept = masks[:, cut:]
    expected = kept.astype(np.int64) @ kept.T.astype(np.int64)
    assert np.array_equal(both_set(null_words(arrays)), expected)
    assert np.array_equal(both_set(packed(kept)), expected)
