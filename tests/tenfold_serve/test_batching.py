"""Micro-batches: who is scored together, that nobody can tell, and that nobody suffers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.features.codes import Codes
from tenfold.inference import Prediction
from tenfold_serve.arms import Lineup
from tenfold_serve.batching import Batcher, batching_pays
from tests.tenfold_serve.support import Publish, Rig, board_with, call
from tests.tenfold_serve.support import rows as json_rows


class Doubles:
    """A model that answers twice its first column, remembers its calls, and refuses 13."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def predict_codes(self, codes: Codes) -> Prediction:
        self.sizes.append(len(codes))
        if (codes[:, 0] == 13).any():
            raise ValueError("13 is refused")
        scores = codes[:, :1] * 2
        return Prediction(scores, scores[:, 0].tolist())


def rows(*values: float) -> Codes:
    return np.array([[value, 0.0] for value in values])


async def together(*asked: Coroutine[Any, Any, Any]) -> list[Any]:
    return await asyncio.gather(*asked, return_exceptions=True)


@given(st.lists(st.integers(1, 200), min_size=1, max_size=12))
def test_each_gets_its_own_rows_whatever_came_along(sizes: list[int]) -> None:
    model = Doubles()
    batcher = Batcher()
    asked = [np.full((size, 2), float(number + 20)) for number, size in enumerate(sizes)]
    found = asyncio.run(together(*(batcher.predict(model, codes) for codes in asked)))
    for codes, answer in zip(asked, found, strict=True):
        assert np.array_equal(answer.scores, codes[:, :1] * 2)
        assert answer.values == (codes[:, 0] * 2).tolist()
    assert sum(model.sizes) == sum(sizes)
    assert max(model.sizes) <= 256


@given(st.lists(st.sampled_from([1, 13, 90, 300]), min_size=1, max_size=12))
def test_each_call_is_told_of_once(sizes: list[int]) -> None:
    model = Doubles()
    batcher = Batcher()
    asked = [np.full((size, 2), float(size)) for size in sizes]  # 13 is refused
    found = asyncio.run(together(*(batcher.call(model, codes) for codes in asked)))
    told = [each for each in found if not isinstance(each, ValueError)]
    assert len(told) == sum(size != 13 for size in sizes)
    firsts = [each for each in told if each.first]
    assert sum(each.n_rows for each in firsts) == sum(len(each.prediction.values) for each in told)
    assert all(each.seconds > 0 for each in told)


def test_those_of_one_turn_share_a_call_and_those_of_two_do_not() -> None:
    model, other = Doubles(), Doubles()
    batcher = Batcher()

    async def turns() -> None:
        await together(*(batcher.predict(model, rows(n)) for n in range(5)))
        await together(batcher.predict(model, rows(1)), batcher.predict(other, rows(2)))

    asyncio.run(turns())
    assert (model.sizes, other.sizes) == ([5, 1], [1])


def test_a_request_alone_does_not_wait() -> None:
    model = Doubles()

    async def alone() -> int:
        turns = 0
        task = asyncio.ensure_future(Batcher().predict(model, rows(4)))
        while not task.done():
            turns += 1
            await asyncio.sleep(0)
        return turns

    assert asyncio.run(alone()) <= 4


def test_a_large_request_goes_alone() -> None:
    model = Doubles()
    batcher = Batcher()
    large = np.ones((300, 2))
    asyncio.run(together(batcher.predict(model, rows(1)), batcher.predict(model, large)))
    assert sorted(model.sizes) == [1, 300]


def test_rows_that_a_model_fails_on_fail_alone() -> None:
    model = Doubles()
    batcher = Batcher()
    good, bad, last = asyncio.run(
        together(*(batcher.predict(model, rows(value)) for value in (1.0, 13.0, 3.0)))
    )
    assert (good.values, last.values) == ([2.0], [6.0])
    assert isinstance(bad, ValueError)


def test_a_panic_in_native_code_leaves_nobody_waiting() -> None:
    class Panic(BaseException):
        """As PyO3 raises it."""

    class Panics(Doubles):
        def predict_codes(self, codes: Codes) -> Prediction:
            if (codes[:, 0] == 13).any():
                raise Panic
            return super().predict_codes(codes)

    batcher, model = Batcher(), Panics()

    async def ask() -> list[Any]:
        values = (1.0, 2.0, 13.0, 4.0, 5.0)
        tasks = [asyncio.ensure_future(batcher.predict(model, rows(value))) for value in values]
        await asyncio.wait(tasks, timeout=10)
        return [task.exception() or task.result().values for task in tasks]

    found = asyncio.run(ask())
    assert isinstance(found.pop(2), Panic)
    assert found == [[2.0], [4.0], [8.0], [10.0]]


def test_a_client_that_goes_takes_nobody_along() -> None:
    model = Doubles()
    batcher = Batcher()

    async def leave() -> list[Any]:
        tasks = [asyncio.ensure_future(batcher.predict(model, rows(n))) for n in (1.0, 2.0, 3.0)]
        await asyncio.sleep(0)  # all wait, nobody is answered yet
        tasks[1].cancel()
        return await together(*tasks)  # type: ignore[arg-type]

    first, gone, last = asyncio.run(leave())
    assert (first.values, last.values) == ([2.0], [6.0])
    assert isinstance(gone, asyncio.CancelledError)
    assert model.sizes in ([3], [2])  # it was scored already, or left out


@pytest.mark.parametrize(("a_call_s", "pays"), [(0.0, False), (0.0005, True)])
def test_it_pays_where_a_call_is_dear(a_call_s: float, pays: bool) -> None:
    class Slow(Doubles):
        def predict_codes(self, codes: Codes) -> Prediction:
            end = time.perf_counter() + a_call_s
            while time.perf_counter() < end:
                pass
            return super().predict_codes(codes)

    assert batching_pays(Slow(), rows(1.0)) is pays


def test_the_endpoint_answers_the_same_bits_together(tmp_path: Path, publish: Publish) -> None:
    board = board_with(publish())
    rig = Rig(tmp_path / "live", board)
    bodies = [orjson.dumps({"rows": [row]}) for row in json_rows(30)]
    bodies[7] = orjson.dumps({"rows": [{"number": []}]})  # its sender's fault alone

    async def ask_all() -> list[tuple[int, Any]]:
        asked = (call(rig.app, "POST", "/predict", body) for body in bodies)
        replies = await asyncio.gather(*asked)
        told = [reply.json().get("predictions", []) for reply in replies]
        return [
            (reply.status, [item["probabilities"] for item in items])
            for reply, items in zip(replies, told, strict=True)
        ]

    alone = asyncio.run(ask_all())
    arm = board.lineup.arms[0]
    watched = _Watched(arm.predictor)
    together = replace(arm, predictor=watched, batched=True)  # type: ignore[arg-type]
    board.lineup = Lineup((together,), 1, "", (1.0,))
    assert asyncio.run(ask_all()) == alone
    assert [status for status, _ in alone].count(400) == 1
    assert watched.sizes == [29]
    rig.labels.close()


class _Watched:
    """A predictor that remembers how many rows it was asked for at a time."""

    def __init__(self, predictor: Any) -> None:
        self._predictor = predictor
        self.sizes: list[int] = []

    def predict_codes(self, codes: Codes) -> Prediction:
        self.sizes.append(len(codes))
        answer: Prediction = self._predictor.predict_codes(codes)
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._predictor, name)
