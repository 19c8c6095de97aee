"""The one tree of errors. Each message states the law, the values and the remedy.

::

    TenfoldError
    ├── UserError              the user's fault: exit code 2
    │   ├── ProjectError       the project file
    │   ├── DataError          a table, a source, a label
    │   ├── RequestError       what a caller of the endpoint sent
    │   └── RegistryConflict   somebody else moved the alias first
    ├── OurError               our fault or the machine's: exit code 1
    │   ├── ArtifactError      a model's files are not what they claim to be
    │   ├── StoreError         the disk or the object store
    │   └── ClusterError       Ray
    └── GateMissed             the model is there, a success gate was missed: exit code 3

HTTP status codes are not here: the serving wing maps errors to them once.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "ArtifactError",
    "ClusterError",
    "DataError",
    "GateMissed",
    "OurError",
    "ProjectError",
    "RegistryConflict",
    "RequestError",
    "StoreError",
    "TenfoldError",
    "UserError",
]


class TenfoldError(Exception):
    """The root. ``exit_code`` is what the command line answers with."""

    exit_code = 1


class UserError(TenfoldError):
    """The user can mend this: the message says how."""

    exit_code = 2


class ProjectError(UserError):
    """The project file breaks a law; the message names the file and the line."""


class DataError(UserError):
    """A table, a source or a label breaks a law."""


class RequestError(UserError):
    """What a caller sent breaks a law.

    Args:
        message: law, values and remedy in one sentence.
        items: one entry per fault, for callers that can show several, e.g.
            ``{"row": 3, "column": "age", "reason": "'x' is not a number"}``.
    """

    def __init__(self, message: str, *, items: Sequence[dict[str, object]] = ()) -> None:
        super().__init__(message)
        self.items = list(items)


class RegistryConflict(UserError):
    """The alias no longer points where the caller expected it to."""


class OurError(TenfoldError):
    """Our fault, or the machine's."""


class ArtifactError(OurError):
    """A model's files are not what they claim to be; nothing of them was used."""


class StoreError(OurError):
    """The disk or the object store refused."""


class ClusterError(OurError):
    """Ray could not be started, reached or stopped."""


class GateMissed(TenfoldError):
    """Training ended well and a success gate of the project was missed."""

    exit_code = 3
