from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tenfold.schema import Schema
from tenfold_serve.arms import ArmBoard, Lineup
from tenfold_serve.spool import read_frames, segments
from tests.tenfold_serve.support import IDS, LIMITS, Publish, Rig, board_with, call, config_of, rows


class BrokenBoard(ArmBoard):
    """A board that fails in a way nobody foresaw."""

    def __init__(self) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("a secret detail")


@pytest.fixture
def rig(tmp_path: Path, publish: Publish) -> Iterator[Rig]:
    made = Rig(tmp_path / "live", board_with(publish()))
    yield made
    made.labels.close()


def test_predictions_carry_id_model_version_and_digest(rig: Rig) -> None:
    reply = rig.ask("POST", "/predict", {"rows": rows(3)})
    assert reply.status == 200
    answer = reply.json()
    arm = rig.board.lineup.arms[0]
    assert {k: answer[k] for k in ("model", "version", "digest", "arm")} == {
        "model": "mixed",
        "version": arm.version,
        "digest": arm.digest,
        "arm": "champion",
    }
    assert len(answer["predictions"]) == 3
    for item in answer["predictions"]:
        assert IDS.check(item["id"])
        assert item["value"] in {"no", "yes"}
        assert set(item["probabilities"]) == {"no", "yes"}
        assert abs(sum(item["probabilities"].values()) - 1) < 1e-6


def test_an_answer_is_the_predictors_own_and_is_recorded(rig: Rig) -> None:
    answer = rig.ask("POST", "/predict", {"rows": rows(5)}).json()
    direct = rig.board.lineup.arms[0].predictor.predict_rows(rows(5))
    assert [item["value"] for item in answer["predictions"]] == direct.values
    rig.recorder.flush()
    (report,) = rig.reports
    assert report.counts[0].n_rows == 5
    assert report.requests["statuses"] == {"200": 1}
    assert len(segments(rig.folder, "predictions")) == 1


@pytest.mark.parametrize(
    ("body", "law", "words"),
    [
        (b"", "json", "must be JSON"),
        (b"{", "json", "must be JSON"),
        (b'{"rows": [{"age": NaN}]}', "json", "must be JSON"),
        (b"\xff\xfe", "json", "must be JSON"),
        (b"[" * 500, "json", "must be JSON"),
        (b"[]", "form", 'must be {"rows"'),
        (b'{"rows": []}', "form", "at least one"),
        (b'{"rows": {}}', "form", "at least one"),
        (b'{"rows": [{}], "more": 1}', "form", 'must be {"rows"'),
        (orjson.dumps({"rows": [{}] * 51}), "rows", "at most 50 rows, not 51"),
        (b'{"rows": [7]}', "request", "row 0"),
    ],
)
def test_what_is_no_request_is_refused_with_its_law(
    rig: Rig, body: bytes, law: str, words: str
) -> None:
    reply = rig.ask("POST", "/predict", body)
    error = reply.json()["error"]
    assert (reply.status, error["law"]) == (400, law)
    assert words in error["message"]


def test_a_bad_cell_is_named_by_row_column_and_reason(rig: Rig) -> None:
    sent = rows(3)
    sent[0]["age"] = "39"
    sent[1]["age"] = "old"
    reply = rig.ask("POST", "/predict", {"rows": sent})
    (item,) = reply.json()["error"]["items"]
    assert reply.status == 400
    assert (item["row"], item["column"]) == (1, "age")
    assert item["reason"] == "'old' is not a whole number; send an integer or null"
    del sent[2]["color"]
    sent[2]["shoe"] = 1
    reply = rig.ask("POST", "/predict", {"rows": sent})
    items = reply.json()["error"]["items"]
    assert [(item["row"], item["column"]) for item in items] == [(2, "color"), (2, "shoe")]


def test_a_large_body_is_refused_and_its_sender_sees_why(rig: Rig) -> None:
    chunk = b"x" * 1_000_000
    held: list[int] = []

    def chunks() -> Iterator[bytes]:
        for _ in range(100):
            held.append(sys.getrefcount(chunk))
            yield chunk

    for headers in ([], [(b"content-length", b"100000000")]):
        reply = rig.run(call(rig.app, "POST", "/predict", chunks(), headers=headers))
        assert (reply.status, reply.json()["error"]["law"]) == (413, "body-size")
        assert reply.headers[b"connection"] == b"close"
    # All was read, so that a client that sends first and reads later gets the answer...
    assert len(held) == 200
    # ...and nothing was kept: a list of chunks would hold one reference more for each.
    assert max(held) < 10


def test_an_encoded_body_is_refused(rig: Rig) -> None:
    reply = rig.ask("POST", "/predict", b"x", headers=[(b"content-encoding", b"gzip")])
    assert (reply.status, reply.json()["error"]["law"]) == (415, "encoding")


def test_unknown_paths_and_methods_say_what_is_there(rig: Rig) -> None:
    assert rig.ask("GET", "/nothing").status == 404
    reply = rig.ask("GET", "/predict")
    assert (reply.status, reply.headers[b"allow"]) == (405, b"POST")


def test_labels_are_durable_when_they_are_acknowledged(rig: Rig) -> None:
    answer = rig.ask("POST", "/predict", {"rows": rows(2)}).json()
    ids = [item["id"] for item in answer["predictions"]]
    labels = [{"id": ids[0], "label": "yes"}, {"id": "no such id", "label": "yes"},
              {"id": ids[1], "label": "maybe"}]  # fmt: skip
    reply = rig.ask("POST", "/feedback", {"labels": labels})
    assert reply.status == 202
    assert reply.json()["accepted"] == 1
    assert [item["status"] for item in reply.json()["items"]] == [
        "accepted", "unknown", "malformed",
    ]  # fmt: skip
    files = [*rig.folder.glob("labels-*.open"), *(s.path for s in segments(rig.folder, "labels"))]
    kept = [
        json.loads(body)["id"] for path in files for body in read_frames(path.read_bytes()).bodies
    ]
    assert kept == [ids[0]]


def test_labels_may_be_classes_of_a_canary_while_it_answers(
    tmp_path: Path, publish: Publish
) -> None:
    board = board_with(publish(0), publish(1), weights=(0.9, 0.1))
    rig = Rig(tmp_path / "live", board)
    canary = board.lineup.arms[1]
    target = canary.schema.target
    assert target is not None and target.domain is not None
    wider = replace(target, domain=(*target.domain, "maybe"))
    columns = [wider if column is target else column for column in canary.schema.columns]
    vars(canary)["schema"] = Schema(tuple(columns))  # as if it had been trained later
    ids = IDS.make(3)
    said = [{"id": i, "label": k} for i, k in zip(ids, ("maybe", "yes", "never"), strict=True)]
    items = rig.ask("POST", "/feedback", {"labels": said}).json()["items"]
    assert [item["status"] for item in items] == ["accepted", "accepted", "malformed"]
    assert "none of the classes no, yes, maybe" in items[2]["reason"]
    board.lineup = Lineup(board.lineup.arms[:1], 2, "", (1.0,))
    (item,) = rig.ask("POST", "/feedback", {"labels": said[:1]}).json()["items"]
    assert item["status"] == "malformed"
    rig.labels.close()


def test_labels_whose_sender_does_not_wait_are_kept_and_the_next_ones_too(
    tmp_path: Path, publish: Publish
) -> None:
    rig = Rig(
        tmp_path / "live", board_with(publish()), limits=replace(LIMITS, feedback_timeout_s=0)
    )
    ids = IDS.make(3)

    def body(one: str) -> bytes:
        return orjson.dumps({"labels": [{"id": one, "label": "yes"}]})

    late = rig.ask("POST", "/feedback", body(ids[0]))
    assert (late.status, late.json()["error"]["law"]) == (503, "store")

    async def go_away() -> None:
        request = asyncio.ensure_future(call(rig.app, "POST", "/feedback", body(ids[1])))
        await asyncio.sleep(0)
        request.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await request

    for _ in range(20):
        asyncio.run(go_away())
    rig.labels.append([{"id": ids[2]}]).result(timeout=10)
    rig.labels.close()
    paths = [segment.path for segment in segments(rig.folder, "labels")]
    kept = {json.loads(b)["id"] for path in paths for b in read_frames(path.read_bytes()).bodies}
    assert kept >= {ids[0], ids[2]}


def test_a_full_disk_refuses_labels_and_predictions_go_on(tmp_path: Path, publish: Publish) -> None:
    rig = Rig(tmp_path / "live", board_with(publish()), broken_log=True)
    answer = rig.ask("POST", "/predict", {"rows": rows(1)}).json()
    label = {"id": answer["predictions"][0]["id"], "label": "yes"}
    reply = rig.ask("POST", "/feedback", {"labels": [label]})
    assert (reply.status, reply.json()["error"]["law"]) == (507, "store")
    assert rig.ask("POST", "/predict", {"rows": rows(1)}).status == 200
    rig.labels.close()


def test_clusters_take_no_labels(tmp_path: Path, publish: Publish) -> None:
    rig = Rig(tmp_path / "live", board_with(publish(family="kmeans")))
    assert rig.ask("POST", "/feedback", {"labels": [{}]}).status == 400
    answer = rig.ask("POST", "/predict", {"rows": rows(1)}).json()
    assert answer["predictions"][0]["value"] in {"0", "1", "2"}
    assert "/feedback" not in rig.ask("GET", "/openapi.json").json()["paths"]
    rig.labels.close()


def test_without_a_model_the_endpoint_lives_and_is_not_ready(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "live", ArmBoard())
    assert rig.ask("GET", "/healthz").status == 200
    ready = rig.ask("GET", "/readyz")
    assert (ready.status, ready.json()["ready"]) == (503, False)
    for method, path in (("POST", "/predict"), ("GET", "/docs"), ("GET", "/openapi.json")):
        reply = rig.ask(method, path, {"rows": [{}]})
        assert (reply.status, reply.json()["error"]["law"]) == (503, "ready")
        assert reply.headers[b"retry-after"] == b"1"
    rig.labels.close()


def test_readyz_shows_why_a_swap_failed(rig: Rig, publish: Publish) -> None:
    second = publish(1)
    (second.path / "preprocess.json").write_text("{}")
    rig.board.change(config_of(second))
    ready = rig.ask("GET", "/readyz")
    assert ready.status == 200
    assert ready.json()["arms"][0]["version"] == 1
    assert "version 2 could not be loaded" in ready.json()["reason"]
    assert "the artifact is damaged" in ready.json()["reason"]


def test_nobody_is_told_where_a_broken_model_lies(rig: Rig, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for arm in ({"path": str(empty)}, {"path": str(tmp_path / "absent")}, {"path": 7}):
        entry = {"arm": "champion", "version": 2, "digest": "d", "weight": 1.0} | arm
        rig.board.change({"arms": [entry]})
        for method, path in (("GET", "/readyz"), ("GET", "/v2/health/ready"), ("GET", "/v2")):
            assert str(tmp_path) not in rig.ask(method, path).body.decode()
        assert "version 2 could not be loaded" in rig.ask("GET", "/readyz").json()["reason"]


def test_the_split_follows_the_key(rig: Rig, publish: Publish) -> None:
    rig.board.change(config_of(*_both(rig, publish), weights=(0.5, 0.5)))

    def arm(key: bytes) -> str:
        headers = [(b"x-tenfold-key", key)]
        return str(rig.ask("POST", "/predict", {"rows": rows(1)}, headers=headers).json()["arm"])

    chosen = {key: arm(key) for key in (str(n).encode() for n in range(30))}
    assert set(chosen.values()) == {"champion", "challenger"}
    assert all(arm(key) == name for key, name in chosen.items())


def _both(rig: Rig, publish: Publish) -> list[Any]:
    from tenfold.registry import Version

    first = rig.board.lineup.arms[0]
    second = publish(1)
    path = second.path.parent
    old = next(p for p in path.iterdir() if p != second.path)
    return [Version("mixed", first.version, first.digest, "", old, ""), second]


def test_docs_need_no_network_and_show_the_columns(rig: Rig) -> None:
    page = rig.ask("GET", "/docs")
    assert page.status == 200
    text = page.body.decode()
    assert "http://" not in text
    assert "https://" not in text
    for column in ("amount", "color", "since"):
        assert f"<code>{column}</code>" in text


def test_the_example_of_the_openapi_page_is_answered(rig: Rig) -> None:
    document = rig.ask("GET", "/openapi.json").json()
    example = document["components"]["schemas"]["PredictRequest"]["example"]
    assert rig.ask("POST", "/predict", example).status == 200
    row = document["components"]["schemas"]["Row"]
    assert set(row["required"]) == set(example["rows"][0])
    assert document["components"]["schemas"]["PredictRequest"]["properties"]["rows"][
        "maxItems"
    ] == 50  # fmt: skip


def test_metrics_come_from_the_aggregator_or_say_it_is_away(rig: Rig) -> None:
    assert rig.ask("GET", "/metrics").body == b"tenfold_up 1\n"

    async def away() -> bytes:
        raise ConnectionError("gone")

    rig.metrics_text = away
    assert rig.ask("GET", "/metrics").status == 503


def test_an_inner_failure_is_a_500_without_its_words(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "live", BrokenBoard())
    reply = rig.ask("POST", "/predict", {"rows": rows(1)})
    assert (reply.status, reply.json()["error"]["law"]) == (500, "internal")
    assert b"secret" not in reply.body
    rig.labels.close()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
COLUMNS = ("amount", "age", "member", "color", "city", "since", "constant", "void", "id", "label")

CELLS = st.dictionaries(st.sampled_from(COLUMNS), JSON)
ROWS = st.fixed_dictionaries({"rows": st.lists(CELLS, max_size=3) | JSON})


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(body=JSON | ROWS | st.binary())
def test_nothing_a_client_sends_is_our_fault(rig: Rig, body: object) -> None:
    for path in ("/predict", "/feedback"):
        reply = rig.ask("POST", path, body)
        assert reply.status in {200, 202, 400}
        if reply.status == 400:
            assert set(reply.json()["error"]) <= {"law", "message", "items"}
