"""What a booster's trees are besides trees: task, link and unit; and their ONNX graph.

The graph is built from XGBoost's own description of the trees, which the library writes as JSON and
which ``model.ubj`` holds as well: so the graph of a file is told without the library (1.6 s of a
probe's 2.5 s).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tenfold.models.base import TargetMap, n_outputs
from tenfold.models.booster_check import check_booster
from tenfold.models.onnx_graph import Graph
from tenfold.models.tree_graph import tree_attributes
from tenfold.models.ubjson import read_ubjson

__all__ = ["Forest", "WrittenForest"]

FAMILY = "boosting"


@dataclass(frozen=True, slots=True)
class Forest:
    """How the sums of trees become answers.

    Attributes:
        task: of the project.
        n_classes: 0 for a regression.
        n_features: columns of the matrix.
        target: of a regression, the way back to its unit.
        objective: of a regression.
        slots: see `tenfold.models.Fit.slots`.
    """

    task: str
    n_classes: int
    n_features: int
    target: TargetMap
    objective: str = "mean"
    slots: tuple[int, ...] = ()

    @property
    def n_outputs(self) -> int:
        """Columns of a score matrix."""
        return n_outputs(self.task, self.n_classes)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, ``arch.json``."""
        arch: dict[str, Any] = {
            "family": FAMILY,
            "task": self.task,
            "n_classes": self.n_classes,
            "n_features": self.n_features,
            "target": self.target.to_dict(),
        }
        if self.objective != "mean":  # what is the mean keeps the bytes of before
            arch["objective"] = self.objective
        if self.slots:
            arch["slots"] = list(self.slots)
        return arch

    @classmethod
    def from_json(cls, data: bytes) -> Forest:
        """The inverse; `ValueError`, `KeyError` or `TypeError` for what is none."""
        arch = json.loads(data)
        return cls(
            arch["task"],
            arch["n_classes"],
            arch["n_features"],
            TargetMap.from_dict(arch["target"]),
            str(arch.get("objective", "mean")),
            tuple(int(many) for many in arch.get("slots", ())),
        )

    def graph(self, learner: Mapping[str, Any]) -> bytes | None:
        """The trees as one ``TreeEnsembleRegressor``, the link function as plain operators.

        Args:
            learner: of XGBoost's JSON.

        Returns:
            The graph; None of a booster that is not made of trees.
        """
        text = learner["learner_model_param"]["base_score"]
        base = [float(value) for value in text.strip("[]").split(",")]
        booster = learner["gradient_booster"]
        if booster["name"] != "gbtree":
            return None
        if self.task == "binary":
            base = [math.log(base[0] / (1.0 - base[0]))]
        elif self.objective == "count":
            base = [math.log(value) for value in base]
        width = 1 if self.task != "multiclass" else self.n_classes
        graph = Graph(self.n_features)
        trees = booster["model"]["trees"]
        attributes = tree_attributes(trees, booster["model"]["tree_info"], self.slots)
        x = graph.op(
            "TreeEnsembleRegressor",
            "x",
            domain="ai.onnx.ml",
            n_targets=width,
            base_values=base * (width // len(base)),
            aggregate_function="SUM",
            post_transform="NONE",
            **attributes,
        )
        return graph.finish(self._link(graph, graph.double(x)), self.n_outputs)

    def _link(self, graph: Graph, x: str) -> str:
        if self.task == "multiclass":
            return graph.op("Softmax", x, axis=1)
        if self.task == "regression":
            x = graph.op("Exp", x) if self.objective == "count" else x
            return graph.backward(x, self.target)
        p = graph.op("Sigmoid", x)
        return graph.op("Concat", graph.op("Sub", graph.constant(np.array([1.0])), p), p, axis=1)


@dataclass(frozen=True, slots=True)
class WrittenForest:
    """A forest in a file: its graph, without XGBoost.

    Attributes:
        forest: what ``arch.json`` says.
        data: bytes of ``model.ubj``.
    """

    forest: Forest
    data: bytes

    def to_onnx(self) -> bytes | None:
        """The graph that `BoostedModel.to_onnx` gives.

        Raises:
            ArtifactError: the bytes are no booster.
        """
        check_booster(self.data, slots=self.forest.slots)
        return self.forest.graph(_plain(read_ubjson(self.data)["learner"]))


def _plain(value: Any) -> Any:
    """Arrays as lists, as JSON has them."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value.tolist() if isinstance(value, np.ndarray) else value
