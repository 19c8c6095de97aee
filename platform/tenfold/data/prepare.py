"""Preparing: from a source to a snapshot, in three passes that any driver may run.

1. *Scan* every piece; merge; infer the schema.
2. *Clean* every piece by the schema; bad rows to quarantine; row hashes.
3. *Split* by the hashes (the one step that needs something of every row in one process: about
   90 bytes a row at its peak, see `tenfold.data.split`), then *finish* every piece: the block,
   and its profiles by fold, merged in order of the blocks.

Each piece is written whole to a work folder and found again after a kill; the snapshot's folder
is renamed into place at the end. A plan (source fingerprint, options, format) is done once: asked
again, `prepare` answers with the snapshot that stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from tenfold.canonical import canonical_json, sha256_hex, write_atomic
from tenfold.data.collect import check_fraction, check_schema, collect_scan, collect_split
from tenfold.data.drivers import Driver, choose_driver
from tenfold.data.files import FileSource
from tenfold.data.jobs import CleanJob, FinishJob, ScanJob, clean_file, fact_file, scan_file
from tenfold.data.options import Options
from tenfold.data.publish import publish
from tenfold.data.snapshot import FORMAT_VERSION, LATEST, MANIFEST, Snapshot
from tenfold.data.source import Shard, Source, TableSource
from tenfold.data.work import Work, locked, open_work
from tenfold.errors import DataError, NotYet
from tenfold.progress import SILENT, Progress
from tenfold.project.sources import FileSource as FileSpec
from tenfold.schema import Schema
from tenfold.settings import Settings

if TYPE_CHECKING:
    from tenfold.project import Project

__all__ = ["SourceFacts", "prepare", "snapshot_from_table", "source_facts", "source_of"]


def prepare(
    project: Project,
    *,
    settings: Settings,
    driver: Driver | None = None,
    progress: Progress = SILENT,
) -> Snapshot:
    """Make the snapshot that a project file asks for, or find it if it stands already.

    Args:
        project: names source, target, cleaning and split.
        settings: where snapshots go; above ``local_bytes`` the work goes through Ray Data.
        driver: overrides that choice.
        progress: is told of the steps.

    Raises:
        DataError: what the source or the target breaks, with its remedy; nothing is left behind.
        StoreError: the disk refuses; a later run goes on where this one stopped.
        ClusterError: Ray Data is needed and Ray is not connected.
    """
    source = source_of(project)
    chosen = driver or choose_driver(source.size_bytes(), local_bytes=settings.local_bytes)
    return _build(source, Options.of(project), settings, chosen, progress=progress)


def snapshot_from_table(
    table: pa.Table,
    schema: Schema,
    *,
    project: Project,
    settings: Settings,
    driver: Driver | None = None,
    progress: Progress = SILENT,
    make_latest: bool = False,
    sealed_after: int | None = None,
) -> Snapshot:
    """Make a snapshot of rows in memory by a schema that exists already; for retraining.

    Cleaning, duplicates, quarantine and split follow the project as in `prepare`; nothing is
    inferred, so the domains are the schema's.

    Args:
        table: text or typed columns; columns that the schema lacks are left out. If the project
            says ``time: {order: rows}`` the rows must be in order of time.
        schema: of the snapshot.
        project: options and the name of the folder.
        settings: where snapshots go.
        driver: this process by default.
        progress: is told of the steps.
        make_latest: whether `Snapshot.latest` shall find it.
        sealed_after: the table's rows from this one on are the sealed test set; by the project's
            share if None.

    Raises:
        DataError: as `prepare`.
    """
    from tenfold.data.drivers import InProcess

    known = [name for name in table.column_names if name in schema]
    source = TableSource(table.select(known))
    options = Options.of(project)
    return _build(
        source,
        replace(options, split=replace(options.split, sealed_after=sealed_after)),
        settings,
        driver or InProcess(),
        progress=progress,
        schema=schema,
        make_latest=make_latest,
    )


def source_of(project: Project) -> FileSource:
    """The source that a project names.

    Raises:
        NotYet: it names several, or joins.
    """
    data = project.data
    if len(data.sources) != 1 or data.joins:
        raise NotYet(
            f"a project reads one source so far, not {len(data.sources)} with "
            f"{len(data.joins)} joins; join them into one file first"
        )
    first = data.sources[0]
    if not isinstance(first, FileSpec):
        raise NotYet(f"source {first.name!r}: type {first.type!r} is not built yet")
    return FileSource(project.resolve(first.path), name=first.name, format=first.format)


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What is known of a source without reading it all.

    Attributes:
        n_rows: rows, estimated from the first piece.
        n_columns: columns.
        size_bytes: stored size.
    """

    n_rows: int
    n_columns: int
    size_bytes: int


def source_facts(project: Project) -> SourceFacts:
    """Size, columns and about how many rows; reads one piece at most, for `tenfold plan`.

    Raises:
        DataError: the source is missing, empty or not readable.
    """
    source = source_of(project)
    n_columns = len(source.columns())
    shards = source.shards()
    n_rows = shards[0].read().n_records * len(shards) if shards else 0
    return SourceFacts(n_rows, n_columns, source.size_bytes())


def _build(
    source: Source,
    options: Options,
    settings: Settings,
    driver: Driver,
    *,
    progress: Progress,
    schema: Schema | None = None,
    make_latest: bool = True,
) -> Snapshot:
    columns = source.columns()
    fingerprint = source.fingerprint()
    shards = source.shards()
    if not shards:
        raise DataError(
            f"source {source.name!r} has no rows, only a header of {len(columns)} columns; "
            "give at least one row"
        )
    folder = settings.snapshots / options.name
    plan = _plan(fingerprint, options, schema)
    with locked(folder):
        found = _standing(folder, plan)
        if found is None:
            with open_work(
                folder, plan, driver=driver, progress=progress, n_pieces=len(shards)
            ) as work:
                made = _carry_out(work, shards, options, source=source, schema=schema)
                _demand_unchanged(source, fingerprint)
                found = publish(work, made, project_folder=folder, plan=plan)
        if make_latest:
            write_atomic(folder / LATEST, canonical_json({"folder": found.path.name}))
    return found


def _carry_out(
    work: Work,
    shards: Sequence[Shard],
    options: Options,
    *,
    source: Source,
    schema: Schema | None,
) -> dict[str, object]:
    """All passes; returns the manifest without its blocks."""
    if schema is None:
        work.run("read", ScanJob(work.folder, shards, options.rules), scan_file)
        schema = collect_scan(work, options, source=source.name)
    check_schema(schema, options)
    work.run("clean", CleanJob(work.folder, shards, options.rules, schema, source.name), clean_file)
    check_fraction(work, options.max_bad_fraction, source=source.name)
    split = collect_split(work, schema, options)
    finish = FinishJob(work.folder, work.target, split.labels, split.starts, split.records, schema)
    work.run("split and profile", finish, fact_file)
    return {
        "format_version": FORMAT_VERSION,
        "project": options.name,
        "schema": schema.to_dict(),
        "n_folds": options.split.n_folds,
        "ordered": options.split.ordered,
        "source": source.name,
        **split.facts,
    }


def _plan(fingerprint: object, options: Options, schema: Schema | None) -> str:
    return sha256_hex(
        canonical_json(
            {
                "format": FORMAT_VERSION,
                "source": fingerprint,
                "options": options.to_dict(),
                "schema": None if schema is None else schema.digest(),
                "arrow": pa.__version__,
            }
        )
    )


def _standing(folder: Path, plan: str) -> Snapshot | None:
    for found in folder.glob(f"*-{plan[:16]}"):
        if not found.name.startswith(".") and (found / MANIFEST).is_file():
            return Snapshot.open(found)
    return None


def _demand_unchanged(source: Source, fingerprint: object) -> None:
    if source.fingerprint() != fingerprint:
        raise DataError(
            f"source {source.name!r} must not change while it is read, and it did; "
            "run the command again when it is written"
        )
