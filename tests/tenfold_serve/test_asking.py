"""Questions to an aggregator that hangs: each wait ends, and nothing is fed twice."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import pytest

from tenfold_serve.asking import Asking, NoAnswer
from tenfold_serve.logged import LoggedPredictions

LONG_S = 20.0
NONE = LoggedPredictions.of([])


class Hangs:
    """An aggregator that answers when it is let go, and remembers what it was asked."""

    def __init__(self) -> None:
        self.go, self.asked = threading.Event(), list[str]()
        self.go.set()

    def _answer(self, name: str, answer: Any) -> Any:
        self.asked.append(name)
        assert self.go.wait(LONG_S)
        return answer

    def watch(self, project: str, version: int) -> None:
        self._answer(f"watch {project} {version}", None)

    def snapshot(self, project: str) -> dict[str, Any]:
        return {"snapshot": self._answer(f"snapshot {project}", project)}

    def arms(self, project: str) -> dict[str, Any]:
        return {"arms": self._answer(f"arms {project}", project)}

    def tell(self, project: str, facts: Any) -> None:
        self._answer(f"tell {project} {facts}", None)

    def needs_rebuild(self, project: str) -> bool:
        return bool(self._answer(f"needs_rebuild {project}", answer=True))

    def rebuild(self, project: str, predictions: Any, labels: Any) -> None:
        self._answer(f"rebuild {project} {len(predictions)} {len(labels)}", None)

    def feed(self, project: str, predictions: Any, labels: Any) -> dict[str, int]:
        answer = {"accepted": len(labels)}
        told: dict[str, int] = self._answer(f"feed {project} {len(labels)}", answer)
        return told


def answers(asking: Asking) -> None:
    """Wait until what was asked before has its answer."""
    deadline = time.monotonic() + LONG_S
    while True:
        try:
            asking.arms("p")
        except NoAnswer:
            assert time.monotonic() < deadline
        else:
            return


def test_what_answers_is_passed_on() -> None:
    behind = Hangs()
    asking = Asking(behind, wait_s=LONG_S)
    asking.watch("p", 3)
    asking.tell("p", {"a": 1})
    asking.rebuild("p", NONE, [])
    assert asking.snapshot("p") == {"snapshot": "p"} and asking.arms("p") == {"arms": "p"}
    assert asking.needs_rebuild("p") and asking.feed("p", NONE, []) == {"accepted": 0}
    assert behind.asked == [
        "watch p 3",
        "tell p {'a': 1}",
        "rebuild p 0 0",
        "snapshot p",
        "arms p",
        "needs_rebuild p",
        "feed p 0",
    ]


def test_what_it_raises_is_raised() -> None:
    class Fails(Hangs):
        def snapshot(self, project: str) -> dict[str, Any]:
            raise TimeoutError(project)

    with pytest.raises(TimeoutError, match="p"):
        Asking(Fails(), wait_s=LONG_S).snapshot("p")


def test_one_wait_and_then_none_until_it_answers(caplog: pytest.LogCaptureFixture) -> None:
    behind = Hangs()
    asking = Asking(behind, wait_s=0.2)
    behind.go.clear()
    with caplog.at_level(logging.INFO, "tenfold.serve"):
        with pytest.raises(NoAnswer, match=r"^the aggregator did not answer within 0.2 s$"):
            asking.snapshot("p")
        began = time.monotonic()
        for _ in range(100):
            with pytest.raises(NoAnswer):
                asking.watch("p", 1)
        assert time.monotonic() - began < 20 * 0.2  # a hundred waits would be 20 s
        assert behind.asked == ["snapshot p"]
        behind.go.set()
        answers(asking)
    told = [record.levelname for record in caplog.records]
    assert told == ["WARNING", "INFO"]


def test_rows_that_came_through_after_all_are_not_fed_again() -> None:
    behind = Hangs()
    asking = Asking(behind, wait_s=0.05)
    behind.go.clear()
    labels: list[Any] = ["a", "b"]
    with pytest.raises(NoAnswer):
        asking.feed("p", NONE, labels)
    behind.go.set()
    answers(asking)
    asking._wait_s = 60.0
    assert asking.feed("p", NONE, labels) == {"accepted": 2}
    assert behind.asked.count("feed p 2") == 1
    assert asking.feed("p", NONE, labels) == {"accepted": 2}  # asked for anew
    assert behind.asked.count("feed p 2") == 2


def test_other_rows_are_fed_whatever_came_late() -> None:
    behind = Hangs()
    asking = Asking(behind, wait_s=0.05)
    behind.go.clear()
    with pytest.raises(NoAnswer):
        asking.feed("p", NONE, [])
    behind.go.set()
    answers(asking)
    asking._wait_s = 60.0
    more: list[Any] = ["c"]
    assert asking.feed("p", NONE, more) == {"accepted": 1}
