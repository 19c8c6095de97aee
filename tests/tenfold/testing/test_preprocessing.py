"""The suite finds what it is there to find."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from tenfold.features import Preprocessor, Recipe
from tenfold.testing.preprocessing import PreprocessingConformance, same_bits


class Uneven(Preprocessor):
    """A row comes out one bit higher alone than in a batch."""

    def transform_row(self, row: Mapping[str, object]) -> np.ndarray:
        return np.nextafter(super().transform_row(row), np.float32(np.inf))


class Greedy(Preprocessor):
    """Writes into what it was given."""

    def transform_codes(self, codes: np.ndarray) -> np.ndarray:
        codes[:, 0] = 0.0
        return super().transform_codes(codes)


class Suite(PreprocessingConformance):
    kind: type[Preprocessor] = Preprocessor

    def fit(self) -> Preprocessor:
        good = super().fit()
        return self.kind(
            good.schema, recipe=Recipe(), ops=good.ops, feature_names=good.feature_names
        )


def test_a_row_path_of_its_own_is_found() -> None:
    suite = Suite()
    suite.kind = Uneven
    with pytest.raises(AssertionError):
        suite.test_batch_equals_row_path_bit_for_bit()


def test_a_changed_input_is_found() -> None:
    suite = Suite()
    suite.kind = Greedy
    with pytest.raises(ValueError, match="read-only"):
        suite.test_input_is_not_changed()


def test_same_bits_tells_bits_types_and_shapes_apart() -> None:
    nan = np.array([np.nan])
    assert same_bits(nan, nan.copy())
    assert not same_bits(nan, -nan)
    assert not same_bits(np.zeros(2), np.zeros(2, np.float32))
    assert not same_bits(np.zeros(2), np.zeros((2, 1)))
