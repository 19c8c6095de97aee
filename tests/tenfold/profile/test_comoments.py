from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from threadpoolctl import threadpool_limits

from tenfold.profile.comoments import CoMoments

NAMES = ("a", "b", "c")


def rows(n: int, *, seed: int, missing: float = 0.2) -> np.ndarray:
    rng = np.random.default_rng(seed)
    matrix = rng.normal(1e4, 1.0, (n, 3)) @ rng.normal(size=(3, 3))
    matrix[rng.random(matrix.shape) < missing] = np.nan
    return matrix


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_pearson_equals_pandas(missing: float) -> None:
    matrix = rows(300, seed=1, missing=missing)
    found = CoMoments.from_columns(NAMES, matrix.T).pearson()
    assert found == pytest.approx(pd.DataFrame(matrix).corr().to_numpy(), abs=1e-9)


@given(st.lists(st.integers(0, 30), min_size=2, max_size=5), st.integers(0, 99))
def test_merging_equals_the_whole_within_1e_9(sizes: list[int], seed: int) -> None:
    matrix = rows(sum(sizes), seed=seed)
    whole = CoMoments.from_columns(NAMES, matrix.T)
    parts = np.split(matrix, np.cumsum(sizes)[:-1])
    merged = CoMoments.from_columns(NAMES, parts[0].T)
    for part in parts[1:]:
        merged = merged.merge(CoMoments.from_columns(NAMES, part.T))
    assert np.array_equal(merged.n, whole.n)
    assert merged.mean == pytest.approx(whole.mean, rel=1e-9)
    scale = np.nanmax(whole.m2, initial=1.0)
    assert merged.m2 == pytest.approx(whole.m2, abs=1e-9 * scale)
    assert merged.c2 == pytest.approx(whole.c2, abs=1e-9 * scale)


def test_a_constant_column_correlates_with_nothing() -> None:
    matrix = np.column_stack([np.full(50, 0.1), np.arange(50.0), np.full(50, np.nan)])
    r = CoMoments.from_columns(NAMES, matrix.T).pearson()
    assert np.isnan(r[0]).all() and np.isnan(r[2]).all()
    assert r[1, 1] == pytest.approx(1.0)


@given(arrays(np.float64, (4, 3), elements=st.floats(allow_nan=True)))
def test_extreme_values_raise_nothing(matrix: np.ndarray) -> None:
    part = CoMoments.from_columns(NAMES, matrix.T)
    r = part.merge(part).pearson()
    assert np.all(np.isnan(r) | (np.abs(r) <= 1.0))


@pytest.mark.parametrize("missing", [0.0, 0.02, 0.6])
def test_many_columns_with_missing_cells_equal_pandas(missing: float) -> None:
    random = np.random.default_rng(5)
    matrix = random.normal(size=(20_000, 19)) + random.normal(size=(20_000, 1))
    matrix[random.random(matrix.shape) < missing * np.linspace(0.0, 1.6, 19)] = np.nan
    found = CoMoments.from_columns([f"c{i}" for i in range(19)], matrix.T)
    frame = pd.DataFrame(matrix)
    there = frame.notna().to_numpy().astype(np.int64)
    assert np.array_equal(found.n, there.T @ there)
    assert found.pearson() == pytest.approx(frame.corr().to_numpy(), abs=1e-9)
    for j in (0, 9, 18):
        rows_with = frame[frame[j].notna()]
        assert found.mean[:, j] == pytest.approx(rows_with.mean().to_numpy(), abs=1e-9)
        spread = ((rows_with - rows_with.mean()) ** 2).sum().to_numpy()
        assert found.m2[:, j] == pytest.approx(spread, rel=1e-9)


def test_the_kind_of_core_does_not_show_in_the_bits() -> None:
    """OpenBLAS takes the kernels of the core that it is told."""
    code = (
        "import hashlib, numpy as np\n"
        "from tenfold.profile.comoments import CoMoments\n"
        "rows = np.random.default_rng(2).normal(size=(9, 5_000))\n"
        "made = CoMoments.from_columns([str(i) for i in range(9)], rows)\n"
        "print(hashlib.sha256(b''.join(a.tobytes() for a in made.arrays().values())).hexdigest())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "OPENBLAS_CORETYPE": core},
            capture_output=True,
            check=True,
        ).stdout
        for core in ("Nehalem", "Haswell")
    }
    assert len(found) == 1


def test_the_number_of_threads_does_not_show_in_the_bits() -> None:
    matrix = np.random.default_rng(2).normal(size=(21, 9_000))
    names = [f"c{i}" for i in range(21)]
    with threadpool_limits(1):
        one = CoMoments.from_columns(names, matrix)
    two = CoMoments.from_columns(names, matrix)
    assert all(
        a.tobytes() == b.tobytes()
        for a, b in zip(one.arrays().values(), two.arrays().values(), strict=True)
    )
