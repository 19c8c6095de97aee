"""Lines are JSON, hold no value and no key, and a flood of refusals is no flood of lines."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tenfold.settings import Settings
from tenfold.state import Keys, open_state
from tenfold.state.keys import split_key
from tenfold_serve.access import Access, KeyReader
from tenfold_serve.arms import ArmBoard
from tenfold_serve.logs import JsonFormatter, RequestLog, log_as_json
from tenfold_serve.request_ids import RequestIds
from tests.tenfold_serve.support import Publish, Rig, board_with, rows


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What the endpoint's logger writes during a test."""
    logger = logging.getLogger("tenfold.serve")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.DEBUG)
    yield stream
    logger.removeHandler(handler)
    logger.setLevel(level)


def test_values_keys_and_control_characters_reach_no_line_and_no_metric(
    tmp_path: Path, publish: Publish, settings: Settings, lines: io.StringIO
) -> None:
    keys = Keys(open_state(settings).engine)
    _, text = keys.add("mixed", ["predict", "feedback", "operate"])
    access = Access(KeyReader(settings, "mixed"))
    access.refresh()
    rig = Rig(tmp_path / "live", board_with(publish()), access=access)
    canary = "CANARY-7261"
    headers = [(b"authorization", f"Bearer {text}".encode())]
    bad = rows(1)[0] | {"age": canary, canary: 1}
    for path, body in (
        ("/predict", {"rows": [bad]}),
        ("/predict", {"columns": {"age": [canary]}}),
        ("/predict", canary.encode()),
        ("/feedback", {"labels": [{"id": canary, "label": canary}], canary: 1}),
        ("/v2/models/mixed/infer", {"inputs": [{"name": canary, "data": [canary]}]}),
        (f"/{canary}\r\nfake line\x1b[31m", {}),
        (f"/predict?with={canary}", {"rows": [bad]}),
    ):
        more = [(b"x-request-id", f"{canary}\r\nx".encode()), (b"x-tenfold-key", canary.encode())]
        reply = rig.ask("POST", path, body, headers=[*headers, *more])
        assert 400 <= reply.status < 500
        assert b"\r" not in reply.headers[b"x-request-id"]
    rig.ask("POST", "/predict", {}, headers=[(b"authorization", b"Bearer " + canary.encode())])
    rig.recorder.flush()
    written = lines.getvalue()
    assert canary not in written
    assert text not in written
    assert split_key(text)[1] not in written
    told = [json.loads(line) for line in written.splitlines()]
    assert {line["message"] for line in told} == {"refused"}
    assert {line["route"] for line in told} >= {"/predict", "/feedback", "unknown"}
    assert canary not in repr(rig.reports)
    rig.labels.close()


class FailingBoard(ArmBoard):
    """A board that fails with a value in its message."""

    def __getattribute__(self, name: str) -> object:
        if name == "lineup":
            raise RuntimeError("CANARY-secret")
        return super().__getattribute__(name)


def test_a_failure_is_told_by_type_and_place_and_not_by_its_message(
    tmp_path: Path, lines: io.StringIO
) -> None:
    rig = Rig(tmp_path / "live", FailingBoard())
    reply = rig.ask("POST", "/predict", {"rows": [{}]}, headers=[(b"x-request-id", b"order-7")])
    assert (reply.status, reply.json()["error"]["law"]) == (500, "internal")
    assert b"CANARY" not in reply.body
    assert reply.headers[b"x-request-id"] == b"order-7"
    line = json.loads(lines.getvalue())
    assert (line["fault"], line["request_id"], line["route"]) == (
        "RuntimeError", "order-7", "/predict",
    )  # fmt: skip
    assert any("scoring.py" in frame for frame in line["frames"])
    assert "CANARY" not in lines.getvalue()
    rig.labels.close()


def test_a_flood_is_counted_and_not_written(lines: io.StringIO) -> None:
    told = RequestLog(lines_per_s=5.0)
    for _ in range(1000):
        told.refused("/predict", 400, law="json", request_id=b"r", seconds=0.0)
    written = lines.getvalue().splitlines()
    assert 5 <= len(written) <= 8
    assert set(json.loads(written[0])) == {
        "at", "level", "message", "request_id", "route", "status", "law", "ms",
    }  # fmt: skip


def test_a_logger_gets_one_handler() -> None:
    name = "tenfold.serve.test"
    log_as_json(name)
    log_as_json(name)
    assert len(logging.getLogger(name).handlers) == 1


@pytest.mark.parametrize(
    "given", [b"", b"a b", b"a\r\nb", b"\x1b[31m", b"x" * 129, "\u00e9".encode(), b'"', b"<"]
)
def test_ids_that_are_not_safe_are_replaced(given: bytes) -> None:
    ids = RequestIds()
    assert ids.of({b"x-request-id": given}) != given
    assert ids.of({b"x-request-id": b"x" * 128}) == b"x" * 128
    assert ids.of({}) != ids.of({})
