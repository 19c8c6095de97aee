"""What a client keeps: its connection, and its key while another takes its place.

Three minutes, most of them of a connection on which nothing happens.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from tenfold.state import Keys
from tests.faults.served import ROWS, Clients, Served, served
from tests.tenfold_serve.test_keeper_e2e import eventually

pytestmark = pytest.mark.slow

KEPT_S = 75
"""As the guide says."""
OVERLAP_S = 10.0
ENDS_S = 2.0
"""Within which a running endpoint refuses a key that has ended."""
HEAD = b"POST /mixed/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Served]:
    """One for each: with its first key an endpoint closes for good."""
    with served(tmp_path) as found:
        yield found


def ask(client: socket.socket) -> bytes:
    body = orjson.dumps({"rows": ROWS[:1]})
    client.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    answer = b""
    while not answer.endswith(b"}"):  # head and body come in one packet; nobody promises that
        part = client.recv(65536)
        assert part, answer
        answer += part
    return answer


def test_a_connection_is_kept_without_a_request_and_closed_in_the_end(up: Served) -> None:
    with socket.create_connection(("127.0.0.1", up.port), timeout=KEPT_S + 15) as client:
        assert ask(client).startswith(b"HTTP/1.1 200")
        time.sleep(KEPT_S - 5)  # what is tested is that nothing happens
        assert ask(client).startswith(b"HTTP/1.1 200")
        began = time.monotonic()
        assert client.recv(65536) == b""
        assert KEPT_S - 1 <= time.monotonic() - began <= KEPT_S + 5


def test_a_key_is_rotated_under_load_and_nobody_fails_within_the_overlap(up: Served) -> None:
    """S3."""
    keys = Keys(up.registry.state.engine)
    first, text = keys.add("mixed", ["predict"])
    eventually(lambda: up.ask().status_code == 401, within_s=10)
    old = Clients(up.port, ROWS[:2], key=text)
    with old.asking():
        old.wait_for(lambda: len(old.all) > 200, within_s=30)
        rotated = time.monotonic()
        _, text = keys.rotate("mixed", first.id, overlap_s=OVERLAP_S)
        new = Clients(up.port, ROWS[:2], key=text)
        eventually(lambda: asked_with(up, text) == 200, within_s=ENDS_S)
        with new.asking():
            ended = eventually(lambda: old.statuses()[401], within_s=OVERLAP_S + 10)
            so_far = len(new.all)
            new.wait_for(lambda: len(new.all) > so_far + 200, within_s=30)
    refused = min(one.sent_s for one in old.failures()) - rotated
    print(f"the old one ended {refused:.1f} s after the new one was made, {ended:.1f} s waited")
    assert OVERLAP_S - 0.5 <= refused <= OVERLAP_S + ENDS_S + 0.5
    assert {one.status for one in old.failures()} == {401}
    assert all(one.status == 401 for one in old.all if one.sent_s > rotated + refused + ENDS_S)
    assert new.failures() == []


def asked_with(up: Served, key: str) -> int:
    one = Clients(up.port, ROWS[:1], n_clients=1, key=key)
    with one.asking():
        pass
    return one.all[-1].status
