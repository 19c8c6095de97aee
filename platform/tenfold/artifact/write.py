"""Write an artifact whole: a temporary folder, the manifest last, one rename."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path

from tenfold.artifact.layout import GOLDEN_FILE, MANIFEST_FILE, FileEntry, check_name
from tenfold.artifact.manifest import Manifest, ManifestDraft
from tenfold.canonical import fsync_folder, sha256_hex, store_error, write_atomic
from tenfold.errors import ArtifactError

__all__ = ["file_entries", "write_artifact"]


def write_artifact(
    folder: Path, *, files: Mapping[str, bytes], manifest: ManifestDraft
) -> Manifest:
    """Write a model's files and seal them with a manifest.

    A reader of ``folder`` sees nothing or all of it; a crash leaves a hidden temporary folder
    beside it, never a half artifact. Nothing is loaded here: run `tenfold.artifact.probe` on the
    result before anybody uses it. `tenfold.inference.pack_artifact` makes the golden rows too.

    Args:
        folder: the new folder; must not exist, or be empty.
        files: name to bytes: ``preprocess.json``, ``golden.arrow`` (see
            `tenfold.inference.build_golden`), the engine's files, and any others.
        manifest: everything else.

    Raises:
        ArtifactError: a name is not allowed, a needed file is missing, or the folder is taken.
        StoreError: the disk is full or failing; nothing half-written stays behind.
    """
    if GOLDEN_FILE not in files:
        raise ArtifactError(
            f"an artifact needs {GOLDEN_FILE}; make it with tenfold.inference.build_golden"
        )
    if MANIFEST_FILE in files:
        raise ArtifactError(f"{MANIFEST_FILE} is written from the draft; leave it out of the files")
    sealed = manifest.sealed(file_entries(files))
    staged = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        staged.mkdir(parents=True)
        for name, data in sorted(files.items()):
            write_atomic(staged / name, data)
        write_atomic(staged / MANIFEST_FILE, sealed.to_bytes())
        os.rename(staged, folder)  # noqa: PTH104  (Path.rename says the same and hides the law)
        fsync_folder(folder.parent)
    except OSError as error:
        if folder.exists() and error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise ArtifactError(
                f"{folder} is taken and artifacts never change; write to a new folder"
            ) from error
        raise store_error(folder, error) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return sealed


def file_entries(files: Mapping[str, bytes]) -> dict[str, FileEntry]:
    """Size and digest of each file.

    Raises:
        ArtifactError: a name is not allowed.

    >>> file_entries({"a.json": b"{}"})["a.json"].size
    2
    """
    return {
        check_name(name): FileEntry(len(data), sha256_hex(data)) for name, data in files.items()
    }
