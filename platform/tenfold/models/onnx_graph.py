"""Small hand-built ONNX graphs: every operator and the objective are stated, nothing is guessed.

Array models compute in double inside the graph and cast the result to float32. That costs some
microseconds a row and buys answers that do not depend on the batch: float32 matrix products differ
in their last bits between one row and many, and rounding a double hides that.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.models.base import TargetMap

__all__ = ["BUILDER", "BUILDER_KEY", "Graph"]

OPSET = 17
"""Old enough for any runtime of the last years, new enough for every operator used here."""
OPSET_ML = 3
IR_VERSION = 8
BUILDER_KEY = "tenfold.builder"
BUILDER = "1"
"""Stands in every graph. Raised when the graph of some model changes: older graphs are then not
built again for comparison (`tenfold.models.rebuilt`)."""


class Graph:
    """Collects nodes; ``x`` is the input, ``finish`` names the output ``scores``."""

    def __init__(self, n_features: int) -> None:
        self.n_features = n_features
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def constant(self, value: NDArray[Any]) -> str:
        """Adds an array and gives its name."""
        from onnx import numpy_helper

        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def op(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Adds a node with one output and gives the output's name."""
        from onnx import helper

        name = f"n{len(self._nodes)}"
        node = helper.make_node(kind, list(inputs), [name], domain=domain, **attributes)
        self._nodes.append(node)
        return name

    def double(self, name: str) -> str:
        """The value as float64."""
        from onnx import TensorProto

        return self.op("Cast", name, to=TensorProto.DOUBLE)

    def columns(self, name: str, first: int, last: int) -> str:
        """Columns ``first .. last - 1`` of a matrix."""
        if (first, last) == (0, self.n_features):
            return name
        starts, ends, axes = (
            self.constant(np.array([value], dtype=np.int64)) for value in (first, last, 1)
        )
        return self.op("Slice", name, starts, ends, axes)

    def include(self, model: bytes, x: str) -> str:
        """Adds another graph of this kind with ``x`` as its input; gives its ``scores``.

        Args:
            model: bytes that `finish` gave.
            x: name of a float32 matrix as wide as that graph's input.
        """
        import onnx

        inner = onnx.load_model_from_string(model).graph
        prefix = f"g{len(self._nodes)}."
        known = {"x": x}
        for array in inner.initializer:
            known[array.name] = f"{prefix}{array.name}"
            array.name = known[array.name]
            self._constants.append(array)
        for node in inner.node:
            for index, name in enumerate(node.output):
                known[name] = f"{prefix}{name}"
                node.output[index] = known[name]
            for index, name in enumerate(node.input):
                node.input[index] = known[name]
            self._nodes.append(node)
        return known["scores"]

    def backward(self, name: str, target: TargetMap) -> str:
        """``TargetMap.backward`` on a double value."""
        if target.scale != 1.0:
            name = self.op("Mul", name, self.constant(np.array([target.scale])))
        if target.loc != 0.0:
            name = self.op("Add", name, self.constant(np.array([target.loc])))
        if target.kind == "none":
            return name
        low, high = self.constant(np.array(target.low)), self.constant(np.array(target.high))
        name = self.op("Exp", self.op("Clip", name, low, high))
        return self.op("Sub", name, self.constant(np.array([1.0])))

    def finish(self, name: str, n_outputs: int) -> bytes:
        """The checked model as bytes; ``name`` becomes ``scores`` float32 (n_rows, n_outputs)."""
        import onnx
        from onnx import TensorProto, helper

        self._nodes.append(helper.make_node("Cast", [name], ["scores"], to=TensorProto.FLOAT))
        floats = TensorProto.FLOAT
        graph = helper.make_graph(
            self._nodes,
            "tenfold",
            [helper.make_tensor_value_info("x", floats, [None, self.n_features])],
            [helper.make_tensor_value_info("scores", floats, [None, n_outputs])],
            self._constants,
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", OPSET_ML)]
        model = helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="tenfold"
        )
        helper.set_model_props(model, {BUILDER_KEY: BUILDER})
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())
