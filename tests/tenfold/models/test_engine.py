"""ONNX answers only where it agrees with the model on every row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from tenfold.models import FAMILIES, Fit, Model, choose_engine


def booster(scale: float = 1.0) -> tuple[Model, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(800, 4)).astype(np.float32)
    y = scale * (x[:, 0] * 100 + rng.normal(size=800))
    params = {"eta": 0.2, "max_depth": 5, "rounds": 80, "target": "none"}
    return FAMILIES["boosting"].fit(Fit(x, y, "regression", 0, params, 0, 1)), x


@dataclass(frozen=True)
class Shifted:
    """A model whose graph belongs to another model, shifted by some share of the spread."""

    inner: Model
    share: float
    family: str = "boosting"
    rounds: int = 1

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        scores = self.inner.predict(matrix)
        return scores + self.share * scores.std()

    def files(self) -> dict[str, bytes]:
        return {}

    def to_onnx(self) -> bytes | None:
        return self.inner.to_onnx()


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_an_agreeing_graph_answers_whatever_the_unit(scale: float) -> None:
    model, x = booster(scale)
    choice = choose_engine(model, x)
    assert choice.name == "onnx"
    assert {"model.onnx", "model.ubj", "arch.json"} == set(choice.files)
    assert np.allclose(choice.score(x), model.predict(x), rtol=1e-5, atol=1e-4 * scale)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_differing_graph_is_not_used(scale: float) -> None:
    model, x = booster(scale)
    choice = choose_engine(Shifted(model, 0.001), x)
    assert choice.name == "xgboost"
    assert "model.onnx" not in choice.files
    assert "beyond" in choice.reason


def test_a_model_that_does_not_convert_keeps_its_engine() -> None:
    model, x = booster()

    class Unconvertible(Shifted):
        def to_onnx(self) -> bytes | None:
            return None

    choice = choose_engine(Unconvertible(model, 0.0), x)
    assert (choice.name, choice.difference) == ("xgboost", None)


def test_a_graph_of_another_shape_is_not_used() -> None:
    model, x = booster()
    rng = np.random.default_rng(1)
    two = FAMILIES["dummy"].fit(Fit(x, rng.integers(0, 2, 800), "binary", 2, {}, 0, 1))

    class Mixed(Shifted):
        def to_onnx(self) -> bytes | None:
            return two.to_onnx()

    assert choose_engine(Mixed(model, 0.0), x).name == "xgboost"
