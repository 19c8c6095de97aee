"""The artifact: a folder of data, never code, written whole and verified before it is parsed."""

from __future__ import annotations

from tenfold.artifact.layout import (
    CONFORMAL_FILE,
    ENGINE_FILES,
    FORMAT_VERSION,
    GOLDEN_FILE,
    MANIFEST_FILE,
    PREPROCESS_FILE,
    REFERENCE_FILE,
    FileEntry,
    Lineage,
)
from tenfold.artifact.manifest import Manifest, ManifestDraft
from tenfold.artifact.probe import ProbeResult, probe
from tenfold.artifact.read import Artifact, read_artifact
from tenfold.artifact.write import file_entries, write_artifact

__all__ = [
    "CONFORMAL_FILE",
    "ENGINE_FILES",
    "FORMAT_VERSION",
    "GOLDEN_FILE",
    "MANIFEST_FILE",
    "PREPROCESS_FILE",
    "REFERENCE_FILE",
    "Artifact",
    "FileEntry",
    "Lineage",
    "Manifest",
    "ManifestDraft",
    "ProbeResult",
    "file_entries",
    "probe",
    "read_artifact",
    "write_artifact",
]
