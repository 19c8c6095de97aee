"""A lane beside the loop: what hangs costs its thread, and every wait ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tenfold_serve.lane import MAX_OPEN, Crowded, Lane, Late

SOON_S, LONG_S = 0.05, 20.0


class Gate:
    """Work that waits to be let go, and tells that it began."""

    def __init__(self) -> None:
        self.entered, self.go = threading.Event(), threading.Event()

    def __call__(self) -> str:
        self.entered.set()
        assert self.go.wait(LONG_S)
        return "through"

    async def begun(self) -> None:
        assert await asyncio.to_thread(self.entered.wait, LONG_S)


def begin(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    return asyncio.ensure_future(work)


async def returned(lane: Lane, work: Callable[[], object]) -> Any:
    """The value, once what was in the way has left."""
    while lane.hangs():
        await asyncio.sleep(0)
    return (await lane.run(work, limit_s=LONG_S)).value


def test_work_is_done_in_a_thread_and_timed() -> None:
    async def scene() -> None:
        done = await Lane("lane-1").run(lambda: threading.current_thread().name, limit_s=LONG_S)
        assert done.value == "lane-1" and 0 <= done.seconds < LONG_S

    asyncio.run(scene())


def test_what_work_raises_comes_back_also_where_it_is_a_timeout() -> None:
    def late() -> None:
        raise TimeoutError("its own")

    async def scene() -> None:
        lane = Lane("l")
        with pytest.raises(ZeroDivisionError):
            await lane.run(lambda: 1 // 0, limit_s=LONG_S)
        with pytest.raises(TimeoutError, match="its own"):
            await lane.run(late, limit_s=LONG_S)
        assert not lane.hangs()

    asyncio.run(scene())


def test_the_loop_goes_on_while_work_waits() -> None:
    async def scene() -> None:
        gate, lane = Gate(), Lane("l")
        task = begin(lane.run(gate, limit_s=LONG_S))
        await gate.begun()
        for _ in range(100):
            await asyncio.sleep(0)
        assert not task.done()
        gate.go.set()
        assert (await task).value == "through"

    asyncio.run(scene())


def test_what_hangs_is_given_up_and_those_behind_it_are_told_at_once() -> None:
    async def scene() -> None:
        gate, lane = Gate(), Lane("l")
        first = begin(lane.run(gate, limit_s=SOON_S))
        await asyncio.sleep(0)
        behind = [begin(lane.run(lambda: 1, limit_s=LONG_S)) for _ in range(3)]
        with pytest.raises(Late, match=r"did not answer within 0\.05 s"):
            await first
        for each in await asyncio.gather(*behind, return_exceptions=True):  # long before 20 s
            assert isinstance(each, Late)
        assert lane.hangs()
        with pytest.raises(Late):
            await lane.run(lambda: 1, limit_s=LONG_S)
        gate.go.set()
        assert await returned(lane, lambda: 5) == 5

    asyncio.run(scene())


def test_what_hangs_is_found_also_where_its_asker_went() -> None:
    async def scene() -> None:
        gate, lane = Gate(), Lane("l")
        first = begin(lane.run(gate, limit_s=SOON_S))
        await gate.begun()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        with pytest.raises(Late):
            await lane.run(lambda: 1, limit_s=SOON_S)  # its turn does not come
        with pytest.raises(Late):
            await lane.run(lambda: 1, limit_s=LONG_S)  # and now that is known
        gate.go.set()
        assert await returned(lane, lambda: 5) == 5

    asyncio.run(scene())


def test_who_goes_leaves_the_others_their_turn() -> None:
    async def scene() -> None:
        gate, lane = Gate(), Lane("l")
        tasks = [begin(lane.run(work, limit_s=LONG_S)) for work in (gate, int, lambda: 7)]
        await gate.begun()
        tasks[1].cancel()
        gate.go.set()
        assert (await tasks[2]).value == 7
        assert tasks[1].cancelled()

    asyncio.run(scene())


def test_a_full_lane_says_so() -> None:
    async def scene() -> None:
        gate, lane = Gate(), Lane("l")
        tasks = [begin(lane.run(gate, limit_s=LONG_S))]
        await gate.begun()
        tasks += [begin(lane.run(lambda: 1, limit_s=LONG_S)) for _ in range(MAX_OPEN - 1)]
        await asyncio.sleep(0)
        with pytest.raises(Crowded):
            await lane.run(lambda: 1, limit_s=LONG_S)
        gate.go.set()
        assert [done.value for done in await asyncio.gather(*tasks)][1:] == [1] * (MAX_OPEN - 1)
        assert (await lane.run(lambda: 2, limit_s=LONG_S)).value == 2

    asyncio.run(scene())


def test_a_lane_outlives_a_loop() -> None:
    lane, gate = Lane("l"), Gate()

    async def leave() -> None:
        with pytest.raises(Late):
            await lane.run(gate, limit_s=SOON_S)

    asyncio.run(leave())
    gate.go.set()
    assert asyncio.run(returned(lane, lambda: 3)) == 3
