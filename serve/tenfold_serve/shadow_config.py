"""What the supervisor tells the shadow's process: who scores, beside whom, where."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["ShadowConfig"]


@dataclass(frozen=True, slots=True)
class ShadowConfig:
    """What a shadow is told by the supervisor; JSON on its command line.

    Attributes:
        project: name of the project.
        live: folder of the live logs.
        told: file that it writes what it knows into.
        since_ms: of the wish (`tenfold.traffic.Shadow`): another wish starts at the log's end.
        challenger: the model that scores, as `tenfold_serve.arms.arm_config` has it.
        champion: the model whose answers it is compared with, likewise.
    """

    project: str
    live: Path
    told: Path
    since_ms: int
    challenger: Mapping[str, Any]
    champion: Mapping[str, Any]

    def to_json(self) -> str:
        """The one argument of the process."""
        return json.dumps(asdict(self), default=str, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ShadowConfig:
        """The inverse of `to_json`."""
        found = json.loads(text)
        return cls(**found | {"live": Path(found["live"]), "told": Path(found["told"])})
