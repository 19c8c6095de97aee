"""Pack a fitted model: golden rows by the engine that will answer, then one whole write."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tenfold.artifact import (
    CONFORMAL_FILE,
    GOLDEN_FILE,
    PREPROCESS_FILE,
    Manifest,
    ManifestDraft,
    file_entries,
    write_artifact,
)
from tenfold.features.joined import read_preprocessor
from tenfold.inference.engines import load_engine
from tenfold.inference.golden import build_golden
from tenfold.inference.predictor import Predictor

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["draft_predictor", "pack_artifact"]


def draft_predictor(files: Mapping[str, bytes], manifest: ManifestDraft) -> Predictor:
    """A predictor over files that were just made and are in no folder yet.

    Raises:
        ArtifactError: a file is missing or refused.
    """
    sealed = manifest.sealed(file_entries(files))
    scorer = {name: files[name] for name in sealed.engine_files}
    return Predictor(
        sealed,
        preprocessor=read_preprocessor(json.loads(files[PREPROCESS_FILE])),
        engine=load_engine(sealed.engine, files=scorer, family=sealed.lineage.family),
    )


def pack_artifact(
    folder: Path, *, files: Mapping[str, bytes], manifest: ManifestDraft, table: pa.Table
) -> Manifest:
    """Write an artifact with its golden rows. Run `tenfold.artifact.probe` on it before its use.

    Args:
        folder: the new folder; must not exist, or be empty.
        files: ``preprocess.json`` (canonical JSON of `Preprocessor.to_dict`), the engine's files,
            and any others (native model, profile, reference, card, report); no golden rows.
        manifest: everything else.
        table: cleaned rows to take golden rows from, e.g. a block of the snapshot.

    Raises:
        ArtifactError: a needed file is missing or refused, or the folder is taken.
        StoreError: the disk is full or failing; nothing half-written stays behind.
    """
    predictor = draft_predictor(files, manifest)
    golden = build_golden(
        predictor.schema,
        table,
        predict=predictor.predict_table,
        limits=files.get(CONFORMAL_FILE),
    )
    return write_artifact(folder, files={**files, GOLDEN_FILE: golden}, manifest=manifest)
