"""The last step: profiles and quarantine merged, the manifest written, the folder in place."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from tenfold.canonical import canonical_json, fsync_folder, read_json, sha256_hex, write_atomic
from tenfold.data.arrow_file import read_arrow, write_arrow
from tenfold.data.clean import PROBLEMS
from tenfold.data.jobs import fact_file, placed_problems, profile_file, survey_file
from tenfold.data.rejects import Rejected
from tenfold.data.snapshot import MANIFEST, PROFILES, QUARANTINE, SURVEY, Snapshot
from tenfold.data.work import Work
from tenfold.errors import StoreError

if TYPE_CHECKING:
    from tenfold.profile import Profile
    from tenfold.profile.survey import Survey

__all__ = ["merge_by_fold", "publish"]

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
    profiles = merge_by_fold(_profiles(work))
    folds = sorted(profiles)
    stored = pa.table(
        [
            pa.array(folds, pa.int8()),
            pa.array([profiles[fold].to_bytes() for fold in folds], pa.binary()),
        ],
        names=["fold", "profile"],
    )
    data = write_arrow(work.target / PROFILES, stored)
    survey = _survey(work).to_bytes()
    write_atomic(work.target / SURVEY, survey)
    n_problems = _write_quarantine(work, rejected)
    manifest: dict[str, Any] = {
        **made,
        "n_quarantined": made["n_quarantined"] + sum(rejected.n_bad.values()),
        "n_records": made["n_records"] + sum(rejected.n_bad.values()),
        "plan": plan,
        "n_problems": n_problems,
        "fold_rows": {str(fold): profiles[fold].n_rows for fold in folds},
        "profiles_sha256": sha256_hex(data),
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


def _profiles(work: Work) -> Iterator[tuple[int, Profile]]:
    """(fold, profile) of all blocks in their order."""
    from tenfold.profile import Profile

    with work.progress.step("merge profiles", total=work.n_pieces) as advance:
        for piece in range(work.n_pieces):
            stored = read_arrow(profile_file(work.folder, piece))
            pairs = zip(stored["fold"].to_pylist(), stored["profile"].to_pylist(), strict=True)
            for fold, data in pairs:
                yield fold, Profile.from_bytes(data)
            advance(1)


def merge_by_fold(
    parts: Iterable[tuple[int, Profile]], *, held: int = MERGE_BLOCKS
) -> dict[int, Profile]:
    """One profile a fold: a left fold over the parts in the given order.

    Args:
        parts: (fold, profile of some rows of it).
        held: profiles of a fold kept unmerged at most; it changes memory, not one bit.
    """
    from tenfold.profile import merge_profiles

    waiting: dict[int, list[Profile]] = {}
    for fold, profile in parts:
        row = waiting.setdefault(fold, [])
        row.append(profile)
        if len(row) > held:
            waiting[fold] = [merge_profiles(row)]
    return {fold: merge_profiles(row) for fold, row in waiting.items()}


def _survey(work: Work) -> Survey:
    """The survey of all blocks, merged in their order, a few at a time."""
    from tenfold.profile.survey import Survey

    parts: list[Survey] = []
    for piece in range(work.n_pieces):
        parts.append(Survey.from_bytes(survey_file(work.folder, piece).read_bytes()))
        if len(parts) > MERGE_BLOCKS:
            parts = [Survey.merge_all(parts)]
    return Survey.merge_all(parts)


def _write_quarantine(work: Work, rejected: Rejected) -> int:
    """One Parquet file in order of the sources, positions counted over each of them."""
    n_problems: int = rejected.problems.num_rows
    try:
        with pq.ParquetWriter(work.target / QUARANTINE, PROBLEMS) as writer:
            if n_problems:
                writer.write_table(rejected.problems)
            for problems in placed_problems(work.folder, work.n_pieces):
                if problems.num_rows:
                    writer.write_table(problems)
                n_problems += problems.num_rows
    except OSError as error:
        raise StoreError(
            f"{work.target / QUARANTINE} could not be written: {error}; "
            "free space or point TENFOLD_STORE elsewhere, then run the command again"
        ) from error
    return n_problems
