from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from tenfold.errors import ArtifactError
from tenfold.inference import Predictor, build_golden, check_golden
from tenfold.inference.golden import MAX_CATEGORY_ROWS, N_GOLDEN_ROWS, golden_inputs
from tenfold.inference.pack import draft_predictor
from tenfold.schema import Column, Schema
from tenfold.testing.artifacts import small_files
from tenfold.testing.mixed import mixed_schema, mixed_table

PREDICTOR = draft_predictor(*small_files("linear"))


def test_golden_rows_hold_nulls_unseen_categories_and_extremes() -> None:
    table = golden_inputs(mixed_schema(), mixed_table(500))
    rows = table.to_pylist()
    assert table.num_rows >= N_GOLDEN_ROWS
    assert any(all(value is None for value in row.values()) for row in rows)
    assert any("unseen" in (row["color"] or "") for row in rows)
    assert max(row["age"] or 0 for row in rows) > 1e6
    assert min(row["amount"] or 0.0 for row in rows) < -1e6
    assert "label" not in table.column_names


@pytest.mark.parametrize("n_rows", [1, 2, 63, 64, 65])
def test_few_rows_are_enough(n_rows: int) -> None:
    data = build_golden(mixed_schema(), mixed_table(n_rows), predict=PREDICTOR.predict_table)
    assert check_golden(PREDICTOR, data) >= N_GOLDEN_ROWS


def test_same_rows_same_bytes() -> None:
    one, other = (
        build_golden(mixed_schema(), mixed_table(100), predict=PREDICTOR.predict_table)
        for _ in range(2)
    )
    assert one == other


def test_no_rows_are_refused() -> None:
    with pytest.raises(ArtifactError, match="at least one row"):
        build_golden(mixed_schema(), mixed_table(1).slice(0, 0), predict=PREDICTOR.predict_table)


class Shifted:
    """The linear engine with every score moved, by a little or by much."""

    def __init__(self, by: float) -> None:
        self.by = by

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        return PREDICTOR._engine.predict(matrix) + self.by


def shifted(by: float) -> Predictor:
    return Predictor(PREDICTOR.manifest, preprocessor=PREDICTOR.preprocessor, engine=Shifted(by))


def test_a_score_that_moved_is_found_and_the_last_bits_are_forgiven() -> None:
    data = build_golden(mixed_schema(), mixed_table(100), predict=PREDICTOR.predict_table)
    check_golden(shifted(1e-8), data)
    with pytest.raises(ArtifactError, match=r"golden row 0 must score .* rows differ"):
        check_golden(shifted(1e-3), data)


def test_a_score_that_is_no_number_is_never_published() -> None:
    with pytest.raises(ArtifactError, match="every row must get a finite score"):
        build_golden(mixed_schema(), mixed_table(5), predict=shifted(np.nan).predict_table)


def test_an_answer_that_turned_is_found() -> None:
    data = build_golden(mixed_schema(), mixed_table(100), predict=PREDICTOR.predict_table)
    table = pa.ipc.open_file(pa.BufferReader(data)).read_all()
    place = table.column_names.index("__value")
    turned = ["no" if v == "yes" else "yes" for v in table.column("__value").to_pylist()]
    sink = pa.BufferOutputStream()
    other = table.set_column(place, "__value", pa.array(turned))
    with pa.ipc.new_file(sink, other.schema) as writer:
        writer.write_table(other)
    with pytest.raises(ArtifactError, match="golden row 0 must be answered"):
        check_golden(PREDICTOR, sink.getvalue().to_pybytes())


class OneByOne:
    """An engine whose answer depends on the size of the batch."""

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        scores = PREDICTOR._engine.predict(matrix)
        return np.nextafter(scores, 2.0) if self.turn() else scores

    def __init__(self) -> None:
        self.n_calls = 0

    def turn(self) -> bool:
        self.n_calls += 1
        return self.n_calls % 2 == 0


def test_doors_that_differ_in_one_bit_are_found() -> None:
    data = build_golden(mixed_schema(), mixed_table(100), predict=PREDICTOR.predict_table)
    uneven = Predictor(PREDICTOR.manifest, preprocessor=PREDICTOR.preprocessor, engine=OneByOne())
    with pytest.raises(ArtifactError, match="other answers as JSON than as a table"):
        check_golden(uneven, data)


def with_domains(**domains: tuple[str, ...]) -> Schema:
    """The mixed table's schema with other known categories."""

    def known(column: Column) -> Column:
        return replace(column, domain=domains.get(column.name, column.domain))

    return Schema(tuple(map(known, mixed_schema().columns)))


def test_every_known_category_of_every_column_is_there() -> None:
    texts = tuple(f"c{k}" for k in range(90))
    found = golden_inputs(with_domains(color=texts, city=("x", "y")), mixed_table(10))
    assert set(texts) <= set(found.column("color").to_pylist())
    assert {"x", "y"} <= set(found.column("city").to_pylist())
    many = tuple(f"c{k}" for k in range(10 * MAX_CATEGORY_ROWS))
    found = golden_inputs(with_domains(color=many), mixed_table(10))
    assert found.num_rows < 2 * MAX_CATEGORY_ROWS


def test_the_limits_of_intervals_are_in_it_once_more() -> None:
    golden = build_golden(
        mixed_schema(), mixed_table(70), predict=PREDICTOR.predict_table, limits=b"{}"
    )
    with pytest.raises(ArtifactError, match=r"conformal\.json must be what the golden rows"):
        check_golden(PREDICTOR, golden)
    kept = Predictor(
        PREDICTOR.manifest,
        preprocessor=PREDICTOR.preprocessor,
        engine=PREDICTOR._engine,
        files={"conformal.json": b"{}"},
    )
    assert check_golden(kept, golden) >= N_GOLDEN_ROWS
