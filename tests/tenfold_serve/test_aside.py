"""A slow canary beside the loop: where its calls are made, and that nobody else waits for them."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import orjson
import pytest

from tenfold.features.codes import Codes
from tenfold.inference import Prediction, Predictor
from tenfold.testing.mixed import mixed_schema
from tenfold_serve.arms import ArmBoard
from tenfold_serve.aside import PROVEN_CALLS, Aside
from tenfold_serve.batching import seconds_of
from tenfold_serve.flight import Flight
from tenfold_serve.lane import MAX_OPEN, Crowded, Late
from tests.tenfold_serve.doors.test_v2 import inputs
from tests.tenfold_serve.doors.through import DOORS
from tests.tenfold_serve.support import Publish, Rig, call, config_of, rows
from tests.tenfold_serve.test_arm_counts import canary_board, replace_arm, told

LONG_S = 20.0
ROW = np.zeros((1, 2))
MODEL_THREAD = "canary-2"


@pytest.fixture(autouse=True)
def switching() -> Iterator[None]:
    before = sys.getswitchinterval()
    yield
    sys.setswitchinterval(before)


class Model:
    """It tells the thread that asked, takes its time, and waits where it is told to."""

    def __init__(self) -> None:
        self.threads: list[str] = []
        self.takes_s, self.waits_s = 0.0, 0.0
        self.entered, self.go = threading.Event(), threading.Event()
        self.go.set()

    def predict_codes(self, codes: Codes) -> Prediction:
        self.threads.append(threading.current_thread().name)
        self.entered.set()
        assert self.go.wait(LONG_S)
        threading.Event().wait(self.waits_s)
        ends = time.perf_counter() + self.takes_s
        while time.perf_counter() < ends:
            pass
        return Prediction(codes, ["yes"] * len(codes))


def aside_of(model: Model, *, champion_row_s: float = 0.0) -> Aside:
    canary: Any = SimpleNamespace(predictor=model, version=2)
    champion: Any = SimpleNamespace(row_s=champion_row_s)
    return Aside(canary, champion, Flight())


async def ask(aside: Aside, n_times: int, codes: Codes = ROW) -> None:
    for _ in range(n_times):
        await aside.call(codes)


def test_a_canary_begins_aside_and_comes_into_the_loop_when_it_was_quick() -> None:
    model = Model()
    aside = aside_of(model, champion_row_s=1.0)  # nothing is slow beside that

    async def scene() -> None:
        await ask(aside, PROVEN_CALLS - 1)
        assert aside.aside
        await ask(aside, 1)
        assert not aside.aside

    asyncio.run(scene())
    assert set(model.threads) == {MODEL_THREAD}


def test_a_slow_call_aside_begins_the_count_again() -> None:
    model = Model()
    aside = aside_of(model, champion_row_s=0.05)

    async def scene() -> None:
        await ask(aside, PROVEN_CALLS - 1)
        model.takes_s = 0.2
        await ask(aside, 1)
        model.takes_s = 0.0
        await ask(aside, PROVEN_CALLS - 1)
        assert aside.aside
        await ask(aside, 1)
        assert not aside.aside

    asyncio.run(scene())
    assert sys.getswitchinterval() < 0.001  # it may be Python, and hold the lock


def test_a_slow_call_in_the_loop_sends_it_back_for_twice_as_many() -> None:
    aside = aside_of(Model(), champion_row_s=1.0)

    async def scene() -> None:
        await ask(aside, PROVEN_CALLS)
        aside.took(2.1, 1000)  # a thousand rows may take 126 times as long as one
        assert not aside.aside
        aside.took(2.1, 1)
        assert aside.aside
        await ask(aside, 2 * PROVEN_CALLS - 1)
        assert aside.aside
        await ask(aside, 1)
        assert not aside.aside

    asyncio.run(scene())


def test_what_is_slow_depends_on_the_champion_and_the_rows() -> None:
    quick, slow = aside_of(Model()), aside_of(Model(), champion_row_s=0.8)
    assert (quick.bound_s, slow.bound_s) == (0.005, 1.6)
    assert [quick.limit_s(n) for n in (1, 9, 1000)] == [1.0, 2.0, 5.0]
    assert slow.limit_s(1) == 1.6


def test_waiting_for_the_lock_is_not_the_models_and_longer_waiting_is() -> None:
    model = Model()
    aside = aside_of(model)

    async def seconds() -> float:
        return (await aside.call(ROW)).seconds

    model.waits_s = 0.006
    assert asyncio.run(seconds()) < 0.005
    model.waits_s = 0.1
    assert asyncio.run(seconds()) >= 0.1


async def hanging(aside: Aside, model: Model) -> list[asyncio.Task[Any]]:
    """A lane that is full behind a call that hangs."""
    model.go.clear()
    model.entered.clear()
    tasks = [asyncio.ensure_future(aside.call(ROW)) for _ in range(MAX_OPEN)]
    assert await asyncio.to_thread(model.entered.wait, LONG_S)
    return tasks


def test_a_crowd_before_a_quick_canary_is_nobodys_fault() -> None:
    model = Model()
    aside = aside_of(model)

    async def scene() -> None:
        tasks = await hanging(aside, model)
        with pytest.raises(Crowded):
            await aside.call(ROW)
        model.go.set()
        await asyncio.gather(*tasks)

    asyncio.run(scene())


def test_a_crowd_before_a_slow_one_is_its_own() -> None:
    model = Model()
    aside = aside_of(model)

    async def scene() -> None:
        model.takes_s = 0.1
        await ask(aside, 2)
        model.takes_s = 0.0
        tasks = await hanging(aside, model)
        with pytest.raises(Late):
            await aside.call(ROW)
        model.go.set()
        await asyncio.gather(*tasks)

    asyncio.run(scene())


def test_its_threads_end_when_it_is_dropped() -> None:
    async def scene() -> object:
        return await aside_of(Model()).explain(threading.current_thread)

    thread = asyncio.run(scene())
    assert isinstance(thread, threading.Thread)
    assert thread.name == f"{MODEL_THREAD}-explains"
    gc.collect()
    thread.join(10)
    assert not thread.is_alive()


def test_the_same_bits_in_the_thread_and_in_the_loop(publish: Publish) -> None:
    canary = Predictor.load(publish(0).path)
    codes = canary.encoder.encode_rows(rows(50))
    arm: Any = SimpleNamespace(predictor=canary, version=1)
    champion: Any = SimpleNamespace(row_s=0.0)
    answered = asyncio.run(Aside(arm, champion, Flight()).call(codes))
    expected = canary.predict_codes(codes)
    assert answered.prediction.scores.tobytes() == expected.scores.tobytes()
    assert answered.prediction.values == expected.values


def test_what_a_row_takes_is_measured_when_a_model_is_loaded(publish: Publish) -> None:
    (champion, canary) = canary_board(publish).lineup.arms
    assert 0 < champion.row_s < 1 and 0 < canary.row_s < 1
    model = Model()
    model.takes_s = 0.01
    assert 0.01 <= seconds_of(model, ROW) < 1


class Gated(Predictor):
    """A canary that hangs, in its calls or in its explanations, until it is let go."""

    gate: Model
    explains: bool

    def predict_codes(self, codes: Codes) -> Prediction:
        if not self.explains:
            self.gate.predict_codes(codes)
        return super().predict_codes(codes)

    @property
    def explainer(self) -> Any:
        inner = super().explainer

        def explain(codes: Codes, prediction: Prediction) -> Any:
            self.gate.predict_codes(codes)
            return inner.explain(codes, prediction)

        return SimpleNamespace(explain=explain)


@dataclasses.dataclass
class Scene:
    board: ArmBoard
    rig: Rig
    gate: Model
    publish: Publish

    async def send(self, key: bytes, path: str = "/predict") -> Any:
        body = orjson.dumps({"rows": rows(3)})
        reply = await call(self.rig.app, "POST", path, body, headers=[(b"x-tenfold-key", key)])
        assert reply.status == 200, reply.body
        return reply.json()

    async def begun(self) -> None:
        assert await asyncio.to_thread(self.gate.entered.wait, LONG_S)


CANARYS, CHAMPIONS = b"k1", b"k0"
"""Keys of either arm at even shares."""

MakeScene = Callable[..., Scene]


@pytest.fixture
def make_scene(tmp_path: Path, publish: Publish) -> Iterator[MakeScene]:
    gates = []

    def make(*, canary_weight: float = 0.5, hangs: bool = True, explains: bool = False) -> Scene:
        board = canary_board(publish, canary_weight=canary_weight)
        gated = Gated.load(publish(1).path)
        gate = gated.gate = Model()
        gated.explains = explains
        if hangs:
            gate.go.clear()
        gates.append(gate)
        replace_arm(board, 1, dataclasses.replace(board.lineup.arms[1], predictor=gated))
        return Scene(board, Rig(tmp_path / "rig", board), gate, publish)

    yield make
    for gate in gates:
        gate.go.set()


def test_a_quick_canary_answers_from_its_thread_and_then_from_the_loop(
    make_scene: MakeScene,
) -> None:
    scene = make_scene(hangs=False)
    replace_arm(scene.board, 0, dataclasses.replace(scene.board.lineup.arms[0], row_s=1.0))

    async def ask_all() -> None:
        for _ in range(PROVEN_CALLS + 3):
            assert (await scene.send(CANARYS))["arm"] == "challenger"

    asyncio.run(ask_all())
    threads = scene.gate.threads
    assert threads[:PROVEN_CALLS] == [MODEL_THREAD] * PROVEN_CALLS
    assert threads[PROVEN_CALLS:] == [threading.main_thread().name] * 3
    found = told(scene.rig)["challenger/2"]
    assert found.requests == found.calls == PROVEN_CALLS + 3 and found.failed == 0
    assert found.latency_sum_s > 0


def test_the_champion_answers_while_a_canary_hangs_and_then_in_its_place(
    make_scene: MakeScene,
) -> None:
    scene = make_scene()

    async def ask_all() -> None:
        late = asyncio.ensure_future(scene.send(CANARYS))
        await scene.begun()
        for _ in range(5):
            assert (await scene.send(CHAMPIONS))["arm"] == "champion"
        assert not late.done()
        behind = [asyncio.ensure_future(scene.send(CANARYS)) for _ in range(3)]
        assert {(await one)["arm"] for one in (late, *behind)} == {"champion"}
        began = time.monotonic()
        for _ in range(20):
            assert (await scene.send(CANARYS))["arm"] == "champion"
        assert time.monotonic() - began < 10  # twenty waits would take 20 s

    asyncio.run(ask_all())
    found = told(scene.rig)
    assert found["challenger/2"].failures == {"late": 24}
    assert found["challenger/2"].requests == 24 and found["champion/1"].requests == 29
    assert found["champion/1"].slow[-1] == 0  # the wait is not the champion's
    assert scene.gate.threads == [MODEL_THREAD]
    assert scene.rig.recorder.flight.in_flight


def test_every_door_is_answered_by_the_champion(make_scene: MakeScene) -> None:
    scene = make_scene(canary_weight=1.0)
    alone = ArmBoard()
    alone.change(config_of(scene.publish(0)))
    plain = Rig(scene.rig.folder / "plain", alone)
    for name, door in DOORS.items():
        found = door(scene.rig, mixed_schema(), rows(5))
        assert found == door(plain, mixed_schema(), rows(5)), name
    assert told(scene.rig)["challenger/2"].failures == {"late": len(DOORS)}


def test_who_asked_for_the_version_is_told(make_scene: MakeScene) -> None:
    scene = make_scene(canary_weight=0.1)
    path = "/v2/models/mixed/versions/2/infer"
    reply = scene.rig.ask("POST", path, {"inputs": inputs()})
    assert reply.status == 503 and reply.headers[b"retry-after"] == b"1"
    assert b"did not answer within" in reply.body and b"ask without its number" in reply.body
    assert told(scene.rig)["challenger/2"].failures == {"late": 1}


def test_a_swap_and_an_end_do_not_wait_for_it(make_scene: MakeScene) -> None:
    scene = make_scene(canary_weight=1.0)
    assert asyncio.run(scene.send(b"any"))["arm"] == "champion"
    lineup = scene.board.change(config_of(scene.publish(0)))
    assert [arm.version for arm in lineup.arms] == [1] and lineup.reason == ""
    assert asyncio.run(scene.send(b"any"))["arm"] == "champion"
    scene.rig.recorder.close()
    scene.rig.labels.close()
    assert not scene.gate.go.is_set()  # it still hangs


def test_an_explanation_that_hangs_is_in_nobodys_way(make_scene: MakeScene) -> None:
    scene = make_scene(explains=True)
    path = "/predict?with=explanation"

    async def ask_all() -> None:
        late = asyncio.ensure_future(scene.send(CANARYS, path))
        await scene.begun()
        for _ in range(3):
            answer = await scene.send(CHAMPIONS, path)
            assert answer["arm"] == "champion" and answer["predictions"][0]["explanation"]
        assert (await scene.send(CANARYS))["arm"] == "challenger"
        assert not late.done()
        scene.gate.go.set()
        answer = await late
        assert answer["arm"] == "challenger" and answer["predictions"][0]["explanation"]

    asyncio.run(ask_all())


def test_a_dropped_arm_takes_its_thread_along(make_scene: MakeScene) -> None:
    scene = make_scene(canary_weight=1.0, hangs=False)
    before = set(threading.enumerate())
    assert asyncio.run(scene.send(b"any"))["arm"] == "challenger"
    (thread,) = (t for t in threading.enumerate() if t not in before)
    assert thread.name == MODEL_THREAD
    scene.board.change(config_of(scene.publish(0)))
    assert asyncio.run(scene.send(b"any"))["arm"] == "champion"
    scene.rig.recorder.flush()  # what was answered holds its model
    gc.collect()
    thread.join(10)
    assert not thread.is_alive()
