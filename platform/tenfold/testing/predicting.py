"""What every predictor must keep, whatever its engine, as a suite to inherit.

A test class names a way to get a predictor over the mixed table and gets all of it::

    class TestBoosting(PredictorConformance):
        def predictor(self) -> Predictor:
            return draft_predictor(*small_files("boosting"))
"""

# ruff: noqa: S101, D102  (tests, though they live in the library: names say what they check)

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np

from tenfold.errors import DataError, RequestError
from tenfold.features import encode_table
from tenfold.inference import Predictor, build_golden, check_golden, example_row
from tenfold.testing.mixed import json_rows, mixed_table
from tenfold.testing.preprocessing import same_bits

__all__ = ["PredictorConformance"]


class PredictorConformance(ABC):
    """Tests that hold for any predictor whose schema is made of the mixed table's columns."""

    @abstractmethod
    def predictor(self) -> Predictor:
        """The predictor under test."""

    def test_all_doors_give_the_same_bits(self) -> None:
        predictor, table = self.predictor(), mixed_table(300, seed=3)
        whole = predictor.predict_table(table)
        rows = predictor.predict_rows(json_rows(predictor.schema, table))
        codes = predictor.predict_codes(encode_table(predictor.schema, table))
        for other in (rows, codes):
            assert same_bits(whole.scores, other.scores)
            assert whole.values == other.values

    def test_a_row_gets_the_same_bits_alone_and_in_any_batch(self) -> None:
        predictor = self.predictor()
        codes = encode_table(predictor.schema, mixed_table(300, seed=4))
        whole = predictor.predict_codes(codes)
        for size in (1, 2, 7, 64):
            parts = [predictor.predict_codes(codes[i : i + size]) for i in range(0, 128, size)]
            joined = np.vstack([part.scores for part in parts])
            assert same_bits(joined[:128], whole.scores[: len(joined)][:128])
            assert [v for part in parts for v in part.values][:128] == whole.values[:128]

    def test_column_order_and_more_columns_do_not_matter(self) -> None:
        predictor, table = self.predictor(), mixed_table(20)
        turned = table.select(table.column_names[::-1])
        expected = predictor.predict_table(table).scores
        assert same_bits(predictor.predict_table(turned).scores, expected)

    def test_scores_are_finite_and_values_are_known(self) -> None:
        predictor = self.predictor()
        nothing = dict.fromkeys(predictor.encoder.names)
        unseen = example_row(predictor.schema) | {
            c.name: "another world" for c in predictor.columns if c.domain
        }
        answer = predictor.predict_rows([nothing, unseen, example_row(predictor.schema)])
        assert np.isfinite(answer.scores).all()
        assert answer.scores.dtype == np.float64
        assert answer.scores.shape == (3, predictor.manifest.n_scores)
        if predictor.classes:
            assert set(answer.values) <= set(predictor.classes)
            np.testing.assert_allclose(answer.scores.sum(axis=1), 1.0, atol=1e-5)

    def test_no_rows_no_answers(self) -> None:
        predictor = self.predictor()
        answer = predictor.predict_table(mixed_table(3).slice(0, 0))
        assert answer.scores.shape == (0, predictor.manifest.n_scores)
        assert answer.values == []

    def test_a_missing_column_is_refused_by_name(self) -> None:
        predictor = self.predictor()
        name = predictor.columns[0].name
        row = example_row(predictor.schema)
        del row[name]
        narrow = mixed_table(2).drop_columns([name])
        calls: list[Callable[[], object]] = [
            lambda: predictor.predict_rows([row]),
            lambda: predictor.predict_table(narrow),
        ]
        for call in calls:
            try:
                call()
            except (DataError, RequestError) as refused:
                assert repr(name) in str(refused)
            else:
                raise AssertionError("a missing column was not refused")

    def test_golden_rows_are_reproduced(self) -> None:
        predictor = self.predictor()
        data = build_golden(predictor.schema, mixed_table(100), predict=predictor.predict_table)
        assert check_golden(predictor, data) >= 64

    def test_threads_may_share_it(self) -> None:
        predictor, table = self.predictor(), mixed_table(100, seed=6)
        expected = predictor.predict_table(table).scores
        same: list[bool] = []

        def work() -> None:
            same.extend(
                same_bits(predictor.predict_table(table).scores, expected) for _ in range(10)
            )

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert same == [True] * 40
