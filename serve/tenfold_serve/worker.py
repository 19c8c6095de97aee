"""One thread for work that may never return: a call of a model, a question to another process.

Not an executor of the standard library: those wait for their threads when the interpreter ends, and
one thread that hangs in native code would keep a replica from going.
"""

from __future__ import annotations

import queue
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import NamedTuple, TypeVar

__all__ = ["Done", "Worker"]

T = TypeVar("T")


class Done(NamedTuple):
    """What work came to.

    Attributes:
        value: that it returned.
        seconds: that it took, waiting for its turn left out.
        cpu_s: of them, those of a processor; the others it waited, for Python's lock above all.
    """

    value: object
    seconds: float
    cpu_s: float


class _Task(NamedTuple):
    work: Callable[[], object]
    found: Future[Done]


_Tasks = queue.SimpleQueue[_Task | None]


class Worker:
    """Does one thing after the other. Any thread hands work over; the thread starts with the first.

    It ends when nobody holds the worker any more and its last work has returned; the interpreter
    does not wait for it.

    Args:
        name: of the thread, for people.

    >>> Worker("adder").begin(lambda: 1 + 1).result().value
    2
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: _Tasks = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def begin(self, work: Callable[[], object]) -> Future[Done]:
        """Hand work over. Never waits.

        Args:
            work: called once, in the thread.

        Returns:
            Of the work. It may be canceled until it begins. What the work raises stands in it; what
            is no `Exception`, such as a panic of native code, as a `RuntimeError`.
        """
        if self._thread is None:
            # It holds the queue and not this object, or nobody would ever let go of it.
            self._thread = threading.Thread(
                target=_run, args=(self._tasks,), name=self._name, daemon=True
            )
            self._thread.start()
            weakref.finalize(self, self._tasks.put, None)
        found: Future[Done] = Future()
        self._tasks.put(_Task(work, found))
        return found


def _run(tasks: _Tasks) -> None:
    while (task := tasks.get()) is not None:
        _do(task)
        del task  # what it holds may hold the worker


def _do(task: _Task) -> None:
    if not task.found.set_running_or_notify_cancel():
        return
    began, cpu_began = time.perf_counter(), time.thread_time()
    try:
        value = task.work()
    except BaseException as error:  # noqa: BLE001  (a thread that ended would answer nobody)
        usual = isinstance(error, Exception) and not isinstance(error, StopIteration)
        task.found.set_exception(
            error if usual else RuntimeError(f"it ended by {type(error).__name__}: {error}")
        )
    else:
        cpu_s = time.thread_time() - cpu_began
        task.found.set_result(Done(value, time.perf_counter() - began, cpu_s))
