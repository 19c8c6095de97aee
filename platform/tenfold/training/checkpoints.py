"""What a fit that was interrupted goes on from: the state of its model, and how far it was.

A checkpoint is a folder of two files. ``state`` holds the model as data (a booster in UBJSON,
tensors as safetensors); ``checkpoint.json`` says how far it is and the digest of ``state``, so that
a torn or damaged checkpoint is known before a byte of it is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tenfold.canonical import canonical_json, read_json, sha256_hex, store_error, write_atomic
from tenfold.errors import StoreError

__all__ = ["Held", "read_checkpoint", "write_checkpoint"]

_STATE: Final = "state"
_FACTS: Final = "checkpoint.json"


@dataclass(frozen=True, slots=True)
class Held:
    """The state of a fit.

    Args:
        at: rounds or steps that are done, at least 0.
        state: the model (and its optimizer) as data.
    """

    at: int
    state: bytes


def write_checkpoint(folder: Path, held: Held) -> None:
    """Write the two files; the one that makes it whole comes last.

    Raises:
        StoreError: the folder cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_checkpoint(Path(folder), Held(40, b"trees"))
    ...     read_checkpoint(Path(folder))
    Held(at=40, state=b'trees')
    """
    write_atomic(folder / _STATE, held.state)
    facts = {"at": held.at, "sha256": sha256_hex(held.state)}
    write_atomic(folder / _FACTS, canonical_json(facts))


def read_checkpoint(folder: Path) -> Held:
    """What lies in a checkpoint.

    Raises:
        StoreError: it is not whole: a file is missing, or its digest is another.
    """
    try:
        facts = read_json(folder / _FACTS)
        state = (folder / _STATE).read_bytes()
    except OSError as error:
        raise store_error(folder, error) from error
    if not isinstance(facts, dict) or not isinstance(facts.get("at"), int) or facts["at"] < 0:
        raise StoreError(f"{folder / _FACTS}: must say how far the fit was; found {facts!r}")
    if (found := sha256_hex(state)) != facts.get("sha256"):
        raise StoreError(
            f"{folder / _STATE}: must have the digest {facts.get('sha256')}; found {found}; "
            "the checkpoint is damaged"
        )
    return Held(facts["at"], state)
