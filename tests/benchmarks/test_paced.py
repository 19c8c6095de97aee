"""The open-loop client charges a stall to everybody who was due meanwhile."""

from __future__ import annotations

import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def answering(*, stall_at: int = -1, stall_s: float = 0.0, status: str = "200 OK") -> Iterator[str]:
    """A server that answers every request at once, but for one at which all of it stalls."""
    lock, counted = threading.Lock(), iter(range(10**9))

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
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
                self.wfile.write(f"HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nok".encode())

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
    with answering(stall_at=20, stall_s=0.5) as url:
        journal, _late = paced.run(url, b"{}", rate=100, seconds=1.0, n_lines=2)
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
