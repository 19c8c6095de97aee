"""Messages of the Open Inference Protocol's gRPC service, made from their descriptor at start.

No generated code: generated modules are bound to one release of protobuf and register themselves
for the whole process. These live in a pool of their own.

Source: kserve/open-inference-protocol, "Inference gRPC API" (``grpc_service.proto``, package
``inference``); ``double_param`` and ``uint64_param`` are Triton's extension of a parameter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

__all__ = ["CONTENTS", "SERVICE", "message", "parameter", "parameters_of"]

SERVICE: Final = "inference.GRPCInferenceService"
_PACKAGE: Final = "inference"
_MAP: Final = "map InferParameter"
_CHOICE: Final = "parameter_choice"

_NAMED: Final = {"name": (1, "string"), "version": (2, "string")}
_TENSOR: Final = {
    "name": (1, "string"),
    "datatype": (2, "string"),
    "shape": (3, "* int64"),
    "parameters": (4, _MAP),
    "contents": (5, "InferTensorContents"),
}
_MODEL: Final = {
    "model_name": (1, "string"),
    "model_version": (2, "string"),
    "id": (3, "string"),
    "parameters": (4, _MAP),
}
MESSAGES: Final[dict[str, Mapping[str, tuple[int, str]]]] = {
    "ServerLiveRequest": {},
    "ServerLiveResponse": {"live": (1, "bool")},
    "ServerReadyRequest": {},
    "ServerReadyResponse": {"ready": (1, "bool")},
    "ModelReadyRequest": _NAMED,
    "ModelReadyResponse": {"ready": (1, "bool")},
    "ServerMetadataRequest": {},
    "ServerMetadataResponse": {**_NAMED, "extensions": (3, "* string")},
    "ModelMetadataRequest": _NAMED,
    "TensorMetadata": {"name": (1, "string"), "datatype": (2, "string"), "shape": (3, "* int64")},
    "ModelMetadataResponse": {
        "name": (1, "string"),
        "versions": (2, "* string"),
        "platform": (3, "string"),
        "inputs": (4, "* TensorMetadata"),
        "outputs": (5, "* TensorMetadata"),
    },
    "InferParameter": {
        "bool_param": (1, "bool"),
        "int64_param": (2, "int64"),
        "string_param": (3, "string"),
        "double_param": (4, "double"),
        "uint64_param": (5, "uint64"),
    },
    "InferTensorContents": {
        "bool_contents": (1, "* bool"),
        "int_contents": (2, "* int32"),
        "int64_contents": (3, "* int64"),
        "uint_contents": (4, "* uint32"),
        "uint64_contents": (5, "* uint64"),
        "fp32_contents": (6, "* float"),
        "fp64_contents": (7, "* double"),
        "bytes_contents": (8, "* bytes"),
    },
    "InferInputTensor": _TENSOR,
    "InferRequestedOutputTensor": {"name": (1, "string"), "parameters": (2, _MAP)},
    "InferOutputTensor": _TENSOR,
    "ModelInferRequest": {
        **_MODEL,
        "inputs": (5, "* InferInputTensor"),
        "outputs": (6, "* InferRequestedOutputTensor"),
        "raw_input_contents": (7, "* bytes"),
    },
    "ModelInferResponse": {
        **_MODEL,
        "outputs": (5, "* InferOutputTensor"),
        "raw_output_contents": (6, "* bytes"),
    },
}
"""By message, its fields: number and type; ``*`` is a list. The protocol nests the tensors inside
their requests, which changes nothing on the wire."""

CONTENTS: Final = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""Where a tensor's values stand if they are not raw, by datatype; FP16 comes raw only."""

_FIELD: Final = descriptor_pb2.FieldDescriptorProto


@cache
def _pool() -> descriptor_pool.DescriptorPool:
    file = descriptor_pb2.FileDescriptorProto(
        name="tenfold/inference.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, fields in MESSAGES.items():
        made = file.message_type.add(name=name)
        if name == "InferParameter":
            made.oneof_decl.add(name=_CHOICE)
        for field, (number, kind) in fields.items():
            _add_field(made, field, number, kind)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool


def _add_field(made: Any, name: str, number: int, kind: str) -> None:
    field = made.field.add(name=name, number=number, label=_FIELD.LABEL_OPTIONAL)
    if kind.startswith("* "):
        field.label, kind = _FIELD.LABEL_REPEATED, kind[2:]
    if kind == _MAP:  # a list of entries, each with a key and a value
        entry = made.nested_type.add(name=f"{name.title()}Entry")
        entry.options.map_entry = True
        _add_field(entry, "key", 1, "string")
        _add_field(entry, "value", 2, "InferParameter")
        field.label, field.type = _FIELD.LABEL_REPEATED, _FIELD.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{made.name}.{entry.name}"
    elif kind in MESSAGES:
        field.type, field.type_name = _FIELD.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
    else:
        field.type = getattr(_FIELD, f"TYPE_{kind.upper()}")
        if made.name == "InferParameter":
            field.oneof_index = 0


@cache
def message(name: str) -> Any:
    """The class of a message.

    >>> data = message("ModelReadyRequest")(name="adult").SerializeToString()
    >>> message("ModelReadyRequest").FromString(data).name
    'adult'
    """
    found = _pool().FindMessageTypeByName(f"{_PACKAGE}.{name}")
    return message_factory.GetMessageClass(found)


def parameter(value: bool | float | str) -> Any:  # noqa: FBT001  (a value of the protocol)
    """A value as a parameter."""
    kinds = {bool: "bool_param", int: "int64_param", float: "double_param", str: "string_param"}
    return message("InferParameter")(**{kinds[type(value)]: value})


def parameters_of(found: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as plain values.

    >>> parameters_of({"level": parameter(0.9), "binary": parameter(True)})
    {'level': 0.9, 'binary': True}
    """
    chosen: Sequence[tuple[str, Any]] = [
        (name, (value, value.WhichOneof(_CHOICE))) for name, value in found.items()
    ]
    return {name: getattr(value, which) for name, (value, which) in chosen if which}
