from __future__ import annotations

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tenfold.monitor import CountsMessage
from tenfold.monitor.messages import MAX_MISSING, MAX_SENDERS, SeenMessages


@given(st.lists(st.integers(0, MAX_MISSING - 1), max_size=60))
def test_each_number_is_new_once_in_any_order(numbers: list[int]) -> None:
    seen = SeenMessages()
    heard: set[int] = set()
    for number in numbers:
        assert seen.is_new("r", 1, number) == (number not in heard)
        heard.add(number)
    assert seen.n_missing == (max(heard) + 1 - len(heard) if heard else 0)


def test_senders_and_epochs_do_not_mix() -> None:
    seen = SeenMessages()
    assert all(seen.is_new(replica, epoch, 0) for replica in "ab" for epoch in (1, 2))
    assert not seen.is_new("a", 2, 0)


def test_a_huge_jump_stays_small_and_is_counted() -> None:
    seen = SeenMessages()
    seen.is_new("r", 1, 10**9)
    assert seen.n_missing == 10**9
    assert seen.is_new("r", 1, 10**9 - 1) and not seen.is_new("r", 1, 5)
    assert len(json.dumps(seen.state())) < 2000


def test_memory_is_bounded() -> None:
    seen = SeenMessages()
    for epoch in range(MAX_SENDERS + 50):
        seen.is_new("r", epoch, 0)
    assert len(seen.state()["senders"]) == MAX_SENDERS


def test_a_state_remembers() -> None:
    first = SeenMessages()
    for number in (0, 1, 5):
        first.is_new("r", 10**18, number)
    second = SeenMessages()
    second.restore(json.loads(json.dumps(first.state())))
    assert not second.is_new("r", 10**18, 1)
    assert second.is_new("r", 10**18, 3) and second.n_missing == 2


def test_a_message_travels_as_json() -> None:
    message = CountsMessage(3, "r", 10**18, 7, 2, np.array([1, 1]), 5.5, {"column": 1}, 4, 0.01)
    back = CountsMessage.from_dict(json.loads(json.dumps(message.to_dict())))
    assert back.to_dict() == message.to_dict()
    assert back.counts.tolist() == [1, 1] and back.epoch == 10**18
