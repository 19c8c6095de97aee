"""Models whose answer, before the last curve, is a sum over features: exact contributions.

- Trees: Shapley values of every tree along its own paths, by XGBoost; what the rows of training
  did below a split stands in for a feature that is left out.
- One layer: ``weight * (value - mean)``, the Shapley values of a line over some background rows.
- A blend of one such model with a temperature: its sum, divided by the temperature.

Means of probabilities and layers on layers are no sums; `additive_of` gives None for them.

Source: S. Lundberg et al., "From local explanations to global understanding with explainable AI for
trees" (2020), algorithm 2 (``pred_contribs``); S. Lundberg and S.-I. Lee, "A unified approach to
interpreting model predictions" (2017), corollary 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tenfold.models.arrays import ArrayModel
from tenfold.models.base import Matrix, Model, TargetMap
from tenfold.models.blend import BlendModel
from tenfold.models.boosting import BoostedModel

__all__ = ["Additive", "additive_of"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Additive:
    """How a model adds up. Immutable; used from one thread at a time.

    Attributes:
        method: ``tree paths`` or ``coefficients``.
        unit: of the sums, in words.
        parts: a matrix to its contributions, float64 (n_rows, n_margins, n_features + 1), the last
            one being the base; margins are one for numbers and for two classes (of the second), one
            a class for more.
        link: margins (n_rows, n_margins) to the model's scores (n_rows, n_scores).
    """

    method: str
    unit: str
    parts: Callable[[Matrix], Floats]
    link: Callable[[Floats], Floats]


def additive_of(model: Model, background: Matrix) -> Additive | None:
    """How a model adds up; None where it does not.

    Args:
        model: fitted.
        background: prepared rows (n, n_features) that a left-out feature is taken from, where the
            model does not bring its own.
    """
    if isinstance(model, BoostedModel):
        return _trees(model)
    if isinstance(model, ArrayModel):
        return _layer(model, background)
    if isinstance(model, BlendModel):
        return _single(model, background)
    return None


def _trees(model: BoostedModel) -> Additive:
    forest, parts = model.forest, model.contributions
    if forest.task != "regression":
        return Additive("tree paths", _class_unit(forest.n_outputs), parts, _classes)
    if forest.objective == "count":
        return Additive("tree paths", "log of the value", parts, np.exp)
    moved, unit, link = _moved(parts, forest.target)
    return Additive("tree paths", unit, moved, link)


def _layer(model: ArrayModel, background: Matrix) -> Additive | None:
    if model.n_layers != 1 or "numbers" in model.arrays or model.output == "nearest":
        return None
    weights, bias = model.arrays["w0"].T, model.arrays["b0"]
    if model.output == "softmax" and len(weights) == 2:  # as a sigmoid would have it
        weights, bias = weights[1:] - weights[:1], bias[1:] - bias[:1]
    mean = np.asarray(background, dtype=np.float64).mean(axis=0)
    base = weights @ mean + bias

    def parts(matrix: Matrix) -> Floats:
        own = (np.asarray(matrix, dtype=np.float64) - mean)[:, None, :] * weights
        bases = np.broadcast_to(base[None, :, None], (len(own), len(base), 1))
        return np.concatenate([own, bases], axis=2)

    if model.output != "value":
        return Additive("coefficients", _class_unit(model.n_outputs), parts, _classes)
    moved, unit, link = _moved(parts, model.target)
    return Additive("coefficients", unit, moved, link)


def _single(model: BlendModel, background: Matrix) -> Additive | None:
    if len(model.members) != 1 or model.calibration.knots:
        return None
    (member,) = model.members
    own = additive_of(member.model, background[:, member.first : member.last])
    if own is None:
        return None
    inner, heat = own.parts, model.calibration.temperature

    def parts(matrix: Matrix) -> Floats:
        found = inner(np.ascontiguousarray(matrix[:, member.first : member.last])) / heat
        out = np.zeros((len(matrix), found.shape[1], model.n_features + 1))
        out[:, :, member.first : member.last] = found[:, :, :-1]
        out[:, :, -1] = found[:, :, -1]
        return out

    return replace(own, parts=parts)


def _class_unit(n_scores: int) -> str:
    return "log-odds" if n_scores == 2 else "log of the probability, but for what classes share"


def _moved(
    parts: Callable[[Matrix], Floats], target: TargetMap
) -> tuple[Callable[[Matrix], Floats], str, Callable[[Floats], Floats]]:
    """Contributions in the target's unit, or in that of its logarithm."""

    def moved(matrix: Matrix) -> Floats:
        out = parts(matrix) * target.scale
        out[:, :, -1] += target.loc
        return out

    if target.kind == "none":
        return moved, "the target's own", lambda margins: margins
    low, high = target.low, target.high
    return moved, "log of 1 + the value", lambda sums: np.expm1(np.clip(sums, low, high))


def _classes(margins: Floats) -> Floats:
    """Sigmoid of one margin, softmax of several."""
    if margins.shape[1] == 1:
        margins = np.hstack([np.zeros_like(margins), margins])
    powers = np.exp(margins - margins.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
