"""One thread for work that may never return: order, errors, and that nobody waits for it."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import weakref

import pytest

from tenfold_serve.worker import Worker


def test_one_thing_after_the_other_in_one_thread() -> None:
    worker, seen = Worker("w"), []

    def note(number: int) -> int:
        seen.append((number, threading.current_thread().name))
        return number * 2

    found = [worker.begin(lambda k=k: note(k)) for k in range(20)]  # type: ignore[misc]
    assert [each.result(10).value for each in found] == [k * 2 for k in range(20)]
    assert seen == [(k, "w") for k in range(20)]
    assert all(min(each.result()[1:]) >= 0 for each in found)


def test_what_work_raises_stands_in_its_answer_and_the_next_is_done() -> None:
    class Panic(BaseException):
        """As PyO3 raises it."""

    worker = Worker("w")

    def fail(error: BaseException) -> object:
        raise error

    usual = worker.begin(lambda: fail(KeyError("no")))
    stop = worker.begin(lambda: fail(StopIteration()))
    panic = worker.begin(lambda: fail(Panic("native")))
    assert worker.begin(lambda: 7).result(10).value == 7
    with pytest.raises(KeyError):
        usual.result()
    with pytest.raises(RuntimeError, match="it ended by StopIteration"):
        stop.result()
    with pytest.raises(RuntimeError, match="it ended by Panic: native"):
        panic.result()


def test_what_is_canceled_in_time_is_never_done() -> None:
    worker, go, done = Worker("w"), threading.Event(), []
    entered = threading.Event()

    def wait() -> None:
        entered.set()
        assert go.wait(20)

    first = worker.begin(wait)
    second = worker.begin(lambda: done.append(2))
    assert entered.wait(20)
    assert second.cancel() and not first.cancel()
    go.set()
    worker.begin(lambda: done.append(3)).result(10)
    assert done == [3]


def test_the_thread_ends_with_the_worker() -> None:
    worker = Worker("w")
    thread = worker.begin(threading.current_thread).result(10).value
    assert isinstance(thread, threading.Thread) and thread.daemon
    gone = weakref.ref(worker)
    del worker
    gc.collect()
    assert gone() is None
    thread.join(10)
    assert not thread.is_alive()


HANGS = """
import threading
from tenfold_serve.worker import Worker
entered = threading.Event()
def hang():
    entered.set()
    threading.Event().wait()
worker = Worker("hangs")
worker.begin(hang)
assert entered.wait(20)
"""


def test_an_interpreter_does_not_wait_for_work_that_hangs() -> None:
    assert subprocess.run([sys.executable, "-c", HANGS], timeout=60, check=False).returncode == 0
