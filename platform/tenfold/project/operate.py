"""``serve:`` and ``monitor:`` the endpoint's limits, and how drift is judged."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator
from pydantic_core import PydanticCustomError

from tenfold.project.fields import Duration, Real, Section, Whole

__all__ = ["Monitor", "Replicas", "Serve"]

MEBIBYTE = 1024 * 1024
MAX_REPLICAS = 1024


def _bounds(value: Any) -> Any:
    """``replicas: 2`` means two at all times."""
    if isinstance(value, dict | Replicas):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_REPLICAS:
        return {"min": value, "max": value}
    law = f"must be a whole number from 1 to {MAX_REPLICAS}, or {{min: 1, max: 4}}"
    raise PydanticCustomError("law", "{law}", {"law": law})


def _written(replicas: Replicas) -> Any:
    """As people write it."""
    return replicas.max if replicas.fixed else dict(replicas)


class Replicas(Section):
    """How many processes answer; one number means so many at all times."""

    min: Annotated[Whole, Field(ge=1, le=MAX_REPLICAS)] = 1
    """So many however little is asked, from 1."""

    max: Annotated[Whole, Field(ge=1, le=MAX_REPLICAS)]
    """So many at most. Another is started when those that answer are busy for two thirds of the
    time; more than there are cores left answer no faster."""

    idle: Annotated[Duration, Field(ge=1, le=86_400)] = 300.0
    """How long fewer must be enough before one is taken away, from 1s to 24h."""

    @model_validator(mode="after")
    def _in_order(self) -> Replicas:
        if self.min > self.max:
            law = f"min must be at most max, and {self.min} is more than {self.max}"
            raise PydanticCustomError("law", "{law}", {"law": law})
        return self

    @property
    def fixed(self) -> bool:
        """Whether there are as many at all times."""
        return self.min == self.max

    def __str__(self) -> str:
        return f"{self.max}" if self.fixed else f"{self.min} to {self.max}"


class Serve(Section):
    """The endpoint's limits."""

    replicas: Annotated[Replicas, BeforeValidator(_bounds), PlainSerializer(_written)] = Replicas(
        min=1, max=1
    )
    """Processes that answer: a number, 1 by default, or ``{min: 1, max: 4}`` for as many as the
    load asks for; one answers some thousand requests a second."""

    device: Literal["auto", "cpu", "gpu"] = "auto"
    """Where replicas answer. auto: on CPU, and on a GPU only where one is free and the model is a
    network so large that a row takes a millisecond on CPU; gpu: on GPUs, or the plan refuses and
    says what is missing (trees run on none). GPUs need the extra ``gpu``."""

    max_rows: Annotated[Whole, Field(ge=1, le=1_000_000)] = 1000
    """Most rows in one request; more belong to batch scoring, and would keep others waiting."""

    max_body_bytes: Annotated[Whole, Field(ge=1024, le=1024 * MEBIBYTE)] = 10 * MEBIBYTE
    """Largest request body in bytes, from 1 KiB; read before anything is parsed."""

    grpc_port: Annotated[Whole, Field(ge=1024, le=65535)] | None = None
    """Port of the Open Inference Protocol over gRPC, this project's own; none by default: HTTP
    carries the same protocol, and a port is one more door to watch."""

    canary_guard: bool = True
    """Whether a canary that is proven worse than the champion (failures, latency, crashes), or
    whose scores are proven to have shifted, is taken back by itself; without, the evidence is only
    shown."""

    canary_shift: Annotated[Real, Field(gt=0, le=1)] = 0.1
    """Share of the rows whose score may cross a level before a canary has shifted; 1 lets its
    scores go wherever they do. A model that reads a drifting column which the champion does not
    read may need more."""


class Monitor(Section):
    """How the live stream is judged."""

    block_rows: Annotated[Whole, Field(ge=50, le=1_000_000)] = 500
    """Rows that are judged together, from 50: smaller sees sooner, larger sees finer change."""

    false_alarm: Annotated[Real, Field(gt=0, le=0.5)] = 0.01
    """Chance of any false alarm in a model's whole life, over all channels together; so also in any
    30 days of it, whatever the traffic."""

    harm_tolerance: Annotated[Real, Field(gt=0, le=1)] = 0.02
    """Rise of the loss rate (0 to 1) over the reference that is still accepted as no harm."""
