"""The last step: profiles and quarantine merged, the manifest written, the folder in place."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
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
from tenfold.data.jobs import fact_file, placed_problems, survey_file
from tenfold.data.rejects import Rejected
from tenfold.data.snapshot import (
    FOLD,
    MANIFEST,
    PROFILES,
    QUARANTINE,
    SURVEY,
    Snapshot,
    block_name,
)
from tenfold.data.work import Work
from tenfold.errors import StoreError
from tenfold.schema import Schema

if TYPE_CHECKING:
    from tenfold.profile.survey import Survey

__all__ = ["ProfileJob", "fold_profile", "publish"]

SURVEYS_HELD = 16
"""Block surveys in memory at once; the left fold over them is the same for any number."""

RUN_BLOCKS = 1024
"""Some 70 million rows: a scan of fewer has hardly forgotten detail, which makes merges dear."""


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
    fold_rows, profiles_sha256 = _write_profiles(work, Schema.from_dict(made["schema"]))
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


def _run_file(folder: Path, place: int) -> Path:
    """Where the profile of a run of blocks lies, see `ProfileJob`."""
    return folder / f"run-{place:05d}.bin"


@dataclass(frozen=True)
class ProfileJob:
    """The rows of a fold in a run of blocks, scanned in their order.

    Attributes:
        folder: the work folder.
        target: the snapshot's folder while it is made, with all its blocks.
        schema: of the rows.
        n_blocks: blocks of the snapshot.
        folds: the folds that there are; the job's pieces are those of the first run, then those
            of the second.
        run_blocks: blocks of a run. It decides the last bits of a profile, so it does not depend
            on how many work at once.
    """

    folder: Path
    target: Path
    schema: Schema
    n_blocks: int
    folds: Sequence[int]
    run_blocks: int = RUN_BLOCKS

    @property
    def n_pieces(self) -> int:
        """Runs times folds."""
        return -(-self.n_blocks // self.run_blocks) * len(self.folds)

    def __call__(self, place: int) -> None:
        """Profile one fold in one run."""
        from tenfold.profile import ProfileScan, profiled_columns

        run, at = divmod(place, len(self.folds))
        names = [FOLD, *(column.name for column in profiled_columns(self.schema))]
        scan = ProfileScan(self.schema)
        first = run * self.run_blocks
        for piece in range(first, min(first + self.run_blocks, self.n_blocks)):
            block = read_arrow(self.target / block_name(piece)).select(names)
            scan.add(block.filter(pc.equal(block.column(FOLD), self.folds[at])))
        write_atomic(_run_file(self.folder, place), scan.profile().to_bytes())


def fold_profile(job: ProfileJob, at: int) -> bytes:
    """The profile of a fold: its runs, merged in their order, two of them in memory."""
    from tenfold.profile import Profile

    files = [_run_file(job.folder, place) for place in range(at, job.n_pieces, len(job.folds))]
    merged = files[0].read_bytes()
    for file in files[1:]:
        run = Profile.from_bytes(file.read_bytes())
        merged = Profile.from_bytes(merged).merge(run).to_bytes()
    return merged


def _write_profiles(work: Work, schema: Schema) -> tuple[dict[int, int], str]:
    """Write the profiles of all folds, a batch each, never more than one of them in memory.

    Returns:
        Rows by fold, and the SHA-256 of the file.
    """
    from tenfold.profile.stored import n_rows_of

    found: set[int] = set()
    for piece in range(work.n_pieces):
        found.update(read_json(fact_file(work.folder, piece))["folds"])
    folds = sorted(found)
    job = ProfileJob(work.folder, work.target, schema, work.n_pieces, folds)
    work.run("profile", job, _run_file, job.n_pieces)
    path = work.target / PROFILES
    rows: dict[int, int] = {}
    try:
        with path.open("wb") as stream:
            with pa.ipc.new_file(stream, _STORED) as writer:
                for place, fold in enumerate(folds):
                    data = fold_profile(job, place)
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
        if len(parts) > SURVEYS_HELD:
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
