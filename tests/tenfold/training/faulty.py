"""A family that does what its parameter says: good, or one of the ways in which a fit goes wrong.

Sessions are other processes: a question whose families are `Names` brings this module along, and
whoever imports it knows the family.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from tenfold.models import FAMILIES, Family, Fit, Model, Params
from tenfold.models.linear import LINEAR

FAULTS = ("none", "raise", "diverge", "memory", "die", "hang", "still-none")


class Names(tuple[str, ...]):
    """Names of families; unpickling it imports this module."""

    __slots__ = ()


def _fit(fit: Fit) -> Model:
    fault = fit.params["fault"]
    if fault == "raise":
        raise RuntimeError("a family of somebody else broke")
    if fault == "memory":
        np.empty(2**58)
    if fault == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "hang":  # in native code, as it were: it never asks whether to stop
        threading.Event().wait()
    model = LINEAR.fit(replace(fit, params={"c": 1.0}))
    if fault == "diverge":
        model = replace(model, arrays={k: v * np.nan for k, v in model.arrays.items()})  # type: ignore[type-var, attr-defined]
    return model


def _defaults(task: str) -> tuple[Params, ...]:
    return tuple({"fault": fault} for fault in FAULTS)


FAULTY = replace(LINEAR, name="faulty", fit=_fit, defaults=_defaults, space=None)
SLOW = replace(FAULTY, name="slow", defaults=lambda task: ({"fault": "hang"},))


@contextmanager
def registered(*families: Family) -> Iterator[None]:
    """More families, in this process, for as long as the context lasts."""
    for family in families:
        FAMILIES[family.name] = family
    try:
        yield
    finally:
        for family in families:
            del FAMILIES[family.name]


FAMILIES |= {family.name: family for family in (FAULTY, SLOW)}
