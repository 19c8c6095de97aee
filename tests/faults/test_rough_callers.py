"""Callers that break off, trickle, lie, flood; a spool that hangs. One replica behind HAProxy.

The invariants are read from well-behaved clients' own journals. Three minutes on two cores.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import orjson
import pytest

from tenfold.testing.mixed import mixed_schema
from tenfold_serve.haproxy import MAX_ONGOING, MAX_PARTLY
from tenfold_serve.spool import segment_name, segments, spool_folder
from tests.faults.served import ROWS, Clients, Served, Told, quantile_ms, served
from tests.tenfold_serve.doors.through import ARROW, arrow_table, stream
from tests.tenfold_serve.support import board_with
from tests.tenfold_serve.test_keeper_e2e import eventually

pytestmark = pytest.mark.slow

CALM_MS = 15.0
"""A floor under quantiles that are compared: below it they are the scheduler's."""
HEAD = b"POST /mixed/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
GOOD = orjson.dumps({"rows": ROWS[:2]})


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("rough"), max_body_bytes=1024 * 1024) as found:
        yield found


@pytest.fixture(scope="module")
def batching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Its model is one of which rows together cost less than alone."""
    with served(tmp_path_factory.mktemp("batching"), engine="xgboost") as found:
        (arm,) = board_with(found.registry.require("mixed", 1)).lineup.arms
        assert arm.batched
        yield found


def connect(up: Served) -> socket.socket:
    return socket.create_connection(("127.0.0.1", up.port), timeout=30)


def handles(up: Served) -> int:
    """Open files of the replica and of HAProxy: what a caller that is gone must not keep."""
    pids = up.pids("ray::ServeReplica") + up.pids("bin/haproxy -db")
    return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids)


def resident_mb(up: Served) -> float:
    pids = up.pids("ray::ServeReplica") + up.pids("bin/haproxy -db")
    pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20


def p99_ms(journal: Sequence[Told]) -> float:
    """The middle one of three thirds of the time: a pause of the machine makes one of them slow."""
    first, last = (pick(one.sent_s for one in journal) for pick in (min, max))
    thirds: list[list[Told]] = [[], [], []]
    for one in journal:
        thirds[min(2, int(3 * (one.sent_s - first) / (last - first)))].append(one)
    return sorted(quantile_ms(third, 0.99) for third in thirds)[1]


def hurts_nobody(beside: Sequence[Told], alone: Sequence[Told]) -> None:
    told = f"99th percentile {p99_ms(beside):.1f} ms, alone {p99_ms(alone):.1f} ms"
    print(told)
    assert p99_ms(beside) <= 2 * max(p99_ms(alone), CALM_MS), told


def calm(up: Served, n_answers: int = 400, **clients: float) -> Clients:
    found = Clients(up.port, ROWS[:2], **clients)  # type: ignore[arg-type]
    with found.asking():
        found.wait_for(lambda: len(found.all) >= n_answers, within_s=60)
    assert found.failures() == []
    return found


def read_all(client: socket.socket) -> bytes:
    data = b""
    with suppress(OSError):
        while part := client.recv(65536):
            data += part
    return data


def test_a_spool_that_hangs_and_fails_costs_the_log_and_is_counted_to_the_row(up: Served) -> None:
    """F19: one segment hangs for three seconds, of the next half fail.

    What was answered is in the log or counted as dropped, each row once.
    """
    before = calm(up)
    folder = spool_folder(up.settings.live, "mixed")
    answered = len(before.all) * 2
    clients = Clients(up.port, ROWS[:2])

    def newest() -> tuple[str, int] | None:
        found = segments(folder, "predictions")
        return (found[-1].app, found[-1].number) if found else None

    with clients.asking():
        known: list[tuple[str, int]] = []

        def seen() -> bool:
            one = newest()
            known.extend([one] if one else [])
            return bool(known)

        eventually(seen, within_s=20)
        app, number = known[0]
        names = [f".{segment_name('predictions', app, number + k)}.tmp" for k in (3, 5, 7, 9)]
        os.mkfifo(folder / names[0])  # who opens it to write waits for somebody who reads
        for name in names[1:]:
            (folder / name).mkdir()
        so_far = len(clients.all)
        clients.wait_for(lambda: len(clients.all) > so_far + 100, within_s=20)
        began = time.monotonic()
        time.sleep(6)  # the fault itself: three seconds until it hangs, three that it hangs
        meanwhile = [one for one in clients.all if one.sent_s > began]
        with (folder / names[0]).open("rb") as reader:
            reader.read(1)
        clients.wait_for(lambda: newest_number(up, app) > number + 9, within_s=60)
    for name in names[1:]:
        with suppress(FileNotFoundError):
            (folder / name).rmdir()
    assert clients.failures() == []
    assert max(one.seconds for one in meanwhile) < 1  # it hung for three
    hurts_nobody(meanwhile, before.all)
    answered += 2 * len(clients.all)

    eventually(lambda: up.logged_rows() + up.dropped_rows() >= answered, within_s=30)
    assert up.logged_rows() + up.dropped_rows() == answered
    assert up.dropped_rows() > 0


def newest_number(up: Served, app: str) -> int:
    found = segments(spool_folder(up.settings.live, "mixed"), "predictions")
    return max((one.number for one in found if one.app == app), default=0)


def malformed(seed: int) -> Iterator[tuple[str, bytes, bytes]]:
    """Path, kind and body of requests that must be refused."""
    chance = random.Random(seed)
    arrow = stream(arrow_table(mixed_schema(), ROWS[:2]))
    infer = "/mixed/v2/models/mixed/infer"
    while True:
        cut = chance.randrange(1, len(GOOD))
        yield "/mixed/predict", b"application/json", GOOD[:cut]
        yield "/mixed/predict", b"application/json", b"[" * 5000
        yield "/mixed/predict", b"application/json", b'{"rows": [{"age": NaN}]}'
        yield "/mixed/predict", b"application/json", b'{"rows": [{"age": 1e400}]}'
        yield "/mixed/predict", ARROW, arrow[: chance.randrange(8, len(arrow) - 20)]
        yield "/mixed/predict", b"application/x-python-pickle", b"\x80\x04cos\nsystem\n."
        yield infer, b"application/json", b'{"inputs": [{"name": "age", "shape": [-1]}]}'
        yield infer, b"application/octet-stream", chance.randbytes(200)
        yield "/mixed/feedback", b"application/json", b'{"labels": [{"id": "x"}], "more": 1}'


def test_a_flood_of_malformed_requests_hurts_no_good_one(up: Served) -> None:
    """F25: nine of ten are refused; none with a 5xx."""
    before = calm(up, n_clients=10)
    stop = threading.Event()
    seen: list[set[int]] = [set() for _ in range(9)]

    def flood(statuses: set[int], seed: int) -> None:
        line = http.client.HTTPConnection("127.0.0.1", up.port, timeout=30)
        for path, kind, body in malformed(seed):
            if stop.is_set():
                break
            try:
                line.request("POST", path, body, {"content-type": kind.decode()})
                answer = line.getresponse()
                answer.read()
                statuses.add(answer.status)
            except (OSError, http.client.HTTPException):
                line.close()  # it was told to go away
        line.close()

    threads = [
        threading.Thread(target=flood, args=(statuses, seed)) for seed, statuses in enumerate(seen)
    ]
    clients = Clients(up.port, ROWS[:2], n_clients=1)
    with clients.asking():
        for thread in threads:
            thread.start()
        clients.wait_for(lambda: len(clients.all) >= 300, within_s=90)
        stop.set()
        for thread in threads:
            thread.join()
    assert set().union(*seen) <= {400, 413, 415, 422}, seen
    assert clients.failures() == []
    hurts_nobody(clients.all, before.all)


def test_a_thousand_callers_that_vanish_in_the_middle_leave_nothing(up: Served) -> None:
    """F27: in the head, in the body, and right after it.

    First as many as have a place in the replica or may wait for one ask for a thousand rows each,
    so that the count of those in flight is seen to move; they are gone before their answers.
    """
    calm(up)
    long = orjson.dumps({"rows": ROWS * 10})
    with ExitStack() as stack:
        for _ in range(400):
            client = stack.enter_context(connect(up))
            with suppress(OSError):  # it may be answered 429 and closed while it is sent
                client.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(long) + long)
        most = max(up.in_flight() for _ in range(20))
    print(f"{most} in flight")
    assert most > MAX_ONGOING
    eventually(lambda: up.in_flight() == 0, within_s=20)
    before = handles(up)
    body = b"Content-Length: %d\r\n\r\n" % len(GOOD)
    for number in range(1000):
        with connect(up) as client:
            client.sendall((HEAD + body + GOOD)[: (30, 200, None)[number % 3]])
            if number % 2:  # a reset instead of an end
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    eventually(lambda: up.in_flight() == 0, within_s=20)
    eventually(lambda: handles(up) <= before + 8, within_s=40)
    calm(up)


@pytest.mark.parametrize("endpoint", ["up", "batching"])
def test_a_caller_that_cancels_changes_no_answer_of_others(
    endpoint: str, request: pytest.FixtureRequest
) -> None:
    """F28: half of all requests are given up while they wait, also inside a batch; each answer is
    its own rows'."""
    up = request.getfixturevalue(endpoint)
    right = {}
    for place in range(20):
        reply = httpx.post(f"{up.url}/predict", json={"rows": ROWS[place : place + 1]})
        right[place] = [list(p["probabilities"].values()) for p in reply.json()["predictions"]]
    assert len({str(scores) for scores in right.values()}) > 5
    stop = threading.Event()

    def cancel() -> None:
        body = orjson.dumps({"rows": ROWS[50:80]})
        while not stop.is_set():
            with connect(up) as client:
                client.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    threads = [threading.Thread(target=cancel) for _ in range(4)]
    clients = [Clients(up.port, ROWS[place : place + 1], n_clients=1) for place in range(20)]
    with ExitStack() as stack:
        for one in clients:
            stack.enter_context(one.asking())
        for thread in threads:
            thread.start()
        eventually(lambda: sum(len(one.all) for one in clients) > 2000, within_s=90)
        stop.set()
        for thread in threads:
            thread.join()
    for place, one in enumerate(clients):
        assert one.failures() == []
        assert {str(told.scores) for told in one.all} == {str(right[place])}


def test_a_gigabyte_without_a_length_is_cut_at_the_limit(up: Served) -> None:
    """S16: by HAProxy and the replica together; memory stays."""
    calm(up)
    before = resident_mb(up)
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    with connect(up) as client:
        client.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        sent = 0
        with suppress(BrokenPipeError, ConnectionResetError):
            while sent < 2**30:
                client.sendall(chunk)
                sent += len(chunk)
        answer = read_all(client)
    assert answer.startswith(b"HTTP/1.1 413") or not answer, answer[:300]
    assert sent < 2**29
    assert resident_mb(up) - before < 50
    with connect(up) as client:  # two megabytes are read to their end, so the answer is seen
        client.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(32):
            client.sendall(chunk)
        client.sendall(b"0\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 413")
    calm(up)


def test_five_hundred_that_trickle_slow_nobody(up: Served) -> None:
    """S19: half stop in the head, half in the body, and each sends one more byte a second."""
    alone = calm(up)
    with ExitStack() as stack:
        slow = []
        for number in range(500):
            client = stack.enter_context(connect(up))
            client.sendall(HEAD + (b"Content-Length: 90\r\n\r\n{" if number % 2 else b"X-A: "))
            slow.append(client)
        beside = Clients(up.port, ROWS[:2])
        with beside.asking():
            for _ in range(4):
                so_far = len(beside.all)
                for client in slow:
                    with suppress(OSError):
                        client.sendall(b" ")
                beside.wait_for(lambda: len(beside.all) > so_far + 200, within_s=60)  # noqa: B023
    assert beside.failures() == []
    hurts_nobody(beside.all, alone.all)


def test_bodies_of_which_a_part_comes_slow_nobody(up: Served) -> None:
    """Twice as many as a replica has places, each with more than HAProxy holds, and no more of it.
    They are told after some seconds."""
    alone = calm(up)
    beside = Clients(up.port, ROWS[:2])
    with beside.asking():
        for _ in range(3):
            with ExitStack() as stack:
                half = [stack.enter_context(connect(up)) for _ in range(2 * MAX_ONGOING)]
                for client in half:
                    client.sendall(HEAD + b"Content-Length: 100000\r\n\r\n" + b" " * 17_500)
                answers = Counter(client.recv(65536)[:12] for client in half)
                print(answers)
                assert set(answers) <= {b"HTTP/1.1 408", b"HTTP/1.1 503"}
                assert answers[b"HTTP/1.1 408"] >= MAX_PARTLY
    assert beside.failures() == []
    hurts_nobody(beside.all, alone.all)


INNER = b"GET /mixed/healthz HTTP/1.1\r\nHost: smuggled\r\n\r\n"
CHUNKED = b"0\r\n\r\n" + INNER
SMUGGLED = {
    "length and chunks": b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n" % len(CHUNKED),
    "chunks and length": b"Transfer-Encoding: chunked\r\nContent-Length: %d\r\n" % len(CHUNKED),
    "two lengths": b"Content-Length: 5\r\nContent-Length: %d\r\n" % len(CHUNKED),
    "a list of lengths": b"Content-Length: 5, %d\r\n" % len(CHUNKED),
    "a length with a sign": b"Content-Length: +%d\r\n" % len(CHUNKED),
    "a negative length": b"Content-Length: -1\r\n",
    "a space before the colon": b"Transfer-Encoding : chunked\r\nContent-Length: 5\r\n",
    "a folded header": b"X-A: b\r\n Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    "chunks by another name": b"Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n",
    "chunked twice": b"Transfer-Encoding: chunked, chunked\r\n",
    "chunked, then not": b"Transfer-Encoding: chunked, identity\r\nContent-Length: 5\r\n",
    "a bare line feed": b"Content-Length: 5\nTransfer-Encoding: chunked\r\n",
    "a bare carriage return": b"X-A: b\rTransfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    "a zero byte": b"X-A: \x00\r\nContent-Length: 5\r\n",
}


@pytest.mark.parametrize("how", SMUGGLED)
def test_a_smuggled_request_is_refused_and_never_answered(up: Served, how: str) -> None:
    """S20: at most one answer, no 5xx, and whoever comes next gets their own."""
    with connect(up) as client:
        client.sendall(HEAD + SMUGGLED[how] + b"\r\n" + CHUNKED)
        client.shutdown(socket.SHUT_WR)
        answer = read_all(client)
    statuses = re.findall(rb"HTTP/1\.[01] (\d+)", answer)
    assert len(statuses) <= 1, answer
    assert set(statuses) <= {b"400", b"415", b"501"}, answer
    assert b'"status":"ok"' not in answer
    for told in calm(up, 60).all:
        assert told.scores is not None and len(told.scores) == 2


def test_chunks_that_lie_end_the_request(up: Served) -> None:
    lies = (
        b"fffffffffffffffff\r\nx",
        b"-1\r\nx",
        b"2\r\nxxxx\r\n0\r\n\r\n",
        b"\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"5;a=\x00\r\nhello\r\n0\r\n\r\n",
    )
    for chunks in lies:
        with connect(up) as client:
            client.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + INNER)
            client.shutdown(socket.SHUT_WR)
            statuses = re.findall(rb"HTTP/1\.[01] (\d+)", read_all(client))
        assert len(statuses) <= 1 and set(statuses) <= {b"400", b"413"}, (chunks, statuses)
    calm(up)


def test_a_pipeline_is_answered_in_its_order(up: Served) -> None:
    """What HAProxy allows, so that answers are each their own request's.

    Who closes the sending side is gone for HAProxy (``option abortonclose``, of Ray's template): it
    frees the place of callers that gave up, and answers 400 to one that only says that it is done.
    """
    bodies = [orjson.dumps({"rows": ROWS[:n]}) for n in (1, 3, 2)]
    heads = (HEAD, HEAD, HEAD + b"Connection: close\r\n")
    whole = b"".join(
        head + b"Content-Length: %d\r\n\r\n" % len(b) + b
        for head, b in zip(heads, bodies, strict=True)
    )
    with connect(up) as client:
        client.sendall(whole)
        parts = read_all(client).split(b"HTTP/1.1 ")[1:]
    found = [len(json.loads(part.partition(b"\r\n\r\n")[2])["predictions"]) for part in parts]
    assert found == [1, 3, 2]
