from __future__ import annotations

import math

import numpy as np
import pytest

from tenfold.monitor import CHANNELS, ChangeMixture
from tenfold.monitor.channels import SHARES, Channel, alphas


def test_the_whole_bound_is_spent_and_no_more() -> None:
    assert sum(SHARES.values()) == pytest.approx(1.0) and tuple(SHARES) == CHANNELS
    spent = alphas(0.01)
    assert sum(map(sum, spent.values())) == pytest.approx(0.01)
    assert all(evidence > limits > 0 for evidence, limits in spent.values())


def test_a_channel_names_the_streams_that_alarm() -> None:
    mixture = ChangeMixture(3, 1, alpha=0.01)
    channel = Channel("feature", ("a", "b", "c"), mixture)
    assert channel.snapshot()["evidence"] == 0.0 and channel.change is None
    channel.latch(1.0)
    assert channel.first_alarm_s is None
    for step in range(10):
        mixture.advance(np.array([[-1.0], [2.0], [3.0]]), now_s=float(step))
        channel.latch(float(step))
    assert channel.active and set(channel.named) == {"b", "c"}
    shown = channel.snapshot()
    assert shown["level"] == pytest.approx(math.log(100)) and shown["evidence"] >= shown["level"]
    assert shown["change_s"] == 0.0 and shown["first_alarm_s"] is not None
    first = channel.first_alarm_s
    for step in range(30):
        mixture.advance(np.full((3, 1), -2.0), now_s=50.0 + step)
        channel.latch(50.0 + step)
    assert not channel.active and channel.first_alarm_s == first


def test_a_channel_without_streams_is_silent() -> None:
    shown = Channel("prediction", (), ChangeMixture(0, 7, alpha=0.01)).snapshot()
    assert not shown["active"] and shown["evidence"] == 0.0 and shown["named"] == []
