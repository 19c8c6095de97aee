"""Which models should answer: the registry's aliases turned into the whole Serve config. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tenfold.cluster.seats import ON_CPU_SEAT, Seat
from tenfold.project import Project
from tenfold.registry import CHALLENGER, CHAMPION, Version
from tenfold_serve.arms import arm_config
from tenfold_serve.scaling import scaling_config
from tenfold_serve.seats import seat_args

__all__ = ["DEPLOYMENT", "IMPORT_PATH", "Wanted", "application", "arm_of", "arms_of"]

IMPORT_PATH: Final = "tenfold_serve.app:build"
DEPLOYMENT: Final = "EndpointReplica"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the aliases and the canary's share say.

    Attributes:
        champion: answers what the challenger leaves; None before the first promotion.
        challenger: answers the canary's share; None if there is none.
        canary_percent: the challenger's share of the requests, 0 to 100.
    """

    champion: Version | None = None
    challenger: Version | None = None
    canary_percent: int = 0

    @property
    def versions(self) -> tuple[Version, ...]:
        """The models that answer, the champion first."""
        if self.champion is None:
            return ()
        if self.challenger is None or not self.canary_percent:
            return (self.champion,)
        return (self.champion, self.challenger)


def arms_of(wanted: Wanted) -> list[dict[str, Any]]:
    """The arms of a ``user_config``; a challenger without a share is left out."""
    shares = (100 - wanted.canary_percent, wanted.canary_percent)
    versions = wanted.versions
    if len(versions) == 1:
        shares = (100, 0)
    return [
        arm_of(name, version, weight=share / 100)
        for name, version, share in zip((CHAMPION, CHALLENGER), versions, shares, strict=False)
    ]


def arm_of(name: str, version: Version, *, weight: float = 1.0) -> dict[str, Any]:
    """A published version as an arm."""
    return arm_config(
        name,
        version=version.version,
        digest=version.model_digest,
        path=version.path,
        weight=weight,
    )


def application(
    project: Project, user_config: Mapping[str, Any], seat: Seat = ON_CPU_SEAT
) -> dict[str, Any]:
    """One application of Serve's declarative config.

    Only ``user_config`` may change while it runs: anything else restarts the replicas.

    Args:
        project: its limits and replicas.
        user_config: which models answer.
        seat: what each replica asks Ray for.
    """
    serve = project.serve
    # On CPU the deployment's own options hold: replicas reserve nothing there.
    options = {} if seat.device == "cpu" else {"ray_actor_options": seat.ray_options()}
    return {
        "name": project.name,
        "route_prefix": f"/{project.name}",
        "import_path": IMPORT_PATH,
        "args": {
            "project": project.name,
            "limits": {
                "max_rows": serve.max_rows,
                "max_body_bytes": serve.max_body_bytes,
                "key_columns": list(project.data.key or ()),
            },
            **({} if serve.grpc_port is None else {"grpc_port": serve.grpc_port}),
            **seat_args(seat),
        },
        "deployments": [
            {
                "name": DEPLOYMENT,
                **scaling_config(serve.replicas),
                **options,
                "user_config": dict(user_config),
            }
        ],
    }
