"""Questions to an aggregator that may hang: nobody waits for long, and nothing is asked twice.

The supervisor asks a dozen things a second, in one thread that also follows the registry. While one
question is open the others are refused at once, so an aggregator that hangs costs a round of the
supervisor one wait and the next rounds none, until the question has its answer or its own end.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from tenfold.errors import ClusterError
from tenfold.monitor import Label
from tenfold_serve.logged import LoggedPredictions
from tenfold_serve.worker import Done, Worker

if TYPE_CHECKING:
    from tenfold_serve.supervisor import AggregatorClient

__all__ = ["WAIT_S", "Asking", "NoAnswer"]

log = logging.getLogger("tenfold.serve")

WAIT_S: Final = 3.0
"""Answers take milliseconds; the longest, an index filled again after a restart, goes on behind."""


class NoAnswer(ClusterError):
    """The aggregator says nothing."""


class Asking:
    """An `AggregatorClient` whose every call returns or raises within some seconds.

    One thread calls it. Rows that were fed and came through after all are not fed again: whoever
    asks for the same gets the answer that came late.

    Args:
        aggregator: that may hang.
        wait_s: how long a call may take.
    """

    def __init__(self, aggregator: AggregatorClient, *, wait_s: float = WAIT_S) -> None:
        self._aggregator = aggregator
        self._wait_s = wait_s
        self._worker = Worker("asks-aggregator")
        self._open: Future[Done] | None = None
        self._fed: tuple[tuple[object, ...], Future[Done]] | None = None
        self._told = False

    def watch(self, project: str, version: int) -> None:
        """See `AggregatorClient.watch`."""
        self._ask("watch", project, version)

    def snapshot(self, project: str) -> dict[str, Any]:
        """See `AggregatorClient.snapshot`."""
        return cast("dict[str, Any]", self._ask("snapshot", project))

    def arms(self, project: str) -> dict[str, Any]:
        """See `AggregatorClient.arms`."""
        return cast("dict[str, Any]", self._ask("arms", project))

    def tell(self, project: str, facts: Mapping[str, Any]) -> None:
        """See `AggregatorClient.tell`."""
        self._ask("tell", project, facts)

    def needs_rebuild(self, project: str) -> bool:
        """See `LogReader.needs_rebuild`."""
        return bool(self._ask("needs_rebuild", project))

    def rebuild(
        self, project: str, predictions: LoggedPredictions, labels: Sequence[Label]
    ) -> None:
        """See `LogReader.rebuild`."""
        self._ask("rebuild", project, predictions, labels)

    def feed(
        self, project: str, predictions: LoggedPredictions, labels: Sequence[Label]
    ) -> dict[str, int]:
        """See `LogReader.feed`."""
        asked = project, predictions, labels
        found, self._fed = self._fed, None
        if found is not None and all(a is b for a, b in zip(found[0], asked, strict=True)):
            answer = found[1]
        else:
            answer = self._begin("feed", *asked)
        try:
            return cast("dict[str, int]", self._wait(answer))
        except NoAnswer:
            self._fed = asked, answer
            raise

    def _ask(self, name: str, *arguments: object) -> object:
        return self._wait(self._begin(name, *arguments))

    def _begin(self, name: str, *arguments: object) -> Future[Done]:
        if self._open is not None and not self._open.done():
            raise self._no_answer()
        self._open = self._worker.begin(partial(getattr(self._aggregator, name), *arguments))
        return self._open

    def _wait(self, answer: Future[Done]) -> object:
        try:
            found = answer.result(self._wait_s).value
        except TimeoutError as error:
            if answer.done():
                raise  # its own
            raise self._no_answer() from error
        if self._told:
            log.info("the aggregator answers again")
        self._told = False
        return found

    def _no_answer(self) -> NoAnswer:
        if not self._told:
            log.warning("the aggregator did not answer within %g s: what needs it waits, once told",
                        self._wait_s)  # fmt: skip
        self._told = True
        return NoAnswer(f"the aggregator did not answer within {self._wait_s:g} s")
