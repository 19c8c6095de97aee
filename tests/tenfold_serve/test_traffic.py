from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from tenfold.features.columnpath import Columns
from tenfold_serve.traffic import choose_arm, request_key, share

KEYS = [f"customer {i}".encode() for i in range(20_000)]


@given(st.binary(max_size=200), st.binary(max_size=80))
def test_a_share_is_in_the_unit_interval_and_repeats(key: bytes, salt: bytes) -> None:
    assert 0.0 <= share(key, salt=salt) < 1.0
    assert share(key, salt=salt) == share(key, salt=salt)


def test_the_split_follows_the_weights() -> None:
    chosen = [choose_arm([80, 15, 5], key) for key in KEYS]
    assert abs(chosen.count(1) / len(KEYS) - 0.15) < 0.01
    assert abs(chosen.count(2) / len(KEYS) - 0.05) < 0.01


def test_a_growing_canary_keeps_its_keys() -> None:
    small = {key for key in KEYS if choose_arm([95, 5], key) == 1}
    large = {key for key in KEYS if choose_arm([75, 25], key) == 1}
    assert small
    assert small < large


def test_projects_split_differently() -> None:
    one = [choose_arm([50, 50], key, salt=b"adult") for key in KEYS]
    two = [choose_arm([50, 50], key, salt=b"bike") for key in KEYS]
    same = sum(a == b for a, b in zip(one, two, strict=True)) / len(KEYS)
    assert abs(same - 0.5) < 0.02


def test_an_arm_without_weight_is_never_chosen() -> None:
    assert {choose_arm([1, 0], key) for key in KEYS} == {0}
    assert {choose_arm([0, 1], key) for key in KEYS} == {1}


def test_the_header_wins_then_the_key_column_then_the_request_id() -> None:
    rows = [{"user": "u1", "shop": 3}, {"user": "u2", "shop": 4}]
    assert request_key(b"h", rows, ["user"], b"r") == b"h"
    assert request_key(None, rows, ["user", "shop"], b"r") == b"u1\x1f3"
    assert request_key(None, [], ["user"], b"r") == b"r"
    assert request_key(None, rows, ["absent"], b"r") == b"r"
    for other in ({"a": 1}, [[1]], float("nan")):
        assert request_key(None, [{"user": other}], ["user"], b"r") == b"r"


def test_a_number_is_one_key_however_a_door_sends_it() -> None:
    for sent in (7, 7.0, "7"):
        assert request_key(None, [{"user": sent}], ["user"], b"r") == b"7"
    assert request_key(None, [{"user": 7.5}], ["user"], b"r") == b"7.5"
    cells = {
        "float": pa.chunked_array([[7.0]]),
        "late": pa.chunked_array([pa.array([10**15], pa.timestamp("s"))]),
        "early": pa.chunked_array([pa.array([-(10**9)], pa.date32())]),
    }
    first = [Columns.of(cells).first([*cells])]
    assert request_key(None, first, ["float"], b"r") == b"7"
    assert request_key(None, first, ["late"], b"r") == b"r"  # in no calendar
    assert request_key(None, first, ["early"], b"r") == b"r"
