from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.errors import ArtifactError
from tenfold.models.calibration import Calibration
from tenfold.models.onnx_graph import Graph

CURVE = Calibration(knots=((0.0, 0.01), (0.2, 0.1), (0.7, 0.8), (1.0, 0.99)))
SHARES = st.lists(st.floats(0.001, 1.0), min_size=2, max_size=5)


@given(SHARES, st.floats(0.1, 10.0))
def test_a_temperature_keeps_order_and_sums(raw: list[float], temperature: float) -> None:
    scores = np.array([raw]) / sum(raw)
    warm = Calibration(temperature).apply(scores)
    assert warm.sum() == pytest.approx(1.0)
    assert np.all((np.diff(warm[0]) >= -1e-12) | (np.diff(scores[0]) < 0))


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_a_curve_keeps_the_order_of_rows(one: float, other: float) -> None:
    p = np.array([min(one, other), max(one, other)])
    low, high = CURVE.apply(np.column_stack([1 - p, p]))[:, 1]
    assert 0.0 <= low <= high <= 1.0
    assert (low < high) == (p[1] - p[0] > 1e-12) or p[1] - p[0] < 1e-12


@pytest.mark.parametrize("made", [Calibration(), Calibration(0.7), CURVE])
def test_the_graph_and_the_json_say_the_same(made: Calibration) -> None:
    p = np.r_[np.linspace(0, 1, 201), 0.2, 0.7].astype(np.float32)
    scores = np.column_stack([1 - p, p])
    graph = Graph(2)
    data = graph.finish(made.add_to(graph, graph.double("x")), 2)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    (out,) = session.run(["scores"], {"x": scores})
    expected = made.apply(scores.astype(np.float64)).astype(np.float32)
    np.testing.assert_allclose(out, expected, rtol=1e-6, atol=1e-7)
    assert Calibration.from_dict(made.to_dict()) == made
    assert made.is_none == (made == Calibration())


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        {"temperature": 1.0},
        {"temperature": 0.0, "knots": []},
        {"temperature": float("nan"), "knots": []},
        {"temperature": "warm", "knots": []},
        {"temperature": 2.0, "knots": [[0, 0], [1, 1]]},  # both kinds
        {"temperature": 1.0, "knots": [[0, 0]]},
        {"temperature": 1.0, "knots": [[0, 0], [0.5, 0.6]]},  # ends before 1
        {"temperature": 1.0, "knots": [[0, 0], [0.5, 0.0], [1, 1]]},  # flat
        {"temperature": 1.0, "knots": [[0, 0], [1, 1.2]]},
        {"temperature": 1.0, "knots": [[0, 0, 0], [1, 1, 1]]},
        {"temperature": 1.0, "knots": [[i / 300, i / 300] for i in range(301)]},
    ],
)
def test_what_is_no_calibration_is_refused(value: object) -> None:
    with pytest.raises(ArtifactError, match="calibration is"):
        Calibration.from_dict(value)
