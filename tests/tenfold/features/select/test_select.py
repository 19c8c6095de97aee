"""The parts of the selection that read no model: shuffled copies, the vote, the first filter."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from tenfold.features.select import MAX_COMPARED, MAX_SHADOWS, add_shadows, beats_shadows, strongest
from tenfold.profile import Profile
from tenfold.schema import Column, Kind, Role, Schema


def test_shadows_are_shuffled_copies_behind_the_columns() -> None:
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(100, 40)).astype(np.float32)
    both = add_shadows(matrix, seed=3)
    assert both.shape == (100, 40 + MAX_SHADOWS)
    assert np.array_equal(both[:, :40], matrix)
    columns = {np.sort(column).tobytes() for column in matrix.T}
    shadows = both[:, 40:]
    assert len({np.sort(shadow).tobytes() for shadow in shadows.T} & columns) == MAX_SHADOWS
    assert not any((shadow == column).all() for shadow in shadows.T for column in matrix.T)
    assert np.array_equal(both, add_shadows(matrix, seed=3))
    assert not np.array_equal(both, add_shadows(matrix, seed=4))


def test_a_narrow_matrix_has_a_shadow_for_each_column_and_nan_stays() -> None:
    matrix = np.array([[1.0, np.nan], [2.0, 5.0], [3.0, 6.0]], dtype=np.float32)
    both = add_shadows(matrix, seed=0)
    assert both.shape == (3, 4)
    assert np.isnan(both).sum() == 2


def test_a_column_must_beat_every_shadow_in_most_parts() -> None:
    shadow = [2.0, 1.0]
    gains = np.array([[3.0, 3.0, 2.0, 9.0, *shadow], [3.0, 0.0, 2.0, 0.0, *shadow],
                      [3.0, 3.0, 2.0, 0.0, *shadow]])  # fmt: skip
    assert beats_shadows(gains, n_columns=4).tolist() == [True, True, False, False]


def test_the_first_filter_keeps_the_strongest_and_their_order() -> None:
    rng = np.random.default_rng(1)
    y = rng.choice(["no", "yes"], 400)
    noise = {f"x{k}": rng.normal(size=400) for k in range(8)}
    data = noise | {"x3": (y == "yes") + rng.normal(size=400), "x6": (y == "no") * 1.0, "y": y}
    schema = Schema(
        (
            *(Column(name, Kind.NUMBER) for name in noise),
            Column("y", Kind.CATEGORY, Role.TARGET, domain=("no", "yes")),
        )
    )
    profile = Profile.from_table(pa.table(data), schema)
    assert strongest(schema, profile, most=2) == (3, 6)
    assert strongest(schema, profile) == tuple(range(8))
    assert MAX_COMPARED > 8
