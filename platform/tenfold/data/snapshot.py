"""A snapshot: the cleaned, split, profiled table on disk, immutable once its manifest stands.

Folder ``{snapshots}/{project}/{digest[:32]}-{plan[:16]}/``: ``snapshot.json`` (the manifest,
written last), ``block-00000.arrow`` and on, ``profiles.arrow``, ``survey.bin`` (what only the
report needs of the training rows), ``quarantine.parquet``. Any process may read it at any time;
nobody writes into it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from tenfold.canonical import read_json, write_atomic
from tenfold.data.arrow_file import read_arrow
from tenfold.errors import DataError, StoreError
from tenfold.schema import Schema
from tenfold.settings import Settings

if TYPE_CHECKING:
    from tenfold.profile import Profile
    from tenfold.profile.survey import Survey
    from tenfold.project import Project

__all__ = ["FOLD", "FORMAT_VERSION", "HASH", "MANIFEST", "ROW", "Snapshot", "block_name"]

FORMAT_VERSION = 2
"""Of the folder's layout; another version is refused with its remedy."""
MANIFEST = "snapshot.json"
PROFILES = "profiles.arrow"
SURVEY = "survey.bin"
QUARANTINE = "quarantine.parquet"
LATEST = "latest.json"
ROW, HASH, FOLD = "__row", "__hash", "__fold"
"""Columns that stand behind the schema's own in a block: int64 position in source order (from 0,
bad rows counted), 16 bytes of row hash, int8 fold (-1 for the sealed test set)."""


def block_name(index: int) -> str:
    """File name of a block.

    >>> block_name(3)
    'block-00003.arrow'
    """
    return f"block-{index:05d}.arrow"


@dataclass(frozen=True)
class Snapshot:
    """One prepared table.

    Attributes:
        path: the folder.
        digest: SHA-256 over schema, row count and the order-free sum of row hashes.
        folds_digest: SHA-256 over which row has which fold.
        schema: of the rows.
        n_rows: rows kept.
        n_folds: k; fold labels are 0..k-1, or slices 0..k if ``ordered``.
        n_quarantined: rows that could not be mended.
        n_duplicates: rows equal to an earlier one that were not kept.
        n_equal: rows kept though equal to an earlier one.
        ordered: whether folds are time slices, oldest first.
        manifest: the whole of ``snapshot.json``.
    """

    path: Path
    digest: str
    folds_digest: str
    schema: Schema
    n_rows: int
    n_folds: int
    n_quarantined: int
    n_duplicates: int
    n_equal: int
    ordered: bool
    manifest: dict[str, Any]

    @classmethod
    def open(cls, path: str | Path) -> Snapshot:
        """Open a snapshot's folder.

        Raises:
            StoreError: there is none, its format is another, or a block is missing or cut.
        """
        folder = Path(path)
        manifest = read_json(folder / MANIFEST)
        if manifest.get("format_version") != FORMAT_VERSION:
            raise StoreError(
                f"{folder} must have snapshot format {FORMAT_VERSION}, and has "
                f"{manifest.get('format_version')}; prepare the project again"
            )
        for block in manifest["blocks"]:
            file = folder / block["name"]
            if not file.is_file() or file.stat().st_size != block["size_bytes"]:
                raise StoreError(
                    f"{file} must have {block['size_bytes']} bytes and does not; "
                    f"delete {folder} and prepare the project again"
                )
        return cls(
            path=folder,
            digest=manifest["digest"],
            folds_digest=manifest["folds_digest"],
            schema=Schema.from_dict(manifest["schema"]),
            n_rows=manifest["n_rows"],
            n_folds=manifest["n_folds"],
            n_quarantined=manifest["n_quarantined"],
            n_duplicates=manifest["n_duplicates"],
            n_equal=manifest.get("n_equal", 0),
            ordered=manifest["ordered"],
            manifest=manifest,
        )

    @staticmethod
    def pointer(settings: Settings, project: str) -> Path:
        """The small file that names the newest snapshot; it changes with every one."""
        return settings.snapshots / project / LATEST

    @classmethod
    def latest(cls, settings: Settings, project: Project | str) -> Snapshot:
        """The snapshot that `prepare` made last for a project (or for a project of that name).

        Raises:
            DataError: the project was not prepared here.
            StoreError: the snapshot is not whole.
        """
        name = project if isinstance(project, str) else project.name
        pointer = cls.pointer(settings, name)
        if not pointer.is_file():
            raise DataError(
                f"project {name!r} must be prepared first, and {settings.snapshots} holds no "
                "snapshot of it; run tenfold prepare on its project file"
            )
        return cls.open(pointer.parent / str(read_json(pointer)["folder"]))

    @classmethod
    def find(cls, settings: Settings, project: str, digest: str) -> Snapshot:
        """A snapshot by its digest, or the beginning of one (8 digits or more).

        Raises:
            DataError: there is none.
        """
        for folder in sorted((settings.snapshots / project).glob(f"{digest[:32]}*-*")):
            if (folder / MANIFEST).is_file():
                return cls.open(folder)
        raise DataError(
            f"project {project!r} has no snapshot {digest[:12]} under {settings.snapshots}; "
            "prepare the project again"
        )

    @property
    def quarantine_rate(self) -> float:
        """Share that went to quarantine, 0 to 1: of the rows of the table and what was no row."""
        return self.n_quarantined / max(1, int(self.manifest["n_records"]))

    def blocks(self) -> Iterator[pa.Table]:
        """The blocks in order, memory-mapped; the schema's columns, then `ROW`, `HASH`, `FOLD`.

        Blocks without rows are left out.
        """
        for block in self.manifest["blocks"]:
            if block["n_rows"]:
                yield read_arrow(self.path / block["name"])

    def table(self) -> pa.Table:
        """All rows in order of the source, one chunk a block, memory-mapped."""
        return pa.concat_tables(list(self.blocks()))

    def profiles(self) -> dict[int, Profile]:
        """One profile a fold label; -1 is the sealed test set. Their values stay mapped."""
        from tenfold.profile import Profile

        stored = read_arrow(self.path / PROFILES)
        pairs = zip(stored["fold"].to_pylist(), stored["profile"], strict=True)
        return {fold: Profile.from_bytes(memoryview(data.as_buffer())) for fold, data in pairs}

    def survey(self) -> Survey:
        """The survey of the training rows.

        Raises:
            StoreError: its file cannot be read.
            ArtifactError: it is not whole.
        """
        from tenfold.profile.survey import Survey

        try:
            data = (self.path / SURVEY).read_bytes()
        except OSError as error:
            raise StoreError(
                f"{self.path / SURVEY} must be readable: {error.strerror}; "
                f"delete {self.path} and prepare the project again"
            ) from error
        return Survey.from_bytes(data)

    def quarantine(self) -> pa.Table:
        """The bad cells: source, position (from 1), column, value, reason."""
        return pq.read_table(self.path / QUARANTINE)

    def export_quarantine(self, path: Path) -> None:
        """Write the bad cells for a person to open: as Parquet where the name ends so, else as CSV
        of which no cell begins a formula. A file that is there is replaced whole.

        Raises:
            StoreError: the disk refuses.
        """
        from tenfold.data.csv_out import write_csv

        if path.suffix.lower() == ".parquet":
            write_atomic(path, (self.path / QUARANTINE).read_bytes())
        else:
            write_csv(path, self.quarantine())

    def verify(self) -> None:
        """Read every block, the profiles and the survey; compare their SHA-256 with the manifest.

        `open` compares sizes only, which costs nothing; a training, which reads all rows anyway,
        calls this first.

        Raises:
            StoreError: a file has changed since it was written, or cannot be read.
        """
        expected = {block["name"]: block["sha256"] for block in self.manifest["blocks"]}
        expected[PROFILES] = self.manifest["profiles_sha256"]
        expected[SURVEY] = self.manifest["survey_sha256"]
        for name, sha256 in expected.items():
            file = self.path / name
            try:
                with file.open("rb") as stream:
                    found = hashlib.file_digest(stream, "sha256").hexdigest()
            except OSError as error:
                raise StoreError(
                    f"{file} must be readable: {error.strerror}; "
                    f"delete {self.path} and prepare the project again"
                ) from error
            if found != sha256:
                raise StoreError(
                    f"{file} must have SHA-256 {sha256[:12]}... and has another; "
                    f"delete {self.path} and prepare the project again"
                )
