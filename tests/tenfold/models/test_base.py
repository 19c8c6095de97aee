"""The target map is its own inverse, and never leaves its range."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tenfold.models import TargetMap

TARGETS = arrays(np.float64, st.integers(2, 30), elements=st.floats(0, 1e6))


@given(TARGETS, st.sampled_from(["none", "log1p"]), st.booleans())
def test_backward_undoes_forward(target: np.ndarray, kind: str, standardise: bool) -> None:
    mapped = TargetMap.fit(target, kind, standardise=standardise)
    assert np.allclose(mapped.backward(mapped.forward(target)), target, rtol=1e-6, atol=1e-6)
    assert TargetMap.from_dict(mapped.to_dict()) == mapped


@given(TARGETS)
def test_log_predictions_stay_near_the_training_range(target: np.ndarray) -> None:
    mapped = TargetMap.fit(target, "log1p")
    wild = mapped.backward(np.array([-1e3, 1e3]))
    room = TargetMap.MARGIN * np.ptp(np.log1p(target))
    assert np.log1p(wild[1]) <= np.log1p(target.max()) + room + 1e-9
    assert wild[0] >= np.expm1(np.log1p(target.min()) - room) - 1e-9


def test_log_of_a_negative_target_is_refused() -> None:
    with pytest.raises(ValueError, match="smallest is -1"):
        TargetMap.fit(np.array([-1.0, 2.0]), "log1p")
