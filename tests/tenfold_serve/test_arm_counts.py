"""What a replica counts by arm, and who answers when a canary does not."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.errors import ArtifactError, RequestError
from tenfold.features.codes import Codes
from tenfold.inference import Prediction, Predictor
from tenfold.inference.explainer import Explainer
from tenfold.monitor.arms import ArmTotals
from tenfold.monitor.canary import CanaryWatch
from tenfold.schema import Column, Kind, Schema
from tenfold_serve.answers import ANOTHERS_CALL, Call, Entry
from tenfold_serve.arm_counts import LATE_S, ArmBook
from tenfold_serve.arms import Arm, ArmBoard, Lineup
from tests.tenfold_serve.doors.test_v2 import inputs
from tests.tenfold_serve.support import Publish, Rig, answers_by_arm, board_with, call, rows
from tests.tenfold_serve.test_recorder import Ear, entry, make


class Broken:
    """An engine that raises, or answers what is no number."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def predict(self, matrix: Any) -> Any:
        if self.error is not None:
            raise self.error
        return np.full((len(matrix), 2), np.nan)


def broken(arm: Arm, error: Exception | None = None) -> Arm:
    predictor = type(arm.predictor)(
        arm.predictor.manifest, preprocessor=arm.predictor.preprocessor, engine=Broken(error)
    )
    return dataclasses.replace(arm, predictor=predictor)


def canary_board(publish: Publish, *, canary_weight: float = 1.0) -> ArmBoard:
    one, other = publish(0), publish(1)
    return board_with(one, other, weights=(1.0 - canary_weight, canary_weight))


def replace_arm(board: ArmBoard, place: int, arm: Arm) -> None:
    arms = list(board.lineup.arms)
    arms[place] = arm
    board.lineup = Lineup(tuple(arms), 1, "", board.lineup.weights)


def told(rig: Rig) -> dict[str, ArmTotals]:
    rig.recorder.flush()
    found = [ArmTotals.from_dict(each) for each in rig.reports[-1].arms]
    return {total.key: total for total in found}


BODY = {"rows": rows(3)}


def take(book: ArmBook, entries: list[Entry]) -> None:
    """As the recorder does."""
    for answers in answers_by_arm(entries):
        book.take(answers)
        for _ in book.compare(answers.compared) if answers.compared else ():
            pass


def test_answers_are_counted_by_arm(tmp_path: Path, publish: Publish) -> None:
    board = canary_board(publish, canary_weight=0.5)
    rig = Rig(tmp_path / "rig", board)
    for k in range(40):
        key = f"k{k}".encode()
        assert rig.ask("POST", "/predict", BODY, headers=[(b"x-tenfold-key", key)]).status == 200
    found = told(rig)
    assert set(found) == {"champion/1", "challenger/2"}
    assert sum(total.requests for total in found.values()) == 40
    for total in found.values():
        assert sum(total.latency_cells) == total.requests and total.failed == 0
        assert 0 < total.latency_sum_s < 40
    assert found["champion/1"].pairs.rows == 0
    assert found["challenger/2"].pairs.rows == 1  # all asked for the same row


@pytest.mark.parametrize("path", ["/predict", "/v2/models/mixed/infer"])
def test_the_champion_answers_what_a_canary_fails(
    tmp_path: Path, publish: Publish, path: str
) -> None:
    board = canary_board(publish)
    replace_arm(board, 1, broken(board.lineup.arms[1], RuntimeError("no such leaf")))
    rig = Rig(tmp_path / "rig", board)
    reply = rig.ask("POST", path, BODY if path == "/predict" else {"inputs": inputs()})
    assert reply.status == 200, reply.body
    found = told(rig)
    assert found["challenger/2"].failures == {"error": 1}
    assert found["challenger/2"].requests == found["champion/1"].requests == 1
    assert b"champion" in reply.body and b"challenger" not in reply.body
    assert not rig.recorder.flight.in_flight


@pytest.mark.parametrize("place", [0, 1], ids=["champion", "canary"])
def test_seconds_are_those_of_the_call_also_where_calls_are_shared(
    tmp_path: Path, publish: Publish, place: int
) -> None:
    board = canary_board(publish, canary_weight=float(place))
    replace_arm(board, place, dataclasses.replace(board.lineup.arms[place], batched=True))
    rig = Rig(tmp_path / "rig", board)
    assert rig.ask("POST", "/predict", BODY).status == 200
    (total,) = told(rig).values()
    assert total.requests == 1 and 0 < total.latency_sum_s < 10
    assert not rig.recorder.flight.in_flight


def test_the_champion_answers_what_a_shared_call_of_a_canary_fails(
    tmp_path: Path, publish: Publish
) -> None:
    board = canary_board(publish)
    bad = broken(board.lineup.arms[1], RuntimeError("no"))
    replace_arm(board, 1, dataclasses.replace(bad, batched=True))
    rig = Rig(tmp_path / "rig", board)
    assert rig.ask("POST", "/predict", BODY).status == 200
    assert told(rig)["challenger/2"].failures == {"error": 1}


def test_rows_that_only_the_canary_refuses_count_against_it(
    tmp_path: Path, publish: Publish
) -> None:
    board = canary_board(publish)
    refuse = RequestError("row 0, column 'age': no")
    replace_arm(board, 1, broken(board.lineup.arms[1], refuse))
    rig = Rig(tmp_path / "rig", board)
    assert rig.ask("POST", "/predict", BODY).status == 200
    assert told(rig)["challenger/2"].failures == {"refused": 1}


def test_rows_that_both_refuse_count_against_nobody(tmp_path: Path, publish: Publish) -> None:
    rig = Rig(tmp_path / "rig", canary_board(publish))
    assert rig.ask("POST", "/predict", {"rows": [{"age": "old"}]}).status == 400
    assert told(rig) == {}


def test_a_request_that_both_fail_counts_against_both(tmp_path: Path, publish: Publish) -> None:
    board = canary_board(publish)
    for place in (0, 1):
        replace_arm(board, place, broken(board.lineup.arms[place], RuntimeError("no")))
    rig = Rig(tmp_path / "rig", board)
    assert rig.ask("POST", "/predict", BODY).status == 500
    assert {key: total.failures for key, total in told(rig).items()} == {
        "champion/1": {"error": 1},
        "challenger/2": {"error": 1},
    }


def test_a_champion_alone_fails_for_itself(tmp_path: Path, publish: Publish) -> None:
    board = board_with(publish(0))
    replace_arm(board, 0, broken(board.lineup.arms[0], RuntimeError("no")))
    rig = Rig(tmp_path / "rig", board)
    assert rig.ask("POST", "/predict", BODY).status == 500
    assert told(rig)["champion/1"].failures == {"error": 1}


def test_a_version_that_was_asked_for_by_number_is_not_replaced(
    tmp_path: Path, publish: Publish
) -> None:
    board = canary_board(publish, canary_weight=0.1)
    replace_arm(board, 1, broken(board.lineup.arms[1], RuntimeError("no")))
    rig = Rig(tmp_path / "rig", board)
    body = {"inputs": inputs()}
    assert rig.ask("POST", "/v2/models/mixed/versions/2/infer", body).status == 500
    assert told(rig)["challenger/2"].failures == {"error": 1}


def test_answers_that_are_no_numbers_are_failures(publish: Publish) -> None:
    book, one = ArmBook(), entry(publish)
    odd = one._replace(scores=np.full((len(one.ids), 2), np.nan))
    take(book, [one, odd, one])
    (total,) = book.tell()
    assert total["requests"] == 3 and total["failures"] == {"not_finite": 1}


@given(st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=1, max_size=12))
def test_a_request_is_odd_by_any_row_of_its_own(sent: list[tuple[int, bool]]) -> None:
    class Any2:
        name, version, schema = "champion", 1, Schema((Column("n", Kind.NUMBER),))

    def entry_of(n_rows: int, odd: bool) -> Entry:
        scores = np.zeros((n_rows, 2))
        if odd:
            scores[n_rows // 2, 1] = np.inf
        values = ["a"] * n_rows
        return Entry(values, [], np.zeros((n_rows, 1)), scores, values, cast("Any", Any2), 0)

    book = ArmBook()
    take(book, [entry_of(n_rows, odd) for n_rows, odd in sent])
    (total,) = book.tell()
    n_odd = sum(odd for _, odd in sent)
    assert total["requests"] == total["calls"] == len(sent)
    assert total["failures"] == ({"not_finite": n_odd} if n_odd else {})


def test_late_and_slow_answers_by_what_a_row_costs(publish: Publish) -> None:
    book, one = ArmBook(), entry(publish, 9)
    take(book, [one._replace(seconds=s) for s in (0.0001, 0.018, LATE_S + 1.0)])
    (total,) = book.tell()
    assert total["failures"] == {"late": 1}
    # nine rows may take twice as long as one: 9 ms a row
    assert total["slow"] == [2, 1, 1, 1, 1, 1, 1]
    assert sum(total["latency_cells"]) == 3 and total["latency_cells"][0] == 1
    assert book.tell() == []


def test_a_champion_that_raises_when_it_is_asked_again_costs_no_counts(publish: Publish) -> None:
    one = entry(publish)
    champion = board_with(publish(0)).lineup.arms[0]
    canary = dataclasses.replace(champion, name="challenger", version=2)
    beside = broken(champion, RuntimeError("no"))
    book = ArmBook()
    take(book, [one._replace(arm=canary, beside=beside), one._replace(arm=champion)])
    found = {total["arm"]: total for total in book.tell()}
    assert found["champion"]["requests"] == found["challenger"]["requests"] == 1
    assert found["challenger"]["pairs"]["skipped"] == 1


def test_requests_of_one_call_are_one_observation_of_its_time(publish: Publish) -> None:
    book, one = ArmBook(), entry(publish, 1)
    call = Call(0.05, 9)  # nine rows may take twice as long as one
    calls = (call, *[ANOTHERS_CALL] * 8)
    take(book, [one._replace(seconds=0.005, call=shared) for shared in calls])
    (total,) = book.tell()
    assert total["requests"] == 9 and total["calls"] == 1
    assert total["slow"] == [1, 1, 0, 0, 0, 0, 0]
    assert sum(total["latency_cells"]) == 9


def test_what_failed_is_told_with_what_was_answered_before_it(publish: Publish) -> None:
    book, arm = ArmBook(), entry(publish).arm
    book.failed(arm, RuntimeError("no"), 0.1, at=7)
    book.failed(arm, RuntimeError("no"), 0.1, at=9)
    assert book.tell(until=6) == []
    assert [total["failures"] for total in book.tell(until=7)] == [{"error": 1}]
    assert [total["failures"] for total in book.tell()] == [{"error": 1}]


def test_failures_are_dropped_while_answers_are(tmp_path: Path, publish: Publish) -> None:
    recorder, one = make(tmp_path / "spool", Ear()), entry(publish, 1)
    recorder.failed(one.arm, RuntimeError("no"), 0.1)
    while not recorder.dropped_rows:
        recorder.offer(one)
    recorder.failed(one.arm, RuntimeError("no"), 0.1)
    assert [total["failures"] for total in recorder.arms.tell()] == [{"error": 1}]


class Slow(Predictor):
    """It takes fifty milliseconds for whatever it is asked."""

    def predict_codes(self, codes: Codes) -> Prediction:
        ends = time.perf_counter() + 0.05
        while time.perf_counter() < ends:
            pass
        return super().predict_codes(codes)


class Bare(Predictor):
    """It has no limits, and its explainer fails its probe."""

    conformal = None

    @property
    def explainer(self) -> Explainer:
        raise ArtifactError("its contributions do not add up")


def bare_canary(publish: Publish) -> ArmBoard:
    board = canary_board(publish)
    bare = Bare.load(publish(1).path)
    replace_arm(board, 1, dataclasses.replace(board.lineup.arms[1], predictor=bare))
    return board


def test_a_slow_canary_is_seen_also_where_requests_share_calls(
    tmp_path: Path, publish: Publish
) -> None:
    board = canary_board(publish, canary_weight=0.2)
    slow = Slow.load(publish(1).path)
    champion_arm, canary_arm = board.lineup.arms
    replace_arm(board, 0, dataclasses.replace(champion_arm, batched=True))
    replace_arm(board, 1, dataclasses.replace(canary_arm, predictor=slow, batched=True))
    rig = Rig(tmp_path / "rig", board)
    body = orjson.dumps(BODY)

    async def bursts() -> None:
        for burst in range(40):
            asked = [
                call(rig.app, "POST", "/predict", body, headers=[(b"x-tenfold-key", b"%d" % key)])
                for key in range(burst * 10, burst * 10 + 10)
            ]
            assert {reply.status for reply in await asyncio.gather(*asked)} == {200}

    asyncio.run(bursts())
    found = told(rig)
    champion, canary = found["champion/1"], found["challenger/2"]
    assert champion.requests + canary.requests == 400 and champion.calls < champion.requests
    assert canary.slow[0] == canary.calls > 0
    watch = CanaryWatch(None, None)
    watch.take(champion, canary, now_s=1.0)
    assert watch.channels()["latency"].proven, (champion, canary)


def test_the_champion_explains_what_a_canary_cannot(tmp_path: Path, publish: Publish) -> None:
    rig = Rig(tmp_path / "rig", bare_canary(publish))
    for _ in range(2):  # the second time it is known beforehand
        reply = rig.ask("POST", "/predict?with=explanation,warnings", BODY)
        assert reply.status == 200 and reply.json()["arm"] == "champion", reply.body
    found = told(rig)
    assert found["challenger/2"].failures == {"error": 2}
    assert found["champion/1"].requests == 2 and found["champion/1"].failed == 0


@pytest.mark.parametrize("asked", ["set", "set,warnings"])
def test_the_champion_gives_the_set_that_a_canary_has_not(
    tmp_path: Path, publish: Publish, asked: str
) -> None:
    rig = Rig(tmp_path / "rig", bare_canary(publish))
    reply = rig.ask("POST", f"/predict?with={asked}", BODY)
    assert reply.status == 200 and reply.json()["arm"] == "champion", reply.body
    assert told(rig)["challenger/2"].failures == {"refused": 1}


def test_what_is_never_heard_is_told_again(tmp_path: Path, publish: Publish) -> None:
    ear = Ear()
    recorder = make(tmp_path / "spool", ear)
    recorder.offer(entry(publish))
    ear.refuses = [RequestError("not that one")]
    recorder.flush()
    assert ear.heard == []
    recorder.offer(entry(publish))
    recorder.flush()
    (report,) = ear.heard
    assert [total["requests"] for total in report.arms] == [2]
