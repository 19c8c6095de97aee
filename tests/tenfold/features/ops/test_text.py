from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.errors import ArtifactError
from tenfold.features.ops import Tfidf, op_from_dict
from tenfold.testing.preprocessing import same_bits

TFIDF = Tfidf((4, 1), ((1.0, 2.5, 0.0), (1.5, 1.0, 3.0)))
SIZES = (0,) * 7
counts = st.integers(0, 10_000).map(float)
rows = st.lists(st.lists(counts, min_size=7, max_size=7), min_size=1, max_size=20)


def run(op: Tfidf, codes: np.ndarray) -> np.ndarray:
    out = np.full((len(codes), op.n_outputs), 99.0, dtype=np.float32)
    op.apply(codes, out)
    return out


@given(rows)
def test_a_row_has_the_same_bits_alone_and_in_a_batch(batch: list[list[float]]) -> None:
    codes = np.array(batch)
    alone = np.vstack([run(TFIDF, codes[i : i + 1]) for i in range(len(codes))])
    assert same_bits(run(TFIDF, codes), alone)


@given(rows)
def test_a_text_is_a_direction_weighted_by_place(batch: list[list[float]]) -> None:
    codes = np.array(batch)
    got = run(TFIDF, codes)
    for block, part, weights in ((codes[:, 4:], got[:, :3], 0), (codes[:, 1:4], got[:, 3:], 1)):
        lengths = np.maximum(np.linalg.norm(block, axis=1, keepdims=True), 1.0)
        np.testing.assert_allclose(part, block / lengths * TFIDF.weights[weights], rtol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        {"weights": [[1.0, 2.0, 3.0]]},
        {"weights": [[1.0, 2.0, 3.0], [1.0, 2.0]]},
        {"weights": [[], []]},
        {"weights": [[1.0, -2.0, 3.0], [1.0, 1.0, 1.0]]},
        {"weights": [[1.0, None, 3.0], [1.0, 1.0, 1.0]]},
        {"weights": [1.0, 2.0]},
        {"columns": [5, 1]},
        {"columns": [-1, 1]},
        {"columns": [], "weights": []},
    ],
)
def test_broken_weights_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ArtifactError, match="op 'tfidf'"):
        op_from_dict(TFIDF.to_dict() | change, sizes=SIZES)


def test_round_trip() -> None:
    assert op_from_dict(TFIDF.to_dict(), sizes=SIZES).to_dict() == TFIDF.to_dict()
