"""Several models that answer as one: a weighted mean of their scores, then one calibration.

A blend is a model like any other: data that predicts, native files, one ONNX graph. Its matrix is
its members' matrices side by side (equal ones once); the graph slices it for each member, so online
and batch still run one engine. The mean is taken of probabilities, or of numbers in the target's
own unit, never of margins, whose scales differ between families.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.canonical import canonical_json
from tenfold.errors import ArtifactError
from tenfold.models.arrays import ARCH_FILE
from tenfold.models.base import Matrix, Model
from tenfold.models.calibration import NO_CALIBRATION, Calibration
from tenfold.models.onnx_graph import Graph

__all__ = ["BLEND", "MEMBERS_FILE", "BlendModel", "Member", "blended", "load_blend"]

BLEND = "blend"
MEMBERS_FILE = "members.safetensors"
"""All native files of all members: bytes under ``{member}/{file}``; data, never code."""

Scores = NDArray[np.float64]
Loader = Callable[[str, Mapping[str, bytes]], Model]


@dataclass(frozen=True, slots=True)
class Member:
    """One model of a blend.

    Attributes:
        model: fitted.
        weight: above 0; the weights of a blend sum to 1.
        first: its first column of the blend's matrix.
        last: the column behind its last one.
        graph: what `Model.to_onnx` gives, where somebody converted it already.
    """

    model: Model
    weight: float
    first: int
    last: int
    graph: bytes | None = None


class BlendModel:
    """See the module. Immutable; any thread may call it.

    Args:
        members: at least one.
        n_features: columns of the matrix.
        n_outputs: columns of the scores.
        calibration: of the mean; none for numbers.
    """

    family = BLEND
    rounds = 0

    def __init__(
        self,
        members: Sequence[Member],
        *,
        n_features: int,
        n_outputs: int,
        calibration: Calibration = NO_CALIBRATION,
    ) -> None:
        self.members = tuple(members)
        self.n_features = n_features
        self.n_outputs = n_outputs
        self.calibration = calibration
        inside = all(0 <= m.first < m.last <= n_features and m.weight > 0 for m in self.members)
        total = sum(member.weight for member in self.members)
        fits = calibration.is_none or n_outputs == 2 or (n_outputs > 2 and not calibration.knots)
        if not (self.members and inside and fits and abs(total - 1.0) <= 1e-9):
            raise ArtifactError(
                f"a blend of {len(self.members)} members has weights above 0 that sum to 1 "
                f"(they sum to {total}), columns among its {n_features} and a calibration of its "
                f"{n_outputs} scores ({calibration.words}); publish the model again"
            )

    def predict(self, matrix: Matrix) -> Scores:
        """Scores float64 (n_rows, k) holding float32 values."""
        total = np.zeros((len(matrix), self.n_outputs))
        for member in self.members:
            own = np.ascontiguousarray(matrix[:, member.first : member.last])
            total += member.weight * member.model.predict(own)
        return self.calibration.apply(total).astype(np.float32).astype(np.float64)

    def files(self) -> dict[str, bytes]:
        """``arch.json`` and ``members.safetensors``."""
        from safetensors.numpy import save

        arch = {
            "family": BLEND,
            "n_features": self.n_features,
            "n_outputs": self.n_outputs,
            "calibration": self.calibration.to_dict(),
            "members": [
                {"family": m.model.family, "weight": m.weight, "first": m.first, "last": m.last}
                for m in self.members
            ],
        }
        packed = {
            f"{number}/{name}": np.frombuffer(data, dtype=np.uint8)
            for number, member in enumerate(self.members)
            for name, data in sorted(member.model.files().items())
        }
        return {ARCH_FILE: canonical_json(arch), MEMBERS_FILE: save(packed)}

    def to_onnx(self) -> bytes | None:
        """One graph over all members; None if one of them does not convert."""
        graph = Graph(self.n_features)
        parts = []
        for member in self.members:
            own = member.graph or member.model.to_onnx()
            if own is None:
                return None
            x = graph.columns("x", member.first, member.last)
            part = graph.double(graph.include(own, x))
            weight = graph.constant(np.array([member.weight]))
            parts.append(graph.op("Mul", part, weight))
        mean = self.calibration.add_to(graph, graph.op("Sum", *parts))
        return graph.finish(mean, self.n_outputs)


def blended(
    members: Sequence[Member],
    *,
    n_features: int,
    n_outputs: int,
    calibration: Calibration = NO_CALIBRATION,
) -> Model:
    """The blend, or its only member as it is where nothing is left to add to it."""
    if len(members) == 1 and calibration.is_none:
        return members[0].model
    return BlendModel(members, n_features=n_features, n_outputs=n_outputs, calibration=calibration)


def load_blend(files: Mapping[str, bytes], load: Loader) -> BlendModel:
    """The inverse of `BlendModel.files`.

    Args:
        files: verified bytes by name.
        load: reads a member's own files by its family.

    Raises:
        ArtifactError: names or numbers do not fit.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as read

    try:
        arch: dict[str, Any] = json.loads(files[ARCH_FILE])
        packed = read(files[MEMBERS_FILE])
        members = [
            Member(
                load(str(entry["family"]), _own_files(packed, number)),
                float(entry["weight"]),
                int(entry["first"]),
                int(entry["last"]),
            )
            for number, entry in enumerate(arch["members"])
        ]
        return BlendModel(
            members,
            n_features=int(arch["n_features"]),
            n_outputs=int(arch["n_outputs"]),
            calibration=Calibration.from_dict(arch["calibration"]),
        )
    except (KeyError, ValueError, TypeError, SafetensorError) as error:
        raise ArtifactError(
            f"{ARCH_FILE} and {MEMBERS_FILE} must describe one blend: {error!r}; publish it again"
        ) from error


def _own_files(packed: Mapping[str, NDArray[Any]], number: int) -> dict[str, bytes]:
    start = f"{number}/"
    return {
        name.removeprefix(start): data.tobytes()
        for name, data in packed.items()
        if name.startswith(start)
    }
