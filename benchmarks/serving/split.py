"""What a canary costs: requests a second where a tenth of them goes to another model, and without.

Every request is a key of its own, so each is hashed and nine of ten go to the champion. The canary
is as quick as the champion: what is told is the split, the second model and its guard.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import httpx

from _form import Form
from serving.load import wrk
from serving.ours import Ours
from serving.processes import Target
from tenfold.registry import CHALLENGER, Registry
from tenfold.traffic import Canary, write_canary

__all__ = ["measure_split"]

_SHARE = 10
_ASKED = 100
_WAIT_S = 60.0
_WARM_S = 2
"""A canary's first calls are made in a thread of their own."""


def measure_split(
    form: Form,
    ours: Ours,
    target: Target,
    work: Path,
    *,
    version: int,
    rounds: int,
    seconds: int,
) -> None:
    """Turns without and with, one after the other.

    Args:
        form: takes the numbers.
        ours: the endpoint.
        target: a project of it.
        work: an existing folder.
        version: published; becomes the canary, and is none in the end.
        rounds: turns of each.
        seconds: of a turn.
    """
    registry = Registry(ours.settings)
    project = target.url.split("/")[-2]
    registry.set_alias(project, CHALLENGER, version)
    rps: dict[int, list[float]] = {0: [], _SHARE: []}
    for number in range(rounds):
        for share in sorted(rps, reverse=number % 2 == 1):
            write_canary(registry.state, project, Canary(version, share))
            versions = {1, version} if share else {1}
            _await_arms(target, versions)
            wrk(target, work, connections=16, seconds=_WARM_S)
            rps[share].append(wrk(target, work, connections=16, seconds=seconds)["rps"])
            assert _arms(target) == versions, "the guard took the canary back"
    write_canary(registry.state, project, Canary(version, 0))
    registry.set_alias(project, CHALLENGER, None)
    _await_arms(target, {1})
    ratios = [with_it / without for without, with_it in zip(*rps.values(), strict=True)]
    form.add("split.rps", statistics.median(rps[_SHARE]))
    form.add("split.rps_ratio", statistics.median(ratios))
    form.table(
        f"A canary with {_SHARE} % of the requests, at 16",
        ["without, requests/s", "with", "with over without", "least", "most"],
        [
            [f"{statistics.median(rps[0]):,.0f}", f"{statistics.median(rps[_SHARE]):,.0f}"]
            + [f"{one:.2f}" for one in (statistics.median(ratios), min(ratios), max(ratios))]
        ],
    )


def _await_arms(target: Target, versions: set[int]) -> None:
    """Until these versions answer, and no other."""
    ends = time.monotonic() + _WAIT_S
    while _arms(target) != versions:
        assert time.monotonic() < ends, f"{versions} do not answer"


def _arms(target: Target) -> set[int]:
    """The versions that answer."""
    headers = {"content-type": "application/json"}
    with httpx.Client() as client:
        asked = [
            client.post(target.url, content=target.body, headers=headers) for _ in range(_ASKED)
        ]
    return {int(one.json()["version"]) for one in asked}
