"""How many replicas: by how busy those are that answer. No clock of its own, no Ray.

Serve counts ongoing requests, and ours are never ongoing when it looks: a replica scores in the
loop that would have to count, so it sees none, however many wait in its sockets. What a replica
does know is the processor's time that it took. The recorder's thread is in it, as it must be: both
share one interpreter, which is full when they fill one core together.

Where a machine has no core left a replica is not busy but waits, and one more would wait, too: none
is asked for then.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from tenfold.project import Replicas

__all__ = ["BUSY", "BusyMeter", "Scale", "replicas_for", "scaling_config", "wanted_replicas"]

BUSY: Final = "busy_cores"
"""Name of the measure: cores that a replica used since it was asked last."""
_TARGET: Final = 0.65
"""Two thirds of a core: requests come at random, and at nine tenths they wait ten times as long."""
_POLICY: Final = "tenfold_serve.scaling:wanted_replicas"
_ROOM: Final = 0.7
"""One is taken away when the others would then be busy for this part of the target at most: at the
target itself they would come and go."""
_LOOK_S: Final = 15.0
"""Longer than the ten seconds between two reports of a replica, or Serve warns."""
_UP_S: Final = 5.0
"""How long more must be needed, so that a burst of seconds starts no process. Replicas tell what
they know every ten seconds: another one answers after about half a minute."""


class Scale(Protocol):
    """What Serve tells a policy (`ray.serve.config.AutoscalingContext`), as far as ours reads."""

    @property
    def aggregated_metrics(self) -> Mapping[str, Mapping[Any, float]] | None:
        """Mean of each measure over the last seconds, by replica."""

    @property
    def target_num_replicas(self) -> int:
        """How many there should be by the last decision."""


class BusyMeter:
    """Cores in use since it was read last. One thread reads it.

    Args:
        cpu_s: processor's seconds so far; for tests.
        now_s: seconds; for tests.
    """

    def __init__(
        self,
        cpu_s: Callable[[], float] = time.process_time,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cpu_s, self._now_s = cpu_s, now_s
        self._before = (cpu_s(), now_s())

    def read(self) -> float:
        """0 for an idle process, 1 for one that fills a core; may be more by native threads."""
        before, self._before = self._before, (self._cpu_s(), self._now_s())
        passed = self._before[1] - before[1]
        return (self._before[0] - before[0]) / passed if passed > 0 else 0.0


def replicas_for(busy: float, *, present: int) -> int:
    """How many replicas should carry so many busy cores.

    Args:
        busy: cores that all of them use together.
        present: how many there are.

    >>> [replicas_for(cores, present=2) for cores in (0.0, 0.5, 1.2, 1.4)]
    [1, 2, 2, 3]
    """
    more = max(1, math.ceil(busy / _TARGET))
    fewer = max(1, math.ceil(busy / (_TARGET * _ROOM)))
    return more if more >= present else min(fewer, present)


def wanted_replicas(scale: Scale) -> tuple[int, dict[str, Any]]:
    """Serve's policy, named by its import path; the controller calls it. Serve keeps the bounds and
    the delays of `scaling_config`.

    Returns:
        How many, and a state that it does not need.
    """
    present = scale.target_num_replicas
    told = (scale.aggregated_metrics or {}).get(BUSY) or {}
    if not told:  # nobody has spoken yet
        return present, {}
    return replicas_for(sum(told.values()), present=present), {}


def scaling_config(replicas: Replicas) -> dict[str, Any]:
    """The part of Serve's declarative config that says how many replicas there are.

    >>> scaling_config(Replicas(min=2, max=2))
    {'num_replicas': 2}
    """
    if replicas.fixed:
        return {"num_replicas": replicas.max}
    return {
        "autoscaling_config": {
            "min_replicas": replicas.min,
            "initial_replicas": replicas.min,
            "max_replicas": replicas.max,
            "look_back_period_s": _LOOK_S,
            "upscale_delay_s": _UP_S,
            "downscale_delay_s": replicas.idle,
            "policy": {"policy_function": _POLICY},
        }
    }
