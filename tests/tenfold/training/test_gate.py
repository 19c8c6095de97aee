"""A column that knows the answer is told before anything is fitted, or stops it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from tenfold.errors import DataError
from tenfold.profile import Profile
from tenfold.schema import Column, Kind, Role, Schema
from tenfold.training.gate import leakage_gate

SCHEMA = Schema(
    (
        Column("x", Kind.NUMBER),
        Column("refund", Kind.NUMBER),
        Column("y", Kind.CATEGORY, Role.TARGET, domain=("no", "yes")),
    )
)


def profiles(*, leaks: dict[int, bool]) -> dict[int, Profile]:
    rng = np.random.default_rng(0)
    made = {}
    for fold, leaky in leaks.items():
        y = rng.random(200) < 0.5
        refund = np.where(y, 1.0, 0.0) if leaky else rng.normal(size=200)
        columns = {"x": rng.normal(size=200), "refund": refund, "y": np.where(y, "yes", "no")}
        made[fold] = Profile.from_table(pa.table(columns), SCHEMA)
    return made


def test_what_leaks_is_found() -> None:
    found = leakage_gate(SCHEMA, profiles(leaks={0: True, 1: True}), "warn")
    assert [one.column for one in found] == ["refund"]
    with pytest.raises(DataError, match="no column may know the answer: column 'refund' alone"):
        leakage_gate(SCHEMA, profiles(leaks={0: True, 1: True}), "stop")


def test_an_honest_table_passes() -> None:
    assert leakage_gate(SCHEMA, profiles(leaks={0: False, 1: False}), "stop") == []


def test_the_sealed_rows_have_no_say() -> None:
    assert leakage_gate(SCHEMA, profiles(leaks={-1: True, 0: False, 1: False}), "stop") == []


def test_without_a_target_nothing_can_leak() -> None:
    assert leakage_gate(Schema((Column("x", Kind.NUMBER),)), {}, "stop") == []
