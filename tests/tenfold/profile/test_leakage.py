from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from tenfold.profile import Profile
from tenfold.profile.finding import Law, Level
from tenfold.profile.leakage import leaks, sums
from tenfold.schema import Column, Kind, Role, Schema

RNG = np.random.default_rng(4)
N = 600
COST = Column("cost", Kind.NUMBER, Role.TARGET)


def profiled(target: Column, y: np.ndarray, **features: np.ndarray) -> tuple[Schema, Profile]:
    kinds = {name: Kind.CATEGORY if v.dtype.kind == "U" else Kind.NUMBER
             for name, v in features.items()}  # fmt: skip
    columns = (*(Column(name, kind) for name, kind in kinds.items()), target)
    schema = Schema(columns)
    return schema, Profile.from_table(pa.table({**features, target.name: y}), schema)


def test_honest_features_are_left_alone() -> None:
    x = RNG.normal(size=N)
    schema, profile = profiled(COST, x + RNG.normal(size=N), x=x)
    assert [*leaks(schema, profile), *sums(schema, profile)] == []


def test_an_identifier_is_not_called_a_leak() -> None:
    names = np.array([f"id{i}" for i in range(N)])
    schema, profile = profiled(COST, RNG.normal(size=N), key=names)
    assert list(leaks(schema, profile)) == []


def test_many_classes_are_leaked_by_a_code_of_theirs() -> None:
    codes = RNG.integers(0, 4, N)
    labels = np.array(["a", "b", "c", "d"])
    target = Column("kind", Kind.CATEGORY, Role.TARGET, domain=tuple(labels))
    schema, profile = profiled(target, labels[codes], code=codes.astype(float))
    (found,) = leaks(schema, profile)
    assert (found.level, found.law, found.column) == (Level.ERROR, Law.LEAKAGE, "code")
    assert found.message.startswith("column 'code' alone predicts 'kind' (roc_auc 1.0000)")


@pytest.mark.parametrize("noise, told", [(0.0, True), (1.0, False)])
def test_a_sum_is_told_and_a_noisy_one_is_not(noise: float, *, told: bool) -> None:
    a, b = RNG.normal(size=N), RNG.normal(size=N)
    schema, profile = profiled(COST, a - b + noise * RNG.normal(size=N), a=a, b=b)
    assert bool(list(sums(schema, profile))) is told


def test_a_constant_target_or_a_column_with_gaps_is_no_trouble() -> None:
    a = np.where(np.arange(N) % 7 == 0, np.nan, RNG.normal(size=N))
    schema, profile = profiled(COST, np.zeros(N), a=a, b=np.ones(N), c=RNG.normal(size=N))
    assert list(sums(schema, profile)) == []
