"""A model that is too slow answers what it would have answered."""

from __future__ import annotations

import numpy as np

from tenfold.inference.pack import draft_predictor
from tenfold.testing.artifacts import small_files
from tenfold.testing.burning import burning
from tenfold.testing.mixed import json_rows, mixed_schema, mixed_table


def test_the_answers_are_the_same() -> None:
    files, draft = small_files("boosting")
    quick = draft_predictor(files, draft)
    slow = draft_predictor(files | {"model.onnx": burning(files["model.onnx"])}, draft)
    codes = quick.encoder.encode_rows(json_rows(mixed_schema(), mixed_table(20)))
    assert np.array_equal(slow.score_codes(codes), quick.score_codes(codes))
