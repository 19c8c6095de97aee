"""Whether a graph is the one that its native model gives: what golden rows cannot tell.

An artifact whose engine is ONNX holds its model twice, as native files and as ``model.onnx``. A
wrong number in a leaf that no golden row meets changes no golden answer; the same number in the
other copy gives it away, so `check_graph` builds the graph again and compares every node.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

import numpy as np

from tenfold.errors import ArtifactError
from tenfold.models.blend import BLEND, load_blend
from tenfold.models.boosting import BOOSTING, written_forest
from tenfold.models.families import load_model
from tenfold.models.onnx_graph import BUILDER, BUILDER_KEY

__all__ = ["check_graph"]

_ROUNDED: Final = {"base_values": 1e-6}
"""Attributes that are computed, by relative error of a float32; all others are copied."""
_ROUNDED_DOUBLES: Final = 1e-12
"""Some constants in double are sums, which another processor may add in another order."""


def check_graph(family: str, files: Mapping[str, bytes]) -> bool:
    """Build ``model.onnx`` again from the native files and compare.

    Only where this version's `Graph` made it: another version may build another graph of the same
    model, and a family of another package may convert as it likes.

    Args:
        family: that reads the native files.
        files: verified bytes by name.

    Returns:
        Whether there was anything to compare.

    Raises:
        ArtifactError: the bytes are no graph, or another one than the native files give.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        found = onnx.load_model_from_string(files["model.onnx"])
    except (DecodeError, ValueError) as error:
        raise ArtifactError(f"model.onnx is no graph: {error}; publish the model again") from error
    if {one.key: one.value for one in found.metadata_props}.get(BUILDER_KEY) != BUILDER:
        return False
    built = _native(family, files).to_onnx()
    if built is None or not _same(found, onnx.load_model_from_string(built)):
        raise ArtifactError(
            "model.onnx is not the graph that the native files of the model give: one of them was "
            "damaged before it was sealed; publish the model again"
        )
    return True


class _Converts(Protocol):
    def to_onnx(self) -> bytes | None: ...


def _native(family: str, files: Mapping[str, bytes]) -> _Converts:
    if family == BLEND:
        return load_blend(files, _native)  # type: ignore[arg-type]  # its members only convert
    return written_forest(files) if family == BOOSTING.name else load_model(family, files)


def _same(one: Any, other: Any) -> bool:
    return _bytes(one) == _bytes(other) or (_close(one, other) and _bytes(one) == _bytes(other))


def _bytes(model: Any) -> bytes:
    return bytes(model.SerializeToString(deterministic=True))


def _close(one: Any, other: Any) -> bool:
    """Compare what may be rounded, and leave it out of both."""
    if len(one.graph.node) != len(other.graph.node):
        return False
    for mine, its in zip(one.graph.node, other.graph.node, strict=True):
        for a, b in zip(mine.attribute, its.attribute, strict=False):
            if a.name == b.name and a.name in _ROUNDED:
                if not _near(np.array(a.floats), np.array(b.floats), _ROUNDED[a.name]):
                    return False
                del a.floats[:], b.floats[:]
    if len(one.graph.initializer) != len(other.graph.initializer):
        return False
    for mine, its in zip(one.graph.initializer, other.graph.initializer, strict=True):
        if mine.data_type == its.data_type == its.DOUBLE:
            if len(mine.raw_data) != len(its.raw_data):
                return False
            first, second = (np.frombuffer(a.raw_data, dtype="<f8") for a in (mine, its))
            if not _near(first, second, _ROUNDED_DOUBLES):
                return False
            mine.raw_data = its.raw_data = b""
    return True


def _near(one: Any, other: Any, rtol: float) -> bool:
    return one.shape == other.shape and bool(np.allclose(one, other, rtol=rtol, atol=0.0))
