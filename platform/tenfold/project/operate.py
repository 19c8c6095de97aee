"""``serve:`` and ``monitor:`` the endpoint's limits, and how drift is judged."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tenfold.project.fields import Real, Section, Whole

__all__ = ["Monitor", "Serve"]

MEBIBYTE = 1024 * 1024


class Serve(Section):
    """The endpoint's limits."""

    replicas: Annotated[Whole, Field(ge=1, le=1024)] = 1
    """Processes that answer, from 1; one answers some thousand requests a second."""

    max_rows: Annotated[Whole, Field(ge=1, le=1_000_000)] = 1000
    """Most rows in one request; more belong to batch scoring, and would keep others waiting."""

    max_body_bytes: Annotated[Whole, Field(ge=1024, le=1024 * MEBIBYTE)] = 10 * MEBIBYTE
    """Largest request body in bytes, from 1 KiB; read before anything is parsed."""

    grpc_port: Annotated[Whole, Field(ge=1024, le=65535)] | None = None
    """Port of the Open Inference Protocol over gRPC, this project's own; none by default: HTTP
    carries the same protocol, and a port is one more door to watch."""


class Monitor(Section):
    """How the live stream is judged."""

    block_rows: Annotated[Whole, Field(ge=50, le=1_000_000)] = 500
    """Rows that are judged together, from 50: smaller sees sooner, larger sees finer change."""

    false_alarm: Annotated[Real, Field(gt=0, le=0.5)] = 0.01
    """Chance of any false alarm in a model's whole life, over all channels together; so also in any
    30 days of it, whatever the traffic."""

    harm_tolerance: Annotated[Real, Field(gt=0, le=1)] = 0.02
    """Rise of the loss rate (0 to 1) over the reference that is still accepted as no harm."""
