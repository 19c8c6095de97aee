"""The open-loop client charges a stall to everybody who was due meanwhile."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType

import pytest


@contextmanager
def answering(
    *,
    stall_at: int = -1,
    stall_s: float = 0.0,
    status: str = "200 OK",
    head: str = "",
    size: int = 2,
    idle_s: float | None = None,
) -> Iterator[str]:
    """A server that answers every request at once, but for one at which all of it stalls; it hangs
    up on who asks nothing for ``idle_s``, and after an answer with ``head`` "Connection: close"."""
    lock, counted = threading.Lock(), iter(range(10**9))

    class Handler(socketserver.StreamRequestHandler):
        timeout = idle_s

        def handle(self) -> None:
            with suppress(TimeoutError, ConnectionError):
                self._answer()

        def _answer(self) -> None:
            while line := self.rfile.readline():
                while line.strip():
                    name, _, value = line.partition(b":")
                    if name.lower() == b"content-length":
                        length = int(value)
                    line = self.rfile.readline()
                self.rfile.read(length)
                with lock:
                    if next(counted) == stall_at:
                        time.sleep(stall_s)
                whole = f"HTTP/1.1 {status}\r\n{head}Content-Length: {size}\r\n\r\n{'x' * size}"
                self.wfile.write(whole.encode())
                if head:
                    break

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/predict"
        finally:
            server.shutdown()
            thread.join()


def test_requests_that_were_due_during_a_stall_count_from_when_they_were_due(
    paced: ModuleType,
) -> None:
    began = time.monotonic()
    with answering(stall_at=20, stall_s=0.5) as url:
        journal, _late = paced.run(url, b"{}", rate=100, seconds=1.0, n_lines=2)
    dues = sorted(one.due_s for one in journal)
    assert began < dues[0] and dues[-1] < time.monotonic()
    assert dues[-1] - dues[0] == pytest.approx(0.99)
    assert {one.status for one in journal} == {200} and len(journal) == 100
    latencies = [one.latency_s for one in journal]
    assert 450 < paced.at(latencies, 1.0) < 5000
    # Fifty of a hundred were due while two lines were stuck: half of them waited 250 ms and more.
    assert paced.at(latencies, 0.8) > 200


def test_other_answers_and_broken_connections_are_told(paced: ModuleType) -> None:
    with answering(status="503 Service Unavailable") as url:
        journal, _late = paced.run(url, b"{}", rate=200, seconds=0.2, n_lines=4)
    assert [one.status for one in journal] == [503] * 40
    with answering(status="") as url:  # no such line: the client hangs up
        journal, _late = paced.run(url, b"{}", rate=50, seconds=0.1, n_lines=4)
    assert [one.status for one in journal] == [0] * 5
    assert paced.at([], 0.5) is None


def test_who_was_not_answered_in_time_is_in_the_journal_too(paced: ModuleType) -> None:
    with answering(stall_at=0, stall_s=1.0) as url:
        journal, late = paced.run(url, b"{}", rate=100, seconds=0.3, n_lines=2, patience_s=0.0)
    assert [one.status for one in journal] == [0] * len(journal)
    assert 25 <= len(journal) <= 30 and late < 0.1
    asked = [one for one in journal if one.sent_s]
    assert len(asked) == 2 and all(one.latency_s >= one.sent_s > 0.2 for one in asked)


def test_an_answer_that_does_not_say_how_long_it_is_ends_it(paced: ModuleType) -> None:
    with answering(head="X: y\r\n\r\n") as url, pytest.raises(RuntimeError, match="Content-Length"):
        paced.run(url, b"{}", rate=10, seconds=0.5, n_lines=1)


def test_an_answer_of_many_packets_counts_once_it_is_whole(paced: ModuleType) -> None:
    with answering(size=3_000_000) as url:
        journal, _late = paced.run(url, b"{}", rate=50, seconds=0.2, n_lines=2)
    assert [one.status for one in journal] == [200] * 10


def test_a_connection_that_the_server_closes_is_opened_again(paced: ModuleType) -> None:
    with answering(head="Connection: close\r\n") as url:
        journal, _late = paced.run(url, b"{}", rate=200, seconds=0.2, n_lines=4)
    assert [one.status for one in journal] == [200] * 40
    # Who is idle between two requests is hung up on, and that is no failure of theirs.
    with answering(idle_s=0.07) as url:
        journal, _late = paced.run(url, b"{}", rate=5, seconds=1, n_lines=4)
    assert [one.status for one in journal] == [200] * 5


def test_nobody_there_is_said(paced: ModuleType) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and never listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/predict"
        with pytest.raises(RuntimeError, match="Connection refused"):
            paced.run(url, b"{}", rate=10, seconds=1, n_lines=1)
