"""The guard of a canary: bad ones are proven within seconds, good ones are left alone."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.monitor import Action
from tenfold.monitor.arms import SLOW_EDGES_S, ArmTotals, Pairs
from tenfold.monitor.canary import CanaryEvidence, CanaryWatch, Channel, judge, reference_error
from tenfold.monitor.levels import MAX_LEVELS, ScoreLevels

SHARES = (0.9, 0.75, 0.5, 0.25, 0.1)
LEVELS = ScoreLevels(ordered=True, values=tuple(1 - s for s in SHARES), shares=SHARES, n_rows=4000)
"""Of a model whose scores are evenly spread over [0, 1]."""

Floats = npt.NDArray[np.float64]
Blocks = Iterator[tuple[ArmTotals, ArmTotals]]


def pairs(
    champion: Floats, canary: Floats, *, mine: ScoreLevels = LEVELS, its: ScoreLevels = LEVELS
) -> Pairs:
    """Of scores of both models for the same rows."""
    own, by_its = mine.asked(canary[:, None]), its.asked(canary[:, None])
    theirs = its.asked(champion[:, None])

    def counts(found: npt.NDArray[np.bool_]) -> list[int]:
        return [*found.sum(axis=0).tolist(), *([0] * (MAX_LEVELS - len(its.values)))]

    return Pairs(
        len(canary), counts(own), counts(by_its & ~theirs), counts(theirs & ~by_its),
        counts(own & ~theirs), counts(theirs & ~own),
    )  # fmt: skip


def same(rows: Floats) -> Floats:
    return rows


def blocks(
    n_blocks: int,
    *,
    fails: tuple[float, float] = (0.001, 0.001),
    slow: tuple[float, float] = (0.01, 0.01),
    champion: Callable[[Floats], Floats] = same,
    canary: Callable[[Floats], Floats] = same,
    levels: tuple[ScoreLevels, ScoreLevels] = (LEVELS, LEVELS),
    seed: int = 0,
) -> Blocks:
    """Twenty requests a second, a tenth of them for the canary."""
    generator = np.random.default_rng(seed)
    for _ in range(n_blocks):
        sizes = 18, 1 + int(generator.poisson(1.0))
        arms = [ArmTotals("champion", 1), ArmTotals("challenger", 2)]
        for arm, n, bad, late in zip(arms, sizes, fails, slow, strict=True):
            arm.requests = arm.calls = n
            arm.failures = {"error": int(generator.binomial(n, bad))}
            arm.slow = [int(generator.binomial(n, late))] * len(SLOW_EDGES_S)
        rows = generator.random(sizes[1])
        arms[1].pairs = pairs(champion(rows), canary(rows), its=levels[0], mine=levels[1])
        yield arms[0], arms[1]


def proven(
    stream: Blocks,
    levels: tuple[ScoreLevels | None, ScoreLevels | None] = (LEVELS, LEVELS),
    **options: float,
) -> tuple[int, set[str]] | None:
    """Seconds until something is proven, and what; None if nothing ever was."""
    watch = CanaryWatch(*levels, **options)
    for second, (champion, canary) in enumerate(stream, start=1):
        watch.take(champion, canary, now_s=float(second))
        found = {name for name, channel in watch.channels().items() if channel.proven}
        if found:
            return second, found
    return None


@pytest.mark.parametrize(
    ("channel", "stream"),
    [
        ("failures", blocks(60, fails=(0.001, 0.2))),
        ("latency", blocks(60, slow=(0.01, 1.0))),
        ("scores", blocks(60, canary=lambda rows: 1.0 - 0.1 * rows)),
        ("scores", blocks(60, canary=lambda rows: 0.2 * rows)),
    ],
)
def test_each_harm_is_proven_within_a_minute_by_its_channel(channel: str, stream: Blocks) -> None:
    found = proven(stream)
    assert found is not None and found[1] == {channel}


def test_harm_that_begins_later_is_found_too() -> None:
    def later() -> Blocks:
        yield from blocks(600)
        yield from blocks(60, fails=(0.001, 0.4))

    found = proven(later())
    assert found is not None and 600 < found[0] <= 630


@pytest.mark.parametrize("seed", range(4))
def test_good_canaries_stay(seed: int) -> None:
    assert proven(blocks(200, seed=seed)) is None
    assert proven(blocks(200, fails=(0.05, 0.05), slow=(0.2, 0.3), seed=seed)) is None


def upward(rows: Floats) -> Floats:
    return 1.0 - 0.2 * rows


WIDE = replace(LEVELS, values=tuple(10 * value for value in LEVELS.values))
HIGH = replace(LEVELS, values=tuple(1.0 - 0.2 * share for share in SHARES))


def test_rows_that_move_both_models_alike_take_nobody_back() -> None:
    assert proven(blocks(200, champion=upward, canary=upward)) is None


def test_a_difference_that_both_had_offline_takes_nobody_back() -> None:
    levels = LEVELS, WIDE
    stream = blocks(200, canary=lambda rows: 10 * rows, levels=levels)
    assert proven(stream, levels) is None
    shifted = blocks(60, canary=lambda rows: 10 * upward(rows), levels=levels)
    found = proven(shifted, levels)
    assert found is not None and found[1] == {"scores"}


def test_a_canary_made_for_the_rows_that_come_now_stays() -> None:
    """The champion has drifted away from its reference, the new model is at home."""
    levels = LEVELS, HIGH
    stream = blocks(200, champion=lambda rows: 0.2 * rows, canary=upward, levels=levels)
    assert proven(stream, levels) is None


def test_a_canary_that_says_what_the_champion_says_stays() -> None:
    """Though its own reference is another: the rows have drifted back."""
    levels = LEVELS, HIGH
    assert proven(blocks(200, levels=levels), levels) is None


@pytest.mark.parametrize(("shift", "stays"), [(0.1, False), (0.5, True), (1.0, True)])
def test_a_larger_shift_may_be_allowed(shift: float, *, stays: bool) -> None:
    """Rows whose scores rise by a quarter: the median is crossed by as many."""
    stream = blocks(300, canary=lambda rows: np.minimum(rows + 0.3, 1.0))
    assert (proven(stream, shift=shift) is None) == stays


@pytest.mark.parametrize("ordered", [True, False])
def test_references_are_seldom_further_off_than_is_allowed_for(*, ordered: bool) -> None:
    """At a chance that can be seen: one in ten."""
    generator = np.random.default_rng(3)
    n_rows, n_off, times = 500, 0, 1000
    for _ in range(times):
        if ordered:
            rows = np.sort(generator.random(n_rows))
            found = replace(LEVELS, n_rows=n_rows, values=tuple(rows[[50, 125, 250, 375, 450]]))
            true = 1.0 - np.array(found.values)
            shares = np.array([(rows > value).mean() for value in found.values])
        else:
            found = replace(LEVELS, n_rows=n_rows, ordered=False)
            true = np.full(5, 0.2)
            shares = generator.multinomial(n_rows, true) / n_rows
        n_off += bool((np.abs(shares - true) > reference_error(found, 0.1)).any())
    assert n_off <= 0.12 * times


def test_scores_that_do_not_compare_are_not_watched() -> None:
    for levels in ((None, LEVELS), (LEVELS, replace(LEVELS, ordered=False))):
        watch = CanaryWatch(*levels)
        for champion, canary in blocks(3, canary=upward):
            watch.take(champion, canary, now_s=1.0)
        assert set(watch.channels()) == {"failures", "latency", "crashes"}


def test_two_deaths_while_it_scored_prove_it_and_deaths_at_random_do_not() -> None:
    watch = CanaryWatch(LEVELS, LEVELS)
    watch.take_death(in_flight=True, busy_ratio=0.001)
    assert not watch.channels()["crashes"].proven
    watch.take_death(in_flight=True, busy_ratio=0.001)
    found = watch.channels()["crashes"]
    assert found.proven and found.challenger == 1.0 and found.champion == 0.02
    busy = CanaryWatch(LEVELS, LEVELS)
    for _ in range(20):
        busy.take_death(in_flight=True, busy_ratio=1.0)
    assert not busy.channels()["crashes"].proven


@given(st.floats(0.0, 1.0))
def test_the_bet_on_a_death_is_fair(busy_ratio: float) -> None:
    def factor(*, in_flight: bool) -> float:
        watch = CanaryWatch(None, None)
        watch.take_death(in_flight=in_flight, busy_ratio=busy_ratio)
        return math.exp(watch.channels()["crashes"].evidence)

    expected = busy_ratio * factor(in_flight=True) + (1 - busy_ratio) * factor(in_flight=False)
    assert expected <= 1.0 + 1e-9


def test_a_watch_that_is_carried_over_goes_on() -> None:
    one, other = CanaryWatch(LEVELS, LEVELS), CanaryWatch(LEVELS, LEVELS)
    for watch in (one, other):
        watch.take_death(in_flight=True, busy_ratio=0.1)
    for second, (champion, canary) in enumerate(blocks(20, fails=(0.0, 0.1), canary=upward)):
        one.take(champion, canary, now_s=float(second))
        again = CanaryWatch(LEVELS, LEVELS)
        again.restore(json.loads(json.dumps(other.state())))
        other = again
        other.take(champion, canary, now_s=float(second))
    assert one.channels() == other.channels() and one.requests == other.requests


def test_before_the_first_request_nothing_is_known() -> None:
    channels = CanaryWatch(LEVELS, LEVELS).channels()
    assert {found.evidence for found in channels.values()} == {0.0}
    decision = judge(CanaryEvidence(1, 2, (0, 0), channels))
    assert decision.action is Action.WAIT and decision.version is None


def test_a_journaled_decision_is_decided_again() -> None:
    watch = CanaryWatch(LEVELS, LEVELS)
    for champion, canary in blocks(40, fails=(0.0, 0.5)):
        watch.take(champion, canary, now_s=1.0)
    evidence = CanaryEvidence(1, 2, watch.requests, watch.channels())
    decision = judge(evidence)
    assert decision.action is Action.ROLLBACK and decision.version == 2
    assert judge(CanaryEvidence.from_dict(json.loads(json.dumps(evidence.to_dict())))) == decision


def test_a_shift_is_not_called_worse() -> None:
    bad = Channel(9.0, 8.0, 0.0, 0.5, "requests that fail")
    moved = Channel(9.0, 8.0, 0.25, 0.75, "its scores above 0.5, live and at training,")
    told = "its scores above 0.5, live and at training, 75.00 % against 25.00 %"
    decision = judge(CanaryEvidence(1, 2, (9, 1), {"scores": moved}))
    assert decision.action is Action.ROLLBACK
    assert decision.reason == f"canary 2 has shifted beside champion 1: {told}"
    both = judge(CanaryEvidence(1, 2, (9, 1), {"failures": bad, "scores": moved}))
    assert both.reason == (
        "canary 2 is worse than champion 1: requests that fail 50.00 % against 0.00 % and "
        f"has shifted beside champion 1: {told}"
    )


def test_a_guard_that_is_off_only_tells() -> None:
    bad = Channel(9.0, 8.0, 0.0, 1.0, "requests that fail")
    decision = judge(CanaryEvidence(1, 2, (9, 1), {"failures": bad}, enabled=False))
    assert decision.action is Action.WAIT
    assert decision.reason == (
        "canary 2 is worse than champion 1: requests that fail 100.00 % against 0.00 %; "
        "serve.canary_guard is false"
    )
