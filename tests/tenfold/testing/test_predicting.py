"""The suite finds what it is there to find."""

from __future__ import annotations

import numpy as np
import pytest

from tenfold.inference import Predictor
from tenfold.inference.pack import draft_predictor
from tenfold.testing.artifacts import small_files
from tenfold.testing.predicting import PredictorConformance

GOOD = draft_predictor(*small_files("linear"))


class BatchDependent:
    """Adds a little that depends on the size of the batch."""

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        scores = GOOD._engine.predict(matrix)
        return scores + np.array([1e-12, -1e-12]) * len(matrix)


class Suite(PredictorConformance):
    def predictor(self) -> Predictor:
        return Predictor(GOOD.manifest, preprocessor=GOOD.preprocessor, engine=BatchDependent())


def test_an_answer_that_depends_on_the_batch_is_found() -> None:
    with pytest.raises(AssertionError):
        Suite().test_a_row_gets_the_same_bits_alone_and_in_any_batch()
