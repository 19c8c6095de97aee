"""The status tells what is known, for one project or all, and half a record does not stop it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from tenfold.canonical import canonical_json, write_atomic
from tenfold.cluster.sessions import SessionRecord
from tenfold.errors import UserError
from tenfold.registry import Registry
from tenfold.settings import Settings
from tenfold.traffic import Canary, write_canary
from tenfold_jobs.status import N_DECISIONS, collect_status, status_lines
from tests.tenfold_jobs.conftest import PublishSmall

LIVE: dict[str, Any] = {
    "arms": [
        {"arm": "champion", "version": 1, "weight": 0.75},
        {"arm": "challenger", "version": 2, "weight": 0.25},
    ],
    "monitor": {
        "models": {
            "1": {
                "channels": {"feature": {"active": True}, "harm": {"active": True}},
                "rows": 1200,
                "labels": 300,
                "quality": {
                    "accuracy": {"value": 0.91, "lower": 0.87, "upper": 0.94, "n": 300},
                    "roc_auc": {"value": None, "lower": None, "upper": None, "n": 0},
                },
            },
            "2": {
                "channels": {"feature": {"active": False}},
                "rows": 400,
                "labels": 0,
                "quality": {},
            },
        },
        "dropped_rows": 7,
    },
    "decision": {"action": "wait", "reason": "40 of 100 labels"},
}


KeeperRuns = Callable[..., int]


@pytest.fixture
def keeper_runs(settings: Settings, keeper_session: SessionRecord) -> KeeperRuns:
    """Writes the record of a living session that serves the projects; gives its leader."""

    def write(*projects: str, **more: Any) -> int:
        urls = {name: f"http://127.0.0.1:1/{name}" for name in projects}
        body = {**keeper_session.to_dict(), "port": 1, "urls": urls, "folder": "/secret", **more}
        write_atomic(settings.keeper / "keeper.json", canonical_json(body))
        return keeper_session.pid

    return write


def live_says(settings: Settings, **projects: Any) -> None:
    write_atomic(settings.keeper / "status.json", canonical_json(projects))


def test_without_any_model_it_says_what_to_run(settings: Settings) -> None:
    found = collect_status(settings, project=None)
    assert found == {"keeper": {"running": False, "left_over": 0}, "projects": {}}
    assert status_lines(found) == [
        "endpoint: down",
        "no project has a trained model yet; run `tenfold run PROJECT`",
    ]


def test_a_project_without_a_model_is_the_users_fault(
    settings: Settings, publish_small: PublishSmall
) -> None:
    publish_small("other")
    with pytest.raises(UserError) as caught:
        collect_status(settings, project="mixed")
    assert str(caught.value) == (
        "project 'mixed' has no trained model yet; run `tenfold run` first"
    )


def test_one_project_or_all_in_order(settings: Settings, publish_small: PublishSmall) -> None:
    for name in ("zeta", "alpha", "zeta"):
        publish_small(name)
    assert list(collect_status(settings, project=None)["projects"]) == ["alpha", "zeta"]
    assert list(collect_status(settings, project="zeta")["projects"]) == ["zeta"]


def test_the_registry_is_told_without_a_keeper(
    settings: Settings, publish_small: PublishSmall
) -> None:
    first, second = publish_small(promote=True), publish_small()
    registry = Registry(settings)
    registry.set_alias("mixed", "challenger", 2)
    write_canary(registry.state, "mixed", Canary(2, 20))
    registry.state.journal.append("mixed", "swap", {})
    registry.state.journal.append("mixed", "alarm", {"reason": "color moved"})
    live_says(settings, mixed=LIVE)
    found = collect_status(settings, project="mixed")
    assert json.loads(json.dumps(found)) == found
    facts = dict(found["projects"]["mixed"])
    decisions = facts.pop("decisions")
    assert facts == {
        "champion": 1,
        "challenger": 2,
        "canary_percent": 20,
        "shadow": False,
        "versions": [
            {"version": v.version, "digest": v.model_digest, "created": v.created}
            for v in (first, second)
        ],
        "url": None,
        "live": None,
    }
    assert [(row["kind"], row["reason"]) for row in decisions] == [
        ("swap", ""), ("alarm", "color moved"),
    ]  # fmt: skip
    lines = status_lines(found)
    assert lines[:2] == [
        "endpoint: down",
        "mixed: champion 1, challenger 2, canary 20 %, shadow off, 2 versions",
    ]
    moment = r"  \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d "
    assert re.fullmatch(moment + "swap", lines[2])
    assert re.fullmatch(moment + "alarm: color moved", lines[3])
    assert len(lines) == 4


def test_the_newest_decisions_are_shown_oldest_first(
    settings: Settings, publish_small: PublishSmall
) -> None:
    publish_small()
    journal = Registry(settings).state.journal
    for number in range(N_DECISIONS + 3):
        journal.append("mixed", "decision", {"reason": str(number)})
    journal.append("other", "decision", {"reason": "elsewhere"})
    rows = collect_status(settings, project="mixed")["projects"]["mixed"]["decisions"]
    assert [row["reason"] for row in rows] == [str(n) for n in range(3, N_DECISIONS + 3)]


def test_a_running_endpoint_is_told_with_what_it_knows(
    settings: Settings, publish_small: PublishSmall, keeper_runs: KeeperRuns
) -> None:
    publish_small(promote=True)
    publish_small("quiet")
    pid = keeper_runs("mixed", ready=True, mlflow_url=None)
    live_says(settings, mixed=LIVE)
    found = collect_status(settings, project=None)
    assert found["keeper"] == {
        "running": True,
        "left_over": 0,
        "pid": pid,
        "port": 1,
        "urls": {"mixed": "http://127.0.0.1:1/mixed"},
        "mlflow_url": None,
        "ready": True,
    }
    assert found["projects"]["mixed"]["live"] == LIVE
    quiet = found["projects"]["quiet"]
    assert (quiet["url"], quiet["live"]) == (None, None)
    assert status_lines(found) == [
        f"endpoint: running, pid {pid}",
        "mixed: champion 1, challenger none, canary 0 %, shadow off, 1 versions",
        "  url: http://127.0.0.1:1/mixed",
        "  answers: champion version 1 (75%), challenger version 2 (25%)",
        "  version 1: 1200 rows, 300 labels, alarms: feature, harm",
        "    live accuracy 0.91 [0.87, 0.94]",
        "  version 2: 400 rows, 0 labels, alarms: none",
        "  trouble: 7 rows were answered and not logged: see the keeper's log",
        "  policy: wait: 40 of 100 labels",
        "quiet: champion none, challenger none, canary 0 %, shadow off, 1 versions",
    ]


SHADOW = {
    "version": 2,
    "champion": 1,
    "state": "scoring",
    "rows": 900,
    "dropped_rows": 40,
    "refused_rows": 3,
    "failures": 1,
    "disagreement": {"rows": 900, "score_gap": 0.0125, "changed_ratio": 0.02},
    "row_s": {"p50": 0.00012, "p99": 0.0003},
    "paired": {"n_rows": 200, "old": 0.2, "new": 0.15, "lower": 0.01, "upper": 0.09},
    "trouble": "",
}


def test_a_shadow_tells_what_it_saw(
    settings: Settings, publish_small: PublishSmall, keeper_runs: KeeperRuns
) -> None:
    publish_small(promote=True)
    keeper_runs("mixed")
    live_says(settings, mixed=LIVE | {"shadow": SHADOW})
    lines = status_lines(collect_status(settings, project="mixed"))
    start = lines.index(
        "  shadow version 2 beside 1: scoring, 900 rows, 40 dropped, 3 refused, 1 failures"
    )
    assert lines[start + 1 : start + 4] == [
        "    scores differ by 0.0125 on average, 2.00% decided otherwise (newest 900 rows)",
        "    a row costs 120 us, p99 300 us of CPU",
        "    loss 0.2 -> 0.15 on 200 labels, saved 0.05 [0.01, 0.09]",
    ]


def test_a_shadow_that_does_not_start_says_why(
    settings: Settings, publish_small: PublishSmall, keeper_runs: KeeperRuns
) -> None:
    publish_small(promote=True)
    keeper_runs("mixed")
    waiting = {"version": 2, "champion": 1, "state": "waiting", "failures": 4, "trouble": "it died"}
    live_says(settings, mixed=LIVE | {"shadow": waiting})
    lines = status_lines(collect_status(settings, project="mixed"))
    start = lines.index(
        "  shadow version 2 beside 1: waiting, 0 rows, 0 dropped, 0 refused, 4 failures"
    )
    assert lines[start + 1] == "  trouble: it died"


def test_a_share_given_to_an_earlier_challenger_is_not_the_present_ones(
    settings: Settings, publish_small: PublishSmall
) -> None:
    for promote in (True, False, False):
        publish_small(promote=promote)
    registry = Registry(settings)
    write_canary(registry.state, "mixed", Canary(2, 20))
    registry.set_alias("mixed", "challenger", 3)
    facts = collect_status(settings, project="mixed")["projects"]["mixed"]
    assert (facts["challenger"], facts["canary_percent"]) == (3, 0)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_replicas_on_a_gpu_are_told(
    settings: Settings, publish_small: PublishSmall, keeper_runs: KeeperRuns, device: str
) -> None:
    publish_small(promote=True)
    keeper_runs("mixed")
    live_says(settings, mixed={"arms": [], "replicas": {"device": device, "why": "as asked"}})
    lines = status_lines(collect_status(settings, project="mixed"))
    assert ("  as asked" in lines) == (device == "cuda")


def test_one_trouble_of_several_parts_is_told_once(
    settings: Settings, publish_small: PublishSmall, keeper_runs: KeeperRuns
) -> None:
    publish_small(promote=True)
    keeper_runs("mixed")
    away = "NoAnswer: the aggregator did not answer within 3 s"
    troubles = {f"{part}_trouble": away for part in ("logs", "policy", "guard")}
    live_says(settings, mixed={"arms": [], "aliases_trouble": "locked", **troubles})
    lines = status_lines(collect_status(settings, project="mixed"))
    found = [line for line in lines if "trouble" in line]
    assert found == ["  trouble: locked", f"  trouble: {away}"]


@pytest.mark.parametrize("part", ["aliases_trouble", "logs_trouble", "policy_trouble", "refused"])
def test_trouble_is_told(
    settings: Settings, publish_small: PublishSmall, keeper_runs: KeeperRuns, part: str
) -> None:
    publish_small(promote=True)
    keeper_runs("mixed")
    live_says(settings, mixed={"arms": [], part: "the disk is full"})
    assert "  trouble: the disk is full" in status_lines(collect_status(settings, project="mixed"))


@pytest.mark.parametrize("text", [None, b"", b"{", b"{}"])
def test_half_a_status_is_no_status(
    settings: Settings, publish_small: PublishSmall, keeper_runs: KeeperRuns, text: bytes | None
) -> None:
    publish_small(promote=True)
    keeper_runs("mixed")
    if text is not None:
        write_atomic(settings.keeper / "status.json", text)
    found = collect_status(settings, project="mixed")
    assert found["keeper"]["running"]
    assert found["projects"]["mixed"]["live"] is None
    assert status_lines(found)[2:] == ["  url: http://127.0.0.1:1/mixed"]


def test_a_damaged_keeper_record_is_no_keeper(
    settings: Settings, publish_small: PublishSmall
) -> None:
    publish_small(promote=True)
    write_atomic(settings.keeper / "keeper.json", b'{"pid": 1}')
    assert collect_status(settings, project="mixed")["keeper"] == {"running": False, "left_over": 0}


def test_a_canary_and_why_the_last_one_was_taken_back(
    settings: Settings, publish_small: PublishSmall, keeper_runs: KeeperRuns
) -> None:
    publish_small("adult", promote=True)
    keeper_runs("adult")
    found = {"evidence": 2.0, "level": 8.0, "champion": 0.001, "challenger": 0.02}
    guard = {
        "evidence": {
            "champion": 1,
            "challenger": 3,
            "requests": [900, 100],
            "channels": {"failures": {**found, "named": "requests that fail"}},
        },
        "withdrawn": {
            "version": 2,
            "at": "2031-05-04T13:30:00.000000Z",
            "reason": "canary 2 is worse than champion 1: requests that fail 5.00 % against 0.00 %",
        },
    }
    write_atomic(settings.keeper / "status.json", canonical_json({"adult": {"guard": guard}}))
    lines = status_lines(collect_status(settings, project=None))
    assert "  canary version 3 beside 1: 100 requests beside 900" in lines
    assert "    requests that fail: 2.00% against 0.10% (failures: 2.0 of 8.0 nats)" in lines
    assert (
        "  canary taken back at 2031-05-04T13:30:00: canary 2 is worse than champion 1: requests "
        "that fail 5.00 % against 0.00 %" in lines
    )
