"""The last step: profiles and quarantine merged, the manifest written, the folder in place."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tenfold.canonical import (
    canonical_json,
    fsync_folder,
    read_json,
    sha256_hex,
    store_error,
    write_atomic,
)
from tenfold.data.arrow_file import read_arrow
from tenfold.data.causes import Tally
from tenfold.data.clean import PROBLEMS
from tenfold.data.jobs import fact_file, placed_problems, profile_file, survey_file
from tenfold.data.rejects import Rejected
from tenfold.data.snapshot import MANIFEST, PROFILES, QUARANTINE, SURVEY, Snapshot
from tenfold.data.work import Work
from tenfold.errors import StoreError

if TYPE_CHECKING:
    from tenfold.profile import Profile
    from tenfold.profile.survey import Survey

__all__ = ["MergeJob", "merge_in_order", "publish"]

MERGE_BLOCKS = 16
"""Block profiles held in memory at once; the left fold over them is the same for any number."""


def publish(
    work: Work,
    made: dict[str, Any],
    *,
    rejected: Rejected,
    project_folder: Path,
    plan: str,
) -> Snapshot:
    """Complete the snapshot in the work folder, then rename it into place.

    Args:
        work: with every piece finished.
        made: the manifest so far.
        rejected: what was no row in the sources before they were joined.
        project_folder: where the snapshot goes.
        plan: digest of what was done.

    Raises:
        StoreError: the disk refuses; nothing is in place then.
    """
    fold_rows, profiles_sha256 = _merge_profiles(work)
    survey = _survey(work).to_bytes()
    write_atomic(work.target / SURVEY, survey)
    n_problems, tally = _write_quarantine(work, rejected)
    manifest: dict[str, Any] = {
        **made,
        "n_quarantined": made["n_quarantined"] + sum(rejected.n_bad.values()),
        "n_records": made["n_records"] + sum(rejected.n_bad.values()),
        "plan": plan,
        "n_problems": n_problems,
        **tally.to_dict(),
        "fold_rows": {str(fold): n_rows for fold, n_rows in fold_rows.items()},
        "profiles_sha256": profiles_sha256,
        "survey_sha256": sha256_hex(survey),
        "blocks": [_block(work, piece) for piece in range(work.n_pieces)],
    }
    blocks = (block["name"] for block in manifest["blocks"])
    _sweep(work.target, keep={PROFILES, QUARANTINE, SURVEY, *blocks})
    write_atomic(work.target / MANIFEST, canonical_json(manifest))
    final = project_folder / f"{made['digest'][:32]}-{plan[:16]}"
    try:
        if final.exists():  # without a manifest: `prepare` would have found it otherwise
            shutil.rmtree(final)
        work.target.rename(final)
        fsync_folder(project_folder)
    except OSError as error:
        raise StoreError(f"{final} could not be put in place: {error.strerror}") from error
    return Snapshot.open(final)


def _block(work: Work, piece: int) -> dict[str, Any]:
    facts = read_json(fact_file(work.folder, piece))
    return {name: facts[name] for name in ("name", "n_rows", "size_bytes", "sha256")}


def _sweep(folder: Path, *, keep: set[str]) -> None:
    """Remove what a killed writer left under a temporary name."""
    for file in folder.iterdir():
        if file.name not in keep:
            file.unlink()


def _fold_file(folder: Path, place: int) -> Path:
    """Where the merged profile of a fold lies, in order of the folds."""
    return folder / f"fold-{place:05d}.bin"


@dataclass(frozen=True)
class MergeJob:
    """The profile of a fold: those of all pieces, merged in their order.

    Attributes:
        folder: the work folder.
        n_pieces: pieces of the source.
        folds: the folds that there are; the job's pieces are the places among them.
    """

    folder: Path
    n_pieces: int
    folds: Sequence[int]

    def __call__(self, place: int) -> None:
        """Merge one fold."""
        merged = merge_in_order(self._parts(self.folds[place]))
        write_atomic(_fold_file(self.folder, place), merged.to_bytes())

    def _parts(self, fold: int) -> Iterator[Profile]:
        from tenfold.profile import Profile

        for piece in range(self.n_pieces):
            stored = read_arrow(profile_file(self.folder, piece))
            folds = stored["fold"].to_pylist()
            if fold in folds:
                yield Profile.from_bytes(stored["profile"][folds.index(fold)].as_py())


def merge_in_order(parts: Iterable[Profile], *, held: int = MERGE_BLOCKS) -> Profile:
    """A left fold over at least one profile.

    Args:
        parts: profiles of one schema.
        held: kept unmerged at most; it changes memory, not one bit.
    """
    from tenfold.profile import merge_profiles

    waiting: list[Profile] = []
    for part in parts:
        waiting.append(part)
        if len(waiting) > held:
            waiting = [merge_profiles(waiting)]
    return merge_profiles(waiting)


def _merge_profiles(work: Work) -> tuple[dict[int, int], str]:
    """Write the profiles of all folds, a batch each, never more than one of them in memory.

    Returns:
        Rows by fold, and the SHA-256 of the file.
    """
    from tenfold.profile.stored import n_rows_of

    found: set[int] = set()
    for piece in range(work.n_pieces):
        found.update(read_arrow(profile_file(work.folder, piece))["fold"].to_pylist())
    folds = sorted(found)
    job = MergeJob(work.folder, work.n_pieces, folds)
    work.run("merge profiles", job, _fold_file, len(folds))
    path = work.target / PROFILES
    rows: dict[int, int] = {}
    try:
        with path.open("wb") as stream:
            with pa.ipc.new_file(stream, _STORED) as writer:
                for place, fold in enumerate(folds):
                    data = _fold_file(work.folder, place).read_bytes()
                    rows[fold] = n_rows_of(data)
                    writer.write_batch(_one_profile(fold, data))
            stream.flush()
            os.fsync(stream.fileno())
        with path.open("rb") as stream:
            return rows, hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise store_error(path, error) from error


_STORED = pa.schema([("fold", pa.int8()), ("profile", pa.large_binary())])


def _one_profile(fold: int, data: bytes) -> pa.RecordBatch:
    offsets = pa.py_buffer(np.array([0, len(data)], dtype=np.int64))
    profile = pa.Array.from_buffers(pa.large_binary(), 1, [None, offsets, pa.py_buffer(data)])
    return pa.record_batch([pa.array([fold], pa.int8()), profile], schema=_STORED)


def _survey(work: Work) -> Survey:
    """The survey of all blocks, merged in their order, a few at a time."""
    from tenfold.profile.survey import Survey

    parts: list[Survey] = []
    for piece in range(work.n_pieces):
        parts.append(Survey.from_bytes(survey_file(work.folder, piece).read_bytes()))
        if len(parts) > MERGE_BLOCKS:
            parts = [Survey.merge_all(parts)]
    return Survey.merge_all(parts)


def _write_quarantine(work: Work, rejected: Rejected) -> tuple[int, Tally]:
    """One Parquet file in order of the sources, positions counted over each of them."""
    n_problems: int = rejected.problems.num_rows
    tally = Tally()
    tally.add(rejected.problems)
    try:
        with pq.ParquetWriter(work.target / QUARANTINE, PROBLEMS) as writer:
            if n_problems:
                writer.write_table(rejected.problems)
            for problems in placed_problems(work.folder, work.n_pieces):
                if problems.num_rows:
                    writer.write_table(problems)
                    tally.add(problems)
                n_problems += problems.num_rows
    except OSError as error:
        raise StoreError(
            f"{work.target / QUARANTINE} could not be written: {error}; "
            "free space or point TENFOLD_STORE elsewhere, then run the command again"
        ) from error
    return n_problems, tally
