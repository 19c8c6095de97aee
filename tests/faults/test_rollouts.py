"""Rollouts under load: each step acts soon after its probe, and no bad model ever answers.

Read from the clients' own journals. Two minutes on two cores.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import httpx
import pytest

from tenfold.artifact import write_artifact
from tenfold.inference import Predictor
from tenfold.traffic import Canary, Shadow, write_canary, write_shadow
from tests.faults.served import ROWS, Clients, Served, served
from tests.tenfold_serve.test_keeper_e2e import eventually
from tests.tenfold_serve.test_poison import POISONS

pytestmark = pytest.mark.slow

ACTS_S = 2.0
"""Within which a step acts after the probe of its models: one that has answered passes again."""

SHADOW_S = 10.0
"""For its process to start and load its model; four on two cores."""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("rollouts")) as found:
        yield found


Arms = set[tuple[str, int]]


def arms(up: Served, client: httpx.Client) -> Arms:
    """Who answers twenty callers."""
    found = set()
    for key in range(20):
        headers = {"x-tenfold-key": f"k{key}"}
        reply = client.post(f"{up.url}/predict", json={"rows": ROWS[:1]}, headers=headers).json()
        found.add((str(reply["arm"]), int(reply["version"])))
    return found


def acted_s(up: Served, ask: Callable[[], object], wanted: Arms) -> float:
    """Seconds from the moment at which the step's models had passed their probes until the first
    of twenty callers that all were answered as wanted."""
    rows = up.registry.state.journal
    before = [row.at for row in rows.tail("mixed", 1, kind="swap")]
    ask()
    deadline = time.monotonic() + 30
    with httpx.Client() as client:
        while True:
            began = time.time()
            found = arms(up, client)
            if found == wanted:
                break
            assert time.monotonic() < deadline, f"{found}, not {wanted}"
    (row,) = rows.tail("mixed", 1, kind="swap")
    assert [row.at] != before
    return began - datetime.fromisoformat(row.at).timestamp()


def test_each_step_acts_within_two_seconds_of_its_probe(up: Served, tmp_path: Path) -> None:
    registry, state = up.registry, up.registry.state
    second = up.publish(tmp_path / "second", seed=1)
    took: dict[str, float] = {}
    clients = Clients(up.port, ROWS[:2], rate=150)

    def challenge() -> None:
        registry.set_alias("mixed", "challenger", second)
        write_canary(state, "mixed", Canary(second, 50))

    with clients.asking():
        took["promote"] = acted_s(
            up,
            lambda: registry.promote("mixed", second, expected=1),
            {("champion", second)},
        )
        took["rollback"] = acted_s(up, lambda: registry.rollback("mixed"), {("champion", 1)})
        took["canary"] = acted_s(up, challenge, {("champion", 1), ("challenger", second)})
        took["canary off"] = acted_s(
            up,
            lambda: write_canary(state, "mixed", Canary(second, 0)),
            {("champion", 1)},
        )
        began = time.monotonic()
        write_shadow(state, "mixed", Shadow(second, time.time_ns() // 1_000_000))
        eventually(lambda: up.shadow().get("state") == "scoring", within_s=30)
        took["shadow, its start included"] = time.monotonic() - began
        write_shadow(state, "mixed", None)
    registry.set_alias("mixed", "challenger", None)
    print({name: round(seconds, 2) for name, seconds in took.items()})
    assert clients.failures() == []
    assert took.pop("shadow, its start included") <= SHADOW_S
    assert max(took.values()) <= ACTS_S, took


@pytest.mark.parametrize("poison", [*POISONS, "a changed file"])
def test_a_bad_model_never_answers(up: Served, tmp_path: Path, poison: str) -> None:
    """F11: promoted under load, and told of; those who ask get what they got before."""
    registry = up.registry
    first = registry.alias("mixed", "champion")
    assert first is not None
    right = Predictor.load(registry.require("mixed", first).path).predict_rows(ROWS[:2]).scores
    if poison in POISONS:
        make, said = POISONS[poison]
        files, draft = make(tmp_path)
        write_artifact(tmp_path / "bad", files=files, manifest=draft)  # every digest is right
        bad = registry.publish("mixed", tmp_path / "bad").version
    else:
        bad, said = up.publish(tmp_path / "bad", seed=2), "digest"
        model = registry.require("mixed", bad).path / "model.onnx"
        changed = bytearray(model.read_bytes())
        changed[len(changed) // 2] ^= 1
        model.chmod(0o600)
        model.write_bytes(changed)
    clients = Clients(up.port, ROWS[:2], rate=150)
    with clients.asking():
        registry.promote("mixed", bad, expected=first)
        try:
            told = f'tenfold_version_refused{{project="mixed",reason="probe",version="{bad}"}} 1.0'
            eventually(lambda: told in httpx.get(f"{up.url}/metrics").text, within_s=40)
            (row,) = registry.state.journal.tail("mixed", 1, kind="swap_refused")
            assert said in row.body["reason"] and row.body["version"] == bad
            so_far = len(clients.all)
            clients.wait_for(lambda: len(clients.all) > so_far + 300, within_s=30)
        finally:
            registry.rollback("mixed")
    assert clients.failures() == []
    assert all(one.scores == right.tolist() for one in clients.all)
