"""V2 documents: what the server and a model say of themselves, and an inference's answer."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import numpy as np
import orjson

from tenfold.schema import Column, Kind
from tenfold_serve.arms import Arm
from tenfold_serve.doors.extras import extra_facts, extra_tensors
from tenfold_serve.doors.scoring import Answered
from tenfold_serve.doors.tensors import pack
from tenfold_serve.doors.v2_request import InferRequest, WantedOutput
from tenfold_serve.http import Answer

__all__ = [
    "HEADER_LENGTH",
    "datatype_of",
    "model_metadata",
    "render_infer",
    "server_metadata",
    "tensor_of",
    "wanted_outputs",
]

HEADER_LENGTH: Final = b"inference-header-content-length"
_OCTETS: Final = b"application/octet-stream"

_DATATYPES: Final = {Kind.NUMBER: "FP64", Kind.INTEGER: "INT64", Kind.BOOLEAN: "BOOL"}


def datatype_of(column: Column) -> str:
    """The type that a column's tensor is asked for in; any number type is read for numbers.

    >>> datatype_of(Column("age", Kind.INTEGER)), datatype_of(Column("since", Kind.DATETIME))
    ('INT64', 'BYTES')
    """
    return _DATATYPES.get(column.kind, "BYTES")


@cache
def server_metadata() -> dict[str, Any]:
    """``GET v2``."""
    version = importlib.metadata.version("tenfold")
    return {"name": "tenfold", "version": version, "extensions": ["binary_tensor_data"]}


def model_metadata(project: str, arm: Arm, versions: Sequence[int]) -> dict[str, Any]:
    """``GET v2/models/{project}``: one input per column, and what an answer holds."""
    predictor = arm.predictor
    classes = predictor.classes
    value = {"name": "value", "datatype": "BYTES" if classes else "FP64", "shape": [-1]}
    outputs: list[dict[str, Any]] = [{"name": "id", "datatype": "BYTES", "shape": [-1]}, value]
    if classes:
        outputs.append(
            {
                "name": "probabilities",
                "datatype": "FP64",
                "shape": [-1, len(classes)],
                "labels": list(classes),
            }
        )
    return {
        "name": project,
        "versions": [str(version) for version in versions],
        "platform": "tenfold",
        "inputs": [
            {"name": column.name, "datatype": datatype_of(column), "shape": [-1]}
            for column in predictor.columns
        ],
        "outputs": outputs,
        "parameters": {"digest": arm.digest},
    }


def render_infer(answered: Answered, request: InferRequest) -> Answer:
    """The answer, with its tensors as JSON or as bytes behind it."""
    outputs: list[dict[str, Any]] = []
    tail: list[bytes] = []
    for output in wanted_outputs(answered, request):
        datatype, values, shape = tensor_of(answered, output.name)
        tensor: dict[str, Any] = {"name": output.name, "datatype": datatype, "shape": shape}
        if output.binary:
            data = pack(values)
            tensor["parameters"] = {"binary_data_size": len(data)}
            tail.append(data)
        else:
            flat = isinstance(values, np.ndarray)
            tensor["data"] = values.ravel().tolist() if flat else list(values)
        outputs.append(tensor)
    arm = answered.arm
    document: dict[str, Any] = {
        "model_name": answered.project,
        "model_version": str(arm.version),
        **({} if request.id is None else {"id": request.id}),
        "parameters": {"digest": arm.digest, "arm": arm.name, **extra_facts(answered.extras)},
        "outputs": outputs,
    }
    head = orjson.dumps(document)
    if not tail:
        return Answer(200, head)
    length = ((HEADER_LENGTH, str(len(head)).encode()),)
    return Answer(200, b"".join([head, *tail]), _OCTETS, headers=length)


def wanted_outputs(answered: Answered, request: InferRequest) -> Sequence[WantedOutput]:
    """The tensors that a request names; those that its answer has if it names none."""
    if request.outputs is not None:
        return request.outputs
    names = ["id", "value", *(["probabilities"] if answered.arm.predictor.classes else [])]
    names += [] if answered.warnings is None else ["warnings"]
    names += extra_tensors(answered.extras)
    return tuple(WantedOutput(name, request.binary) for name in names)


def tensor_of(answered: Answered, name: str) -> tuple[str, Any, list[int]]:
    """Datatype, values and shape of one output."""
    prediction = answered.prediction
    n_rows = len(answered.ids)
    if name == "id":
        return "BYTES", answered.ids, [n_rows]
    if name == "probabilities" and answered.arm.predictor.classes:
        return "FP64", prediction.scores, list(prediction.scores.shape)
    extra = extra_tensors(answered.extras).get(name)
    if extra is not None:
        return ("BOOL" if name == "set" else "FP64"), extra, list(extra.shape)
    if name == "warnings":
        told = answered.warnings or [[] for _ in answered.ids]
        texts = [orjson.dumps([c.to_dict() for c in row]).decode() for row in told]
        return "BYTES", texts, [n_rows]
    if not answered.arm.predictor.classes:  # the number, also where probabilities were asked for
        return "FP64", np.array(prediction.values, dtype=np.float64), [n_rows]
    return "BYTES", prediction.values, [n_rows]
