"""Where fits run and what they ask Ray for: the part of a plan that travels to the workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tenfold.cluster.devices import CPU, Precision

__all__ = ["ON_CPU", "Placement"]

TYPE_SHARE = 0.001
"""Of the resource ``accelerator_type:X`` that a request for a type takes: Ray's own convention,
which gives every node with that type one whole."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Devices of families, and the share of a node that one fit or one session asks for.

    A device is named here only together with the share of a GPU that makes it true; without one,
    everything runs on CPU.

    Attributes:
        devices: ``"cpu"`` or ``"cuda"`` by family; a family that is absent runs on CPU.
        precision: of the products in networks on a GPU.
        cpus: logical CPUs.
        gpus: of a GPU, from 0: below 1 a share of one.
        gpu_type: Ray's name of the type that it must be, None where any will do.
        nodes: labels that the node must have, as a selector of Ray's; empty where any will do.

    >>> Placement().device("boosting"), Placement().resources()
    ('cpu', {'CPU': 1.0})
    >>> Placement({"boosting": "cuda"}, gpus=0.25, gpu_type="A100").resources()
    {'CPU': 1.0, 'GPU': 0.25, 'accelerator_type:A100': 0.001}
    """

    devices: Mapping[str, str] = field(default_factory=dict)
    precision: Precision = "fp32"
    cpus: float = 1.0
    gpus: float = 0.0
    gpu_type: str | None = None
    nodes: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_asked_for(self) -> bool:
        """Whether only Ray can give it: a part of a GPU, or a node of some kind."""
        return bool(self.gpus or self.nodes)

    def device(self, family: str) -> str:
        """Where a family is fitted."""
        return self.devices.get(family, CPU) if self.gpus else CPU

    def precision_of(self, family: str) -> Precision:
        """What the products of a family are computed with; fp32 on CPU."""
        return self.precision if self.device(family) != CPU else "fp32"

    def of_family(self, family: str) -> Placement:
        """What a fit of one family asks for: no GPU where it runs on CPU.

        >>> Placement({"boosting": "cuda"}, gpus=0.5).of_family("linear").gpus
        0.0
        """
        return self if self.device(family) != CPU else replace(self, gpus=0.0)

    def resources(self) -> dict[str, float]:
        """A bundle of Ray's resources."""
        asked = {"CPU": self.cpus}
        if self.gpus:
            asked["GPU"] = self.gpus
            if self.gpu_type is not None:
                asked[f"accelerator_type:{self.gpu_type}"] = TYPE_SHARE
        return asked


ON_CPU = Placement()
"""Of who asked Ray for nothing."""
