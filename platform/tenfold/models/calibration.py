"""What makes probabilities mean what they say: a temperature, or a monotone curve.

A calibration is data: it is chosen on out-of-fold scores (`tenfold.training.calibrate`), kept in
the model's files, and runs inside the model's one graph. Both kinds keep the order of the rows of a
binary task: no two different scores become equal, so a rank measure stays what it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.errors import ArtifactError
from tenfold.models.onnx_graph import Graph

__all__ = ["MIN_PROBABILITY", "NO_CALIBRATION", "Calibration"]

MIN_PROBABILITY = 1e-15
MAX_KNOTS = 256

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Calibration:
    """A map from probabilities to probabilities.

    Attributes:
        temperature: above 0; logits are divided by it, so more makes answers less sure.
        knots: of a curve for the second of two classes: (probability, calibrated), both rising
            strictly from 0 to 1; () for none. The curve is straight between knots.

    Source: C. Guo et al., "On calibration of modern neural networks" (2017), section 4.2;
    B. Zadrozny and C. Elkan, "Transforming classifier scores into accurate multiclass probability
    estimates" (2002).

    Raises:
        ArtifactError: numbers that are no calibration.

    >>> Calibration(temperature=2.0).apply(np.array([[0.2, 0.8]])).round(4)
    array([[0.3333, 0.6667]])
    >>> Calibration(knots=((0.0, 0.0), (0.5, 0.3), (1.0, 1.0))).apply(np.array([[0.5, 0.5]]))
    array([[0.7, 0.3]])
    """

    temperature: float = 1.0
    knots: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        rises = all(a < b and c < d for (a, c), (b, d) in pairwise(self.knots))
        ends = not self.knots or (
            len(self.knots) >= 2
            and self.knots[0][0] == 0.0
            and self.knots[-1][0] == 1.0
            and 0.0 <= self.knots[0][1] <= self.knots[-1][1] <= 1.0
        )
        one_kind = self.temperature == 1.0 or not self.knots
        fits = rises and ends and one_kind and len(self.knots) <= MAX_KNOTS
        if not (fits and 0.0 < self.temperature < float("inf")):
            raise ArtifactError(
                f"a calibration is a temperature above 0 (it is {self.temperature}) or a rising "
                f"curve over 0..1 of up to {MAX_KNOTS} knots (it has {len(self.knots)}); "
                "publish the model again"
            )

    @property
    def is_none(self) -> bool:
        """Whether it changes nothing."""
        return self.temperature == 1.0 and not self.knots

    @property
    def words(self) -> str:
        """For people.

        >>> Calibration().words, Calibration(1.25).words
        ('none', 'temperature 1.25')
        """
        if self.knots:
            return f"isotonic, {len(self.knots)} knots"
        return "none" if self.is_none else f"temperature {self.temperature:.3g}"

    def apply(self, scores: Scores) -> Scores:
        """Calibrated probabilities (n_rows, k); rows sum to 1."""
        if self.is_none:
            return scores
        if self.knots:
            x, y = np.array(self.knots).T
            p = np.interp(scores[:, 1], x, y)
            return np.column_stack([1.0 - p, p])
        logits = np.log(np.maximum(scores, MIN_PROBABILITY)) / self.temperature
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    def add_to(self, graph: Graph, scores: str) -> str:
        """The same as operators on a double matrix of a graph; gives the name of the result."""
        if self.is_none:
            return scores
        if self.knots:
            return self._curve(graph, scores)
        floor = graph.constant(np.array(MIN_PROBABILITY))
        logits = graph.op("Log", graph.op("Max", scores, floor))
        scaled = graph.op("Div", logits, graph.constant(np.array([self.temperature])))
        return graph.op("Softmax", scaled, axis=1)

    def _curve(self, graph: Graph, scores: str) -> str:
        """The curve as its first value plus what each straight piece has climbed so far."""
        x, y = np.array(self.knots).T
        low, high = graph.constant(x[:-1]), graph.constant(x[1:])
        slope = graph.constant(np.diff(y) / np.diff(x))
        p = graph.columns(scores, 1, 2)
        inside = graph.op("Sub", graph.op("Min", graph.op("Max", p, low), high), low)
        axis = graph.constant(np.array([1], dtype=np.int64))
        climbed = graph.op("ReduceSum", graph.op("Mul", inside, slope), axis, keepdims=1)
        q = graph.op("Add", climbed, graph.constant(np.array([y[0]])))
        one = graph.constant(np.array([1.0]))
        return graph.op("Concat", graph.op("Sub", one, q), q, axis=1)

    def to_dict(self) -> dict[str, Any]:
        """JSON values; `from_dict` is the inverse."""
        return {"temperature": self.temperature, "knots": [list(knot) for knot in self.knots]}

    @classmethod
    def from_dict(cls, value: Any) -> Calibration:
        """The inverse of `to_dict`, for JSON that nobody should trust.

        Raises:
            ArtifactError: it is no calibration.
        """
        try:
            if not isinstance(value, Mapping) or set(value) != {"temperature", "knots"}:
                raise ValueError(f"{value!r} is not a temperature and knots")
            knots = tuple((float(x), float(y)) for x, y in value["knots"])
            return cls(float(value["temperature"]), knots)
        except (TypeError, ValueError) as error:
            raise ArtifactError(
                f"a calibration is broken ({error}); publish the model again"
            ) from error


NO_CALIBRATION = Calibration()
