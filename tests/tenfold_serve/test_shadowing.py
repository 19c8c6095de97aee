"""The shadow's process as its supervisor sees it; the last tests start the real one."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tenfold.settings import Settings
from tenfold.state import Journal, open_state
from tenfold.traffic import Shadow
from tenfold_serve.lineups import arm_of
from tenfold_serve.shadowing import FAILED, Shadowing
from tests.tenfold_serve.support import Publish

CHAMPION = {"arm": "champion", "version": 1, "digest": "a", "path": "/models/1", "weight": 1.0}
CHALLENGER = {"arm": "challenger", "version": 2, "digest": "b", "path": "/models/2", "weight": 1.0}

SPEAKS = """
import json, os, sys, time
told = json.loads(sys.argv[1])["told"]
for beat in range(10**9):
    said = {"pid": os.getpid(), "beats": beat, "state": "scoring", "rows": beat, "trouble": ""}
    with open(told + ".new", "w") as file:
        json.dump(said, file)
    os.replace(told + ".new", told)
    time.sleep(0.01)
"""
SILENT = "import time; time.sleep(600)"


class Scene:
    def __init__(self, settings: Settings, program: str, *, hung_s: float = 60.0) -> None:
        self.now = self.waited = 0.0
        self.journal = Journal(open_state(settings).engine)
        self.folder = settings.keeper
        self.shadowing = Shadowing(
            "mixed",
            live=settings.live,
            folder=settings.keeper,
            journal=self.journal,
            command=[sys.executable, "-c", program],
            clock=lambda: self.now,
            hung_s=hung_s,
            waited=lambda _pid: self.waited,
        )

    def follow(self, since_ms: int | None = 1, **arms: Any) -> dict[str, Any]:
        wish = None if since_ms is None else Shadow(2, since_ms)
        self.shadowing.follow(wish, **{"challenger": CHALLENGER, "champion": CHAMPION} | arms)
        return self.shadowing.status() or {}

    def until(self, holds: Callable[[dict[str, Any]], object], **arms: Any) -> dict[str, Any]:
        deadline = time.monotonic() + 30
        while not holds(found := self.follow(**arms)):
            assert time.monotonic() < deadline, found
            time.sleep(0.01)
        return found

    def dies(self, failures: int) -> None:
        """It scores and is killed, which is failure number so many."""
        before = self.until(lambda found: found.get("rows", 0) > 3 and found["state"] == "scoring")
        os.kill(before["pid"], signal.SIGKILL)
        self.until(lambda found: found["failures"] == failures)

    def starts_after(self, pause: float) -> None:
        self.now += pause - 0.5
        assert self.follow()["state"] == "waiting"
        self.now += 0.5
        assert self.follow()["state"] == "loading"

    def reasons(self) -> list[str]:
        return [row.body["reason"] for row in self.journal.tail("mixed", 50, kind=FAILED)]

    @property
    def pid(self) -> int:
        return int(self.until(lambda found: "pid" in found)["pid"])


MakeScene = Callable[..., Scene]


@pytest.fixture
def make_scene(settings: Settings) -> Iterator[MakeScene]:
    made: list[Scene] = []

    def make(program: str, *, hung_s: float = 60.0) -> Scene:
        made.append(Scene(settings, program, hung_s=hung_s))
        return made[-1]

    yield make
    for scene in made:
        scene.shadowing.stop()


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_it_runs_while_it_is_wished_for(make_scene: MakeScene) -> None:
    scene = make_scene(SPEAKS)
    assert scene.follow(None) == {}
    found = scene.until(lambda found: found.get("rows", 0) > 3)
    assert (found["version"], found["champion"], found["state"]) == (2, 1, "scoring")
    assert (found["failures"], found["trouble"]) == (0, "")
    assert scene.follow(None) == {}
    assert gone(found["pid"])
    assert list(scene.folder.glob("shadow-*.json")) == []


@pytest.mark.parametrize(
    ("since_ms", "arms"),
    [(2, {}), (1, {"champion": {**CHAMPION, "version": 3}}), (1, {"champion": None})],
)
def test_another_wish_or_pair_is_another_process(
    make_scene: MakeScene, since_ms: int, arms: dict[str, Any]
) -> None:
    scene = make_scene(SPEAKS)
    pid = scene.pid
    scene.follow(since_ms, **arms)
    assert gone(pid)


def test_one_that_dies_is_started_again_after_ever_longer_pauses(make_scene: MakeScene) -> None:
    scene = make_scene("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    for failures, pause in enumerate((120, 240, 480, 960, 1800, 1800), 1):
        found = scene.until(lambda found, n=failures: found["failures"] == n)  # type: ignore[misc]
        assert found["state"] == "waiting"
        assert found["trouble"] == "the shadow of version 2 failed: it died of SIGSEGV"
        scene.starts_after(pause)
    assert scene.reasons() == ["the shadow of version 2 failed: it died of SIGSEGV"]


def test_that_one_scored_before_it_died_shortens_no_pause_but_ten_minutes_do(
    make_scene: MakeScene,
) -> None:
    scene = make_scene(SPEAKS, hung_s=10_000.0)
    for failures, scored_s, pause in ((1, 0, 120), (2, 599, 240), (3, 600, 120), (4, 0, 240)):
        scene.until(lambda found: found["state"] == "scoring")
        scene.now += scored_s
        scene.dies(failures)
        scene.starts_after(pause)


def test_another_pair_starts_at_once_and_with_the_first_pause(make_scene: MakeScene) -> None:
    scene = make_scene("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    scene.until(lambda found: found["failures"] == 1)
    scene.starts_after(120)
    scene.until(lambda found: found["failures"] == 2)
    other = {"champion": {**CHAMPION, "version": 3}}
    assert scene.follow(**other)["state"] == "loading"
    scene.until(lambda found: found["failures"] == 1, **other)
    scene.now += 120
    assert scene.follow(**other)["state"] == "loading"


def test_one_that_hangs_is_ended_and_started_again(make_scene: MakeScene) -> None:
    scene = make_scene(SPEAKS, hung_s=20.0)
    pid = scene.pid
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
    scene.follow()
    scene.now += 19
    assert scene.follow()["failures"] == 0
    scene.now += 2
    found = scene.follow()
    assert gone(pid)
    assert found["trouble"].endswith("it said nothing for 20 s and was ended")
    scene.starts_after(120)
    assert scene.until(lambda found: found.get("pid") not in (None, pid))["failures"] == 1
    again = scene.until(lambda found: found["trouble"] == "")  # it works again
    assert again["state"] == "scoring"


def test_one_that_waits_for_a_core_does_not_hang(make_scene: MakeScene) -> None:
    scene = make_scene(SILENT, hung_s=20.0)
    assert scene.follow()["state"] == "loading"
    scene.now, scene.waited = 500.0, 481.0
    assert scene.follow()["failures"] == 0
    scene.now = 502.0
    assert scene.follow()["failures"] == 1


def test_one_that_never_says_anything_is_ended(make_scene: MakeScene) -> None:
    scene = make_scene(SILENT, hung_s=5.0)
    assert scene.follow()["state"] == "loading"
    scene.now += 6
    assert scene.follow()["failures"] == 1


def test_what_it_says_last_is_the_reason(make_scene: MakeScene) -> None:
    scene = make_scene("import sys; print('first', flush=True); sys.exit('model.onnx is broken')")
    found = scene.until(lambda found: found["failures"])
    assert found["trouble"].endswith("failed: it ended with 1: model.onnx is broken")


def test_it_gets_no_secrets(make_scene: MakeScene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    scene = make_scene("import os, sys; sys.exit(str(sorted(os.environ)))")
    found = scene.until(lambda found: found["failures"])
    assert "PATH" in found["trouble"]
    assert "RAY" not in found["trouble"] and "TENFOLD" not in found["trouble"]


def test_the_real_one_scores_dies_and_comes_back(settings: Settings, publish: Publish) -> None:
    from tests.tenfold_serve.test_shadow import Scene as Log

    first, second = publish(0, promote=True), publish(1)
    log = Log(settings, first, second)
    journal = Journal(open_state(settings).engine)
    shadowing = Shadowing(
        "mixed", live=settings.live, folder=settings.keeper, journal=journal, pause_s=1.0
    )

    def until(holds: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        deadline = time.monotonic() + 300  # it starts where a core is idle
        while True:
            shadowing.follow(
                Shadow(2, 1),
                challenger=arm_of("challenger", second),
                champion=arm_of("champion", first),
            )
            found = shadowing.status() or {}
            if holds(found):
                return found
            assert time.monotonic() < deadline, found
            time.sleep(0.05)

    try:
        found = until(lambda found: found.get("state") == "scoring")
        assert os.getpriority(os.PRIO_PROCESS, found["pid"]) == 19
        if hasattr(os, "SCHED_IDLE"):
            assert os.sched_getscheduler(found["pid"]) == os.SCHED_IDLE
        log.answer(30)
        found = until(lambda found: found.get("rows") == 30)
        os.kill(found["pid"], signal.SIGKILL)
        log.answer(12)
        until(lambda found: found.get("failures") == 1)
        until(lambda found: found.get("state") == "scoring" and found["dropped_rows"] == 12)
        log.answer(5)
        until(lambda found: found.get("rows") == 35)
        assert len(set(log.rows().column("__id").to_pylist())) == 35
    finally:
        shadowing.stop()


def test_the_real_one_says_why_it_does_not_start(settings: Settings, publish: Publish) -> None:
    first, second = publish(0, promote=True), publish(1)
    (second.path / "model.onnx").write_bytes(b"poison")
    journal = Journal(open_state(settings).engine)
    shadowing = Shadowing("mixed", live=settings.live, folder=settings.keeper, journal=journal)
    arms = {
        "challenger": arm_of("challenger", second),
        "champion": arm_of("champion", first),
    }
    try:
        deadline = time.monotonic() + 60
        while not (shadowing.status() or {}).get("failures"):
            shadowing.follow(Shadow(2, 1), **arms)
            assert time.monotonic() < deadline
            time.sleep(0.05)
        (row,) = journal.tail("mixed", 5, kind=FAILED)
        assert "it ended with 1: " in row.body["reason"]
        assert "model.onnx" in row.body["reason"]
    finally:
        shadowing.stop()
