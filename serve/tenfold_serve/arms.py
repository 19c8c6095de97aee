"""The models that a replica answers with: loaded, verified, swapped, dropped.

`ArmBoard.change` takes a ``user_config`` and never raises: what cannot be loaded leaves the models
that answer now as they are, and the reason is shown by ``/readyz`` and the status, to anybody: so
without folders, and of what a library raised only its kind; the log has all of it. Requests read
one immutable `Lineup`; a swap is one assignment, so a request meets the old models or the new ones,
whole, and nothing is locked.

The form of a ``user_config``::

    {"generation": 7, "arms": [{"arm": "champion", "version": 3, "digest": "…", "path": "…",
                                "weight": 1.0}]}
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tenfold.artifact import GOLDEN_FILE, REFERENCE_FILE, read_artifact
from tenfold.cluster.seats import ON_CPU_SEAT, Seat
from tenfold.errors import ArtifactError, TenfoldError
from tenfold.features import RowEncoder
from tenfold.features.codes import code_width
from tenfold.features.columnpath import ColumnEncoder
from tenfold.inference import Predictor, check_golden
from tenfold.monitor.reference import Reference
from tenfold.schema import Schema
from tenfold_serve.batching import batching_pays, seconds_of
from tenfold_serve.seats import target_of

__all__ = ["Arm", "ArmBoard", "Lineup", "arm_config", "load_arm"]

log = logging.getLogger("tenfold.serve")
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Arm:
    """One model, ready to answer. Threads share it: predicting changes nothing.

    Attributes:
        name: ``champion`` or ``challenger``.
        version: of the registry.
        weight: its part of the traffic.
        predictor: the one data plane.
        reference: the frozen bins that live rows are counted into.
        batched: whether requests that wait together are scored together, see
            `tenfold_serve.batching`.
        device: that answers, ``cpu`` or ``cuda``.
        row_s: seconds that it took for one row when it was loaded.
    """

    name: str
    version: int
    weight: float
    predictor: Predictor
    reference: Reference
    batched: bool = False
    device: str = "cpu"
    row_s: float = 0.0

    @property
    def encoder(self) -> RowEncoder:
        """Rows to codes, with the model's own columns."""
        return self.predictor.encoder

    @cached_property
    def column_encoder(self) -> ColumnEncoder:
        """Columns to codes, by the same laws."""
        return self.encoder.columns

    @cached_property
    def schema(self) -> Schema:
        """The model's schema."""
        return self.predictor.schema

    @cached_property
    def digest(self) -> str:
        """The model's digest, which answers carry."""
        return self.predictor.digest

    def count(self, codes: Floats, scores: Floats) -> npt.NDArray[np.int64]:
        """Rows counted into the frozen bins, ``(n_cells,)``."""
        bins = self.reference.bins
        return bins.count(codes, None if bins.score is None else scores)


@dataclass(frozen=True, eq=False)
class Lineup:
    """The models that answer now. A value: replaced as a whole.

    Attributes:
        arms: the champion first; empty before the first model.
        generation: of the configuration that it came from.
        reason: why the newest configuration is not what answers; empty if it is.
    """

    arms: tuple[Arm, ...] = ()
    generation: int = 0
    reason: str = "no model was configured yet"
    weights: tuple[float, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """What ``/readyz`` shows."""
        return {
            "ready": bool(self.arms),
            "generation": self.generation,
            "arms": [
                {
                    "arm": arm.name,
                    "version": arm.version,
                    "digest": arm.digest,
                    "weight": weight,
                    "device": arm.device,
                }
                for arm, weight in zip(self.arms, self.weights, strict=True)
            ],
            "reason": self.reason,
        }


def arm_config(
    name: str, *, version: int, digest: str, path: Path, weight: float
) -> dict[str, Any]:
    """One entry of a ``user_config``'s arms."""
    return {
        "arm": name,
        "version": version,
        "digest": digest,
        "path": str(path),
        "weight": weight,
    }


def load_arm(config: Mapping[str, Any], *, seat: Seat = ON_CPU_SEAT) -> Arm:
    """Load one model: digests, then golden rows on the device that will answer, then it may.

    Args:
        config: one entry of a ``user_config``'s arms.
        seat: of the replica; on CPU for who has none, such as a shadow.

    Raises:
        ArtifactError: the files are not what the registry says, do not reproduce their rows, or
            cannot be loaded on the GPU.
        ProjectError: a GPU is asked for, and no part of the model runs on one.
    """
    folder = Path(str(config["path"]))
    artifact = read_artifact(folder)  # digests first: nothing unverified is parsed
    target = target_of(artifact, seat)
    predictor = Predictor.from_artifact(artifact, target=target)
    if predictor.digest != config["digest"]:
        raise ArtifactError(
            f"version {config['version']} must have the digest {config['digest']} and "
            f"{folder} has {predictor.digest}; publish the model again"
        )
    check_golden(predictor, artifact.files[GOLDEN_FILE])
    reference = artifact.files.get(REFERENCE_FILE)
    if reference is None:
        raise ArtifactError(f"{folder} must hold {REFERENCE_FILE}; publish the model again")
    row = np.full((1, code_width(predictor.schema)), np.nan)
    return Arm(
        name=str(config["arm"]),
        version=int(config["version"]),
        weight=float(config["weight"]),
        predictor=predictor,
        reference=Reference.from_bytes(reference),
        batched=batching_pays(predictor, row),
        row_s=seconds_of(predictor, row),
        device=target.device,
    )


class ArmBoard:
    """Holds the lineup and changes it. `change` may be called from any thread, one at a time.

    Args:
        seat: of the replica.
    """

    def __init__(self, seat: Seat = ON_CPU_SEAT) -> None:
        self._seat = seat
        self.lineup = Lineup()
        self._lock = threading.Lock()

    def change(self, config: object) -> Lineup:
        """Load what is new, keep what is loaded, swap, drop the rest. Never raises."""
        with self._lock:
            try:
                lineup = self._next(config)
            except Exception as error:
                log.warning("the models that answer stay: %s", error, exc_info=True)
                old = self.lineup
                reason = f"{_asked(config)} could not be loaded: {_told(error, config)}"
                lineup = Lineup(old.arms, old.generation, reason, old.weights)
            self.lineup = lineup
            return lineup

    def check(self) -> None:
        """Ask each model that answers on a GPU once; any thread may call it.

        Raises:
            Exception: what the runtime raises. A process that lost its GPU fails every later call,
                so its replica must be replaced.
        """
        for arm in self.lineup.arms:
            if arm.device != "cpu":
                arm.predictor.predict_codes(np.full((1, code_width(arm.schema)), np.nan))

    def _next(self, config: object) -> Lineup:
        if not isinstance(config, Mapping) or not isinstance(config.get("arms"), list):
            raise ArtifactError(f"a configuration is an object with a list of arms, not {config!r}")
        asked: Sequence[Mapping[str, Any]] = config["arms"]
        if not asked:
            return Lineup(reason="no champion yet: train a model, or promote one")
        loaded = {(arm.digest, arm.version, arm.name): arm for arm in self.lineup.arms}
        arms = []
        for entry in asked:
            key = (entry["digest"], int(entry["version"]), entry["arm"])
            arms.append(loaded.get(key) or self._load(entry))
        weights = tuple(float(entry["weight"]) for entry in asked)
        if min(weights) < 0 or sum(weights) <= 0:
            raise ArtifactError(f"weights are not negative and not all 0, got {weights}")
        return Lineup(tuple(arms), int(config.get("generation", 0)), "", weights)

    def _load(self, entry: Mapping[str, Any]) -> Arm:
        """A model that only changes its name (a promoted challenger) is not loaded again."""
        for arm in self.lineup.arms:
            if arm.digest == entry["digest"] and arm.version == int(entry["version"]):
                return replace(arm, name=str(entry["arm"]), weight=float(entry["weight"]))
        return load_arm(entry, seat=self._seat)


def _told(error: Exception, config: object) -> str:
    """What strangers may read of an error."""
    if not isinstance(error, TenfoldError):
        return f"{type(error).__name__}; the log of the replica says more"
    text = str(error)
    folders = {one["path"]: one.get("version") for one in _entries(config) if _has_folder(one)}
    for folder in sorted(folders, key=len, reverse=True):  # one may lie below another
        text = text.replace(folder, f"version {folders[folder]}")
    return text


def _has_folder(entry: Mapping[str, Any]) -> bool:
    return isinstance(entry.get("path"), str) and bool(entry["path"])


def _asked(config: object) -> str:
    versions = [str(entry.get("version")) for entry in _entries(config)]
    return f"version {', '.join(versions)}" if versions else "the configuration"


def _entries(config: object) -> list[Mapping[str, Any]]:
    """The arms of a configuration, if it is one."""
    arms = config.get("arms") if isinstance(config, Mapping) else None
    return [one for one in arms if isinstance(one, Mapping)] if isinstance(arms, list) else []
