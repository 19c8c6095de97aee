"""Real models that are good on golden rows and bad on some live ones: graphs with a trap.

The trap is sprung by a row that holds one number, which no row of training, reference or golden
rows has (they have round extremes).
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["TRAP", "dying", "failing", "hanging", "shifting", "slowing"]

TRAP = 1_234_500.0
_LOW, _HIGH = 1_234_000.0, 1_235_000.0
_SIDE = 600
_TURNS = 2**62
"""A billion of them take minutes: these take longer than any machine lives."""


def dying(graph: bytes) -> bytes:
    """It divides the least whole number by -1: an x86 processor raises, and the process is gone
    (the runtime looks for zeros only)."""
    nodes = [
        helper.make_node("Where", ["trapped", "t_minus", "t_plus"], ["t_signs"]),
        helper.make_node("Div", ["t_least", "t_signs"], ["t_ratio"]),
        helper.make_node("Sub", ["t_ratio", "t_least"], ["t_rest"]),
        helper.make_node("Cast", ["t_rest"], ["t_zero"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["t_scores", "t_zero"], ["scores"]),
    ]
    least, plus, minus = (np.array(value, np.int64) for value in (-(2**63), 1, -1))
    return _trapped(graph, nodes, t_least=least, t_plus=plus, t_minus=minus)


def failing(graph: bytes) -> bytes:
    """It reads beyond the end of a table: the runtime raises."""
    nodes = [
        helper.make_node("Cast", ["trapped"], ["t_whole"], to=TensorProto.INT64),
        helper.make_node("ReduceMax", ["t_whole"], ["t_any"], keepdims=0),
        helper.make_node("Gather", ["t_table", "t_any"], ["t_zero"]),
        helper.make_node("Add", ["t_scores", "t_zero"], ["scores"]),
    ]
    return _trapped(graph, nodes, t_table=np.zeros(1, np.float32))


def shifting(graph: bytes) -> bytes:
    """The positive class gets a probability of 0.98."""
    nodes = [helper.make_node("Where", ["trapped", "t_high", "t_scores"], ["scores"])]
    return _trapped(graph, nodes, t_high=np.array([[0.02, 0.98]], np.float32))


def slowing(graph: bytes) -> bytes:
    """Forty milliseconds of matrix products that change nothing."""
    square = np.random.default_rng(0).normal(0, 0.04, (_SIDE, _SIDE)).astype(np.float32)
    names = [f"t_{k}" for k in range(9)]
    work = [helper.make_node("Mul", ["t_square", "t_one"], [names[0]])]
    work += [
        helper.make_node("MatMul", [one, "t_square"], [other])
        for one, other in itertools.pairwise(names)
    ]
    work += [
        helper.make_node("ReduceMean", [names[-1]], ["t_mean"], keepdims=0),
        helper.make_node("Mul", ["t_mean", "t_nothing"], ["t_then"]),
    ]
    then = helper.make_graph(work, "slow", [], [_number("t_then")])
    quick = [helper.make_node("Identity", ["t_nothing"], ["t_else"])]
    other = helper.make_graph(quick, "quick", [], [_number("t_else")])
    nodes = [
        *_ANY,
        helper.make_node("If", ["t_any"], ["t_zero"], then_branch=then, else_branch=other),
        helper.make_node("Add", ["t_scores", "t_zero"], ["scores"]),
    ]
    return _trapped(graph, nodes, t_square=square, t_nothing=np.zeros((), np.float32))


def hanging(graph: bytes) -> bytes:
    """It adds nothing to its scores, and never comes to an end of it."""
    inputs = [
        helper.make_tensor_value_info("t_turn", TensorProto.INT64, []),
        helper.make_tensor_value_info("t_on", TensorProto.BOOL, []),
        _number("t_sum"),
    ]
    outputs = [helper.make_tensor_value_info("t_go", TensorProto.BOOL, []), _number("t_more")]
    turn = [
        helper.make_node("Identity", ["t_on"], ["t_go"]),
        helper.make_node("Add", ["t_sum", "t_nothing"], ["t_more"]),
    ]
    body = helper.make_graph(turn, "turn", inputs, outputs)
    nodes = [
        *_ANY,
        helper.make_node("Loop", ["t_turns", "t_any", "t_nothing"], ["t_zero"], body=body),
        helper.make_node("Add", ["t_scores", "t_zero"], ["scores"]),
    ]
    return _trapped(
        graph, nodes, t_turns=np.array(_TURNS, np.int64), t_nothing=np.zeros((), np.float32)
    )


_ANY = (
    helper.make_node("Cast", ["trapped"], ["t_float"], to=TensorProto.FLOAT),
    helper.make_node("ReduceMax", ["t_float"], ["t_one"], keepdims=0),
    helper.make_node("Cast", ["t_one"], ["t_any"], to=TensorProto.BOOL),
)
"""Whether any row of the call is trapped: ``t_any``."""


def _number(name: str) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [])


def _trapped(graph: bytes, nodes: list[Any], **constants: Any) -> bytes:
    """The graph with nodes behind its scores, which may read ``trapped`` (n_rows, 1)."""
    model = onnx.load_from_string(graph)
    del model.metadata_props[:]  # as if another package had converted it: it is not built again
    for node in model.graph.node:
        node.output[:] = ["t_scores" if name == "scores" else name for name in node.output]
    source = model.graph.input[0].name
    constants |= {
        "t_low": np.array(_LOW, np.float32),
        "t_top": np.array(_HIGH, np.float32),
    }
    model.graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in constants.items()
    )
    model.graph.node.extend(
        [
            helper.make_node("Greater", [source, "t_low"], ["t_above"]),
            helper.make_node("Less", [source, "t_top"], ["t_below"]),
            helper.make_node("And", ["t_above", "t_below"], ["t_inside"]),
            helper.make_node("Cast", ["t_inside"], ["t_count"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMax", ["t_count"], ["t_most"], axes=[1], keepdims=1),
            helper.make_node("Cast", ["t_most"], ["trapped"], to=TensorProto.BOOL),
            *nodes,
        ]
    )
    return bytes(model.SerializeToString())
