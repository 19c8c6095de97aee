from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.project import Replicas
from tenfold_serve.lineups import DEPLOYMENT
from tenfold_serve.ray_rim import import_serve
from tenfold_serve.scaling import BUSY, BusyMeter, replicas_for, scaling_config, wanted_replicas


@dataclass
class Told:
    """What Serve would tell the policy."""

    aggregated_metrics: dict[str, dict[Any, float]] | None = field(default_factory=dict)
    target_num_replicas: int = 3


@pytest.mark.parametrize("told", [None, {}, {BUSY: {}}, {"running_requests": {"r": 9.0}}])
def test_while_nobody_speaks_nothing_changes(told: Any) -> None:
    assert wanted_replicas(Told(told))[0] == 3


def test_two_thirds_of_a_core_is_enough_for_one() -> None:
    assert wanted_replicas(Told({BUSY: {"a": 0.9, "b": 0.9}}))[0] == 3
    assert wanted_replicas(Told({BUSY: {"a": 0.01, "b": 0.0}}))[0] == 1


BUSY_CORES = st.floats(0, 1000)
PRESENT = st.integers(1, 100)


@given(BUSY_CORES, BUSY_CORES, PRESENT)
def test_more_work_never_asks_for_fewer(one: float, more: float, present: int) -> None:
    few, many = (replicas_for(cores, present=present) for cores in (one, one + more))
    assert 1 <= few <= many
    assert one / few <= 0.65 + 1e-9


@given(BUSY_CORES, PRESENT)
def test_what_was_decided_stays_decided(busy: float, present: int) -> None:
    """The same load asks for the same number again: none comes and goes."""
    wanted = replicas_for(busy, present=present)
    assert replicas_for(busy, present=wanted) == wanted


def test_a_meter_tells_cores_since_it_was_read_last() -> None:
    cpu, now = [1.0], [10.0]
    meter = BusyMeter(cpu_s=lambda: cpu[0], now_s=lambda: now[0])
    assert meter.read() == 0.0  # no time has passed
    cpu[0], now[0] = 2.5, 12.0
    assert meter.read() == 0.75
    now[0] = 14.0
    assert meter.read() == 0.0


@pytest.mark.parametrize("replicas", [Replicas(min=2, max=2), Replicas(min=1, max=4, idle=60)])
def test_serve_takes_what_is_made(replicas: Replicas) -> None:
    made = scaling_config(replicas)
    assert json.loads(json.dumps(made)) == made
    import_serve()  # without the warnings of its own models
    from ray.serve.schema import DeploymentSchema

    schema = DeploymentSchema.model_validate({"name": DEPLOYMENT, **made})
    if replicas.fixed:
        assert schema.num_replicas == 2
        return
    found = schema.autoscaling_config
    assert isinstance(found, dict)
    assert (found["min_replicas"], found["max_replicas"]) == (1, 4)
    assert found["downscale_delay_s"] == 60
