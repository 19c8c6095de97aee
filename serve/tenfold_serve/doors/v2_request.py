"""A V2 inference request: JSON, and binary tensors behind it.

One tensor per column, ``[n]`` or ``[n, 1]``. The protocol has no missing values: a NaN of FP is
one, a JSON null is one (an extension), and for any type a BOOL tensor ``{column}.missing`` says
which values are (so that whole numbers, texts and booleans can have them in binary too).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from tenfold.errors import RequestError
from tenfold.features.columnpath import Columns
from tenfold_serve.doors.strict_json import read_json
from tenfold_serve.doors.tensors import NUMBERS, n_elements, parse_json, unpack
from tenfold_serve.doors.wants import read_level

__all__ = ["MISSING", "OUTPUTS", "InferRequest", "WantedOutput", "read_infer", "without_masks"]

MISSING: Final = ".missing"
OUTPUTS: Final = (
    "id",
    "value",
    "probabilities",
    "warnings",
    "interval",
    "set",
    "explanation",
    "explanation_base",
)
"""Names of the tensors that an answer may have."""

_MAX_ID: Final = 256
_MAX_JSON_KEYS: Final = 12
"""Keys of one tensor's description and parameters, with room for others' parameters."""


@dataclass(frozen=True, slots=True)
class WantedOutput:
    """One tensor of the answer: its name, and whether it comes as bytes."""

    name: str
    binary: bool


@dataclass(frozen=True, slots=True)
class InferRequest:
    """What a request says.

    Attributes:
        columns: of the rows.
        outputs: the tensors that are wanted, in order; None for the usual ones.
        binary: whether tensors of the answer come as bytes unless they say otherwise.
        id: given back with the answer; None if there was none.
        n_bytes: that it came in.
        level: of interval or set; None if the request's parameters have none.
    """

    columns: Columns
    outputs: tuple[WantedOutput, ...] | None
    binary: bool
    id: str | None
    n_bytes: int
    level: float | None = None


def read_infer(
    body: bytes, *, header_bytes: bytes | None, max_rows: int, columns: Collection[str]
) -> InferRequest:
    """Read a request.

    Args:
        body: as it came.
        header_bytes: ``Inference-Header-Content-Length``: bytes of the JSON; None for all.
        max_rows: most rows.
        columns: names that the model knows; one of them is never a mask.

    Raises:
        HttpError: 400, the JSON is none.
        RequestError: anything else is not as the protocol says.
    """
    n_json = _header_size(header_bytes, body)
    max_tensors = 2 * len(columns)
    max_keys = _MAX_JSON_KEYS * (max_tensors + len(OUTPUTS) + 1)
    value = read_json(
        body[:n_json] if n_json < len(body) else body,
        max_keys=max_keys,
        max_nested=max_keys + max_tensors * max_rows,  # of tensors [n, 1], a list each row
    )
    if not isinstance(value, dict):
        raise RequestError("a request is an object with inputs")
    parameters = _object(value, "parameters")
    inputs = value.get("inputs")
    if not isinstance(inputs, list) or not inputs:
        raise RequestError("a request has inputs: a list with one tensor per column")
    if len(inputs) > max_tensors:
        raise RequestError(f"a request has at most one tensor per column, not {len(inputs)}")
    cells = _read_inputs(inputs, memoryview(body)[n_json:], max_rows=max_rows)
    binary = parameters.get("binary_data_output", False)
    if not isinstance(binary, bool):
        raise RequestError("binary_data_output is true or false")
    level = parameters.get("level")
    return InferRequest(
        Columns.of(without_masks(cells, columns)),
        _wanted(value, binary),
        binary,
        _id(value),
        len(body),
        None if level is None else read_level(level),
    )


def _header_size(header: bytes | None, body: bytes) -> int:
    if header is None:
        return len(body)
    if not header.isdigit() or len(header) > 12 or int(header) > len(body):
        raise RequestError(
            f"Inference-Header-Content-Length is the size of the JSON, 0 to {len(body)}"
        )
    return int(header)


def _object(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = value.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise RequestError(f"{name} is an object")
    return found


def _id(value: Mapping[str, Any]) -> str | None:
    found = value.get("id")
    if found is not None and (not isinstance(found, str) or len(found) > _MAX_ID):
        raise RequestError(f"id is a text of at most {_MAX_ID} characters")
    return found or None


def _read_inputs(inputs: list[Any], tail: memoryview, *, max_rows: int) -> dict[str, Any]:
    cells: dict[str, Any] = {}
    place = 0
    for tensor in inputs:
        if not isinstance(tensor, dict):
            raise RequestError("a tensor is an object with name, shape, datatype and data")
        name, datatype = tensor.get("name"), tensor.get("datatype")
        if not isinstance(name, str) or not name or len(name) > 1000:
            raise RequestError("a tensor has the name of its column")
        shown = name[:40]
        if not isinstance(datatype, str) or (datatype not in NUMBERS and datatype != "BYTES"):
            known = ", ".join((*NUMBERS, "BYTES"))
            raise RequestError(f"tensor {shown!r} has one of the datatypes {known}")
        if name in cells:
            raise RequestError(f"tensor {shown!r} comes twice")
        n_rows = n_elements(shown, tensor.get("shape"), most=max_rows)
        size = _object(tensor, "parameters").get("binary_data_size")
        if size is None:
            cells[name] = parse_json(shown, datatype, tensor.get("data"), n_rows=n_rows)
            continue
        if size.__class__ is not int or size < 0 or "data" in tensor:
            raise RequestError(
                f"tensor {shown!r} has either data or a binary_data_size, which is not negative"
            )
        raw = tail[place : place + size]
        if len(raw) != size:
            raise RequestError(
                f"tensor {shown!r} announces {size} bytes and {len(raw)} are left in the body"
            )
        cells[name] = unpack(shown, datatype, raw, n_rows=n_rows)
        place += size
    if place != len(tail):
        raise RequestError(f"{len(tail) - place} bytes of the body belong to no tensor")
    return cells


def without_masks(cells: dict[str, Any], columns: Collection[str]) -> dict[str, Any]:
    """Columns with their masks laid over them."""
    masks = [name for name in cells if name.endswith(MISSING) and name not in columns]
    for name in masks:
        if name[: -len(MISSING)] not in cells:
            continue  # told as an unknown column
        column = name[: -len(MISSING)]
        mask, values = cells.pop(name), cells[column]
        flags = mask.tolist() if isinstance(mask, np.ndarray) else mask
        if any(flag.__class__ is not bool for flag in flags) or len(flags) != len(values):
            raise RequestError(
                f"tensor {name[:50]!r} must be BOOL, with one value for each of its column"
            )
        plain = values.tolist() if isinstance(values, np.ndarray) else values
        cells[column] = [None if gone else value for gone, value in zip(flags, plain, strict=True)]
    return cells


def _wanted(value: Mapping[str, Any], binary: bool) -> tuple[WantedOutput, ...] | None:  # noqa: FBT001
    outputs = value.get("outputs")
    if outputs is None or outputs == []:
        return None
    if not isinstance(outputs, list) or len(outputs) > len(OUTPUTS):
        raise RequestError(f"outputs is a list of some of {', '.join(OUTPUTS)}")
    wanted: list[WantedOutput] = []
    for output in outputs:
        name = output.get("name") if isinstance(output, dict) else None
        if name not in OUTPUTS:
            raise RequestError(f"an output has one of the names {', '.join(OUTPUTS)}")
        own = _object(output, "parameters").get("binary_data", binary)
        if not isinstance(own, bool):
            raise RequestError(f"binary_data of output {name!r} is true or false")
        wanted.append(WantedOutput(name, own))
    return tuple(wanted)
