"""Hashes that no order and no cut can change."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from tenfold.data.hashing import (
    from_binary,
    mix,
    row_hashes,
    sketch_hashes,
    sum_128,
    text_hashes,
    to_binary,
)
from tenfold.schema import Column, Kind, Schema

SCHEMA = Schema(
    (
        Column("a", Kind.NUMBER),
        Column("b", Kind.CATEGORY),
        Column("c", Kind.INTEGER),
        Column("d", Kind.BOOLEAN),
        Column("e", Kind.DATETIME),
    )
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "a": st.one_of(st.none(), st.floats(width=64, allow_nan=False)),
            "b": st.one_of(st.none(), st.text(max_size=3)),
            "c": st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
            "d": st.one_of(st.none(), st.booleans()),
            "e": st.one_of(st.none(), st.integers(-(10**15), 10**15)),
        }
    ),
    max_size=12,
)


def _table(rows: list[dict[str, object]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=SCHEMA.arrow_schema())


@given(ROWS, st.randoms(), st.integers(0, 12))
def test_the_sum_depends_neither_on_order_nor_on_the_cut(rows, random, cut) -> None:  # type: ignore[no-untyped-def]
    whole = sum_128(row_hashes(_table(rows), SCHEMA))
    shuffled = list(rows)
    random.shuffle(shuffled)
    parts = [row_hashes(_table(part), SCHEMA) for part in (shuffled[:cut], shuffled[cut:])]
    assert sum(sum_128(part) for part in parts) % 2**128 == whole


@given(ROWS)
def test_equal_rows_have_equal_hashes_and_others_do_not(rows: list[dict[str, object]]) -> None:
    hashes = [tuple(lanes) for lanes in row_hashes(_table(rows), SCHEMA).tolist()]
    for i, first in enumerate(rows):
        for j, second in enumerate(rows):
            assert (hashes[i] == hashes[j]) == (first == second)


def test_column_order_does_not_count_and_column_names_do() -> None:
    table = _table([{"a": 1.0, "b": "x", "c": 2, "d": True, "e": 5}])
    turned = Schema(tuple(reversed(SCHEMA.columns)))
    assert np.array_equal(row_hashes(table, SCHEMA), row_hashes(table, turned))
    swapped = Schema((Column("p", Kind.NUMBER), Column("q", Kind.NUMBER)))
    one = row_hashes(pa.table({"p": [1.0], "q": [2.0]}), swapped)
    other = row_hashes(pa.table({"p": [2.0], "q": [1.0]}), swapped)
    assert not np.array_equal(one, other)


def test_zero_has_no_sign_nan_is_one_value_and_null_is_its_own() -> None:
    schema = Schema((Column("a", Kind.NUMBER),))
    odd_nan = np.array([0x7FF8000000000001], dtype=np.uint64).view(np.float64)[0]
    hashes = row_hashes(
        pa.table({"a": pa.array([0.0, -0.0, np.nan, odd_nan, None], from_pandas=False)}), schema
    )
    assert np.array_equal(hashes[0], hashes[1])
    assert np.array_equal(hashes[2], hashes[3])
    assert len(np.unique(hashes, axis=0)) == 3


def test_the_mixer_is_splitmix64() -> None:
    # First outputs for seed 1234567 in the reference implementation by S. Vigna.
    state = np.uint64(1234567)
    golden = 0x9E3779B97F4A7C15
    states = np.array([(int(state) + i * golden) % 2**64 for i in range(3)], dtype=np.uint64)
    assert mix(states).tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]


def test_binary_round_trip_also_of_a_slice() -> None:
    lanes = mix(np.arange(20, dtype=np.uint64)).reshape(10, 2)
    column = to_binary(lanes)
    assert np.array_equal(from_binary(column), lanes)
    assert np.array_equal(from_binary(column.slice(3, 4)), lanes[3:7])
    ordered = sorted(range(10), key=lambda row: column[row].as_py())
    assert ordered == sorted(range(10), key=lambda row: tuple(lanes[row].tolist()))


def test_text_hashes_hash_each_text_alike() -> None:
    hashes = text_hashes(pa.array(["a", None, "a", "b"]))
    assert np.array_equal(hashes[0], hashes[2])
    assert len(np.unique(hashes, axis=0)) == 3


@given(st.lists(st.text(max_size=6), unique=True, max_size=30))
def test_sketch_hashes_tell_texts_apart_wherever_they_stand(texts: list[str]) -> None:
    hashes = sketch_hashes(pa.array(texts, pa.string()))
    assert len(set(hashes.tolist())) == len(texts)
    turned = sketch_hashes(pa.array(texts[::-1], pa.string()))
    assert turned.tolist() == hashes.tolist()[::-1]
