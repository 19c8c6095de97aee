"""What a replica has to answer with, and on which of it a model is loaded.

A seat travels to the replica in the application's arguments, where it may not change while it
runs; models may. Each is loaded on the GPU of the replica or on its CPU, as the project asks and
the model allows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tenfold.artifact import Artifact
from tenfold.cluster.seats import ON_CPU_SEAT, Seat
from tenfold.cluster.served import CUDA_ROWS, device_of
from tenfold.errors import UserError
from tenfold.inference.engines import HOST, Target
from tenfold.inference.served import served_of

__all__ = ["seat_args", "seat_from", "target_of"]


def seat_args(seat: Seat) -> dict[str, Any]:
    """The part of an application's arguments that says what its replicas have; nothing on CPU.

    >>> seat_args(Seat()), seat_args(Seat("cuda", "gpu", gpus=0.2, model_bytes=10**9))
    ({}, {'gpu': {'asked': 'gpu', 'model_bytes': 1000000000}})
    """
    if seat.device == "cpu":
        return {}
    return {"gpu": {"asked": seat.asked, "model_bytes": seat.model_bytes}}


def seat_from(value: object) -> Seat:
    """A replica's own view of its seat, from the argument ``gpu``.

    Raises:
        UserError: it is not ``{asked: auto or gpu, model_bytes: a number from 1}``.

    >>> seat_from(None).device, seat_from({"asked": "gpu", "model_bytes": 5}).device
    ('cpu', 'cuda')
    """
    if value is None:
        return ON_CPU_SEAT
    form = value if isinstance(value, Mapping) and set(value) == {"asked", "model_bytes"} else {}
    asked, size = form.get("asked"), form.get("model_bytes")
    if asked not in ("auto", "gpu") or not isinstance(size, int) or size < 1:
        raise UserError(
            "the argument gpu of an application is {asked: auto or gpu, model_bytes: bytes of a "
            f"GPU for each model}}, not {value!r}; correct it, or remove it to answer on CPU"
        )
    return Seat("cuda", asked, model_bytes=size)


def target_of(artifact: Artifact, seat: Seat) -> Target:
    """What a model is loaded on in a replica.

    Args:
        artifact: verified.
        seat: of the replica.

    Raises:
        ProjectError: a GPU is asked for, and no part of the model runs on one.
        ArtifactError: its graph cannot be read.
    """
    if seat.device == "cpu":
        return HOST
    served = served_of(artifact)
    device, _ = device_of(served, seat.asked)
    if device == "cpu":
        return HOST
    return Target(
        device, memory_bytes=seat.model_bytes, whole=not served.left_on_cpu, rows=CUDA_ROWS
    )
