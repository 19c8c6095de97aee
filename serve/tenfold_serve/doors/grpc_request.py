"""A gRPC inference request as the V2 doors know one: columns, outputs, id, level.

Values stand in ``raw_input_contents``, one entry a tensor as in the binary form of REST, or in each
tensor's typed ``contents``; never both. Masks (``{column}.missing``) and laws are those of REST.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from tenfold.errors import RequestError
from tenfold.features.columnpath import Columns
from tenfold_serve.doors.grpc_messages import CONTENTS, parameters_of
from tenfold_serve.doors.tensors import NUMBERS, check_length, n_elements, parse_json, unpack
from tenfold_serve.doors.v2_request import OUTPUTS, InferRequest, WantedOutput, without_masks
from tenfold_serve.doors.wants import read_level

__all__ = ["read_message"]

_MAX_ID = 256
_MAX_NAME = 1000


def read_message(message: Any, *, max_rows: int, columns: Collection[str]) -> InferRequest:
    """Read a ``ModelInferRequest``.

    Args:
        message: as it came.
        max_rows: most rows.
        columns: names that the model knows; one of them is never a mask.

    Raises:
        RequestError: something is not as the protocol says.
    """
    if not message.inputs:
        raise RequestError("a request has inputs: one tensor per column")
    if len(message.inputs) > 2 * len(columns):
        raise RequestError(
            f"a request has at most one tensor per column, not {len(message.inputs)}"
        )
    raw = message.raw_input_contents
    if raw and len(raw) != len(message.inputs):
        raise RequestError(
            f"{len(message.inputs)} inputs have as many raw_input_contents, not {len(raw)}"
        )
    cells: dict[str, Any] = {}
    for place, tensor in enumerate(message.inputs):
        if not 0 < len(tensor.name) <= _MAX_NAME:
            raise RequestError("a tensor has the name of its column")
        if tensor.name in cells:
            raise RequestError(f"tensor {tensor.name[:40]!r} comes twice")
        cells[tensor.name] = _values(tensor, raw[place] if raw else None, max_rows=max_rows)
    if len(message.id) > _MAX_ID:
        raise RequestError(f"id is a text of at most {_MAX_ID} characters")
    level = parameters_of(message.parameters).get("level")
    return InferRequest(
        Columns.of(without_masks(cells, columns)),
        _outputs(message),
        binary=True,
        id=message.id or None,
        n_bytes=message.ByteSize(),
        level=None if level is None else read_level(level),
    )


def _values(tensor: Any, raw: bytes | None, *, max_rows: int) -> Any:
    shown, datatype = tensor.name[:40], tensor.datatype
    if datatype not in NUMBERS and datatype != "BYTES":
        known = ", ".join((*NUMBERS, "BYTES"))
        raise RequestError(f"tensor {shown!r} has one of the datatypes {known}")
    n_rows = n_elements(shown, list(tensor.shape[:3]), most=max_rows)
    given = [field.name for field, _values in tensor.contents.ListFields()]
    if raw is not None:
        if given:
            raise RequestError(f"tensor {shown!r} has raw contents or {given[0]}, not both")
        return unpack(shown, datatype, memoryview(raw), n_rows=n_rows)
    own = CONTENTS.get(datatype)
    if own is None or given not in ([], [own]):
        raise RequestError(
            f"the values of tensor {shown!r}, {datatype}, stand in {own or 'raw_input_contents'}"
        )
    held = getattr(tensor.contents, own)
    check_length(shown, len(held), n_rows=n_rows)
    values = list(held)
    if datatype == "BYTES":
        values = [_text(shown, place, value) for place, value in enumerate(values)]
    return parse_json(shown, datatype, values, n_rows=n_rows)


def _text(name: str, place: int, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise RequestError(f"tensor {name!r}: element {place} is no UTF-8") from error


def _outputs(message: Any) -> tuple[WantedOutput, ...] | None:
    names = [output.name for output in message.outputs]
    if len(names) > len(OUTPUTS) or not set(names) <= set(OUTPUTS):
        raise RequestError(f"outputs are some of {', '.join(OUTPUTS)}")
    return tuple(WantedOutput(name, binary=True) for name in names) or None
