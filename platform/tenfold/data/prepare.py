"""Preparing: from a source to a snapshot, in three passes that any driver may run.

1. *Scan* every piece; merge; infer the schema.
2. *Clean* every piece by the schema; bad rows to quarantine; row hashes.
3. *Split* by the hashes, bucket by bucket (what one process holds of all rows is a byte each, see
   `tenfold.data.label`), then *finish* every piece: the block, and its profiles by fold, merged in
   order of the blocks.

Each piece is written whole to a work folder and found again after a kill; the snapshot's folder
is renamed into place at the end. A plan (source fingerprint, options, format) is done once: asked
again, `prepare` answers with the snapshot that stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from tenfold.canonical import canonical_json, sha256_hex, write_atomic
from tenfold.data.collect import (
    check_fraction,
    check_schema,
    collect_scan,
    collect_split,
    digest_rows,
)
from tenfold.data.drivers import Driver, InProcess, choose_driver
from tenfold.data.gather import Drivers, Gathered, base_names, file_source, gather, remote_files
from tenfold.data.jobs import CleanJob, FinishJob, ScanJob, clean_file, fact_file, scan_file
from tenfold.data.options import Options
from tenfold.data.places import place_of
from tenfold.data.publish import publish
from tenfold.data.pull import Pullable, open_pull
from tenfold.data.rejects import Rejected, demand_few
from tenfold.data.remote import RemoteFiles, is_remote
from tenfold.data.snapshot import FORMAT_VERSION, LATEST, MANIFEST, Snapshot
from tenfold.data.source import Shard, Source, TableSource
from tenfold.data.work import Work, locked, open_work
from tenfold.errors import DataError
from tenfold.profile.runs import Windows
from tenfold.profile.sample import hash_limit
from tenfold.progress import SILENT, Progress
from tenfold.project.sources import FileSource as FileSpec
from tenfold.project.sources import Source as Spec
from tenfold.schema import Schema
from tenfold.settings import Settings

if TYPE_CHECKING:
    from tenfold.project import Project

__all__ = ["SourceFacts", "prepare", "snapshot_from_table", "source_facts"]

_RULES = 2
"""Of what is counted and where rows go; with another number, what stands is not the same plan."""


def prepare(
    project: Project,
    *,
    settings: Settings,
    drivers: Drivers | None = None,
    progress: Progress = SILENT,
) -> Snapshot:
    """Make the snapshot that a project file asks for, or find it if it stands already.

    Args:
        project: names sources, joins, target, cleaning and split.
        settings: where snapshots go; above ``local_bytes`` the work goes through Ray Data.
        drivers: overrides that choice.
        progress: is told of the steps.

    Raises:
        DataError: what the source or the target breaks, with its remedy; nothing is left behind.
        StoreError: the disk refuses; a later run goes on where this one stopped.
        ClusterError: Ray Data is needed and Ray is not connected.
    """
    if drivers is None:
        drivers = partial(choose_driver, local_bytes=settings.local_bytes)
    folder = settings.snapshots / project.name
    with locked(folder):
        gathered = gather(
            project, folder=settings.pulls / project.name, drivers=drivers, progress=progress
        )
        demand_few(gathered.rejected, project.prepare.max_bad_fraction)
        driver = drivers(gathered.source.size_bytes())
        options = Options.of(project)
        return _build(gathered, options, folder=folder, driver=driver, progress=progress)


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
    known = [name for name in table.column_names if name in schema]
    options = Options.of(project)
    folder = settings.snapshots / project.name
    with locked(folder):
        return _build(
            Gathered(TableSource(table.select(known)), Rejected.nothing(), ()),
            replace(options, split=replace(options.split, sealed_after=sealed_after)),
            folder=folder,
            driver=driver or InProcess(),
            progress=progress,
            schema=schema,
            make_latest=make_latest,
        )


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


def source_facts(project: Project, settings: Settings) -> SourceFacts:
    """Size, columns and about how many rows; reads little, for `tenfold plan`.

    A file tells by its first piece; a source that was pulled by what is stored; one that was not
    by a sample.

    Raises:
        DataError: a source is missing, empty, refuses or is not readable.
    """
    found = {spec.name: _facts(project, spec, settings) for spec in project.data.sources}
    base = [found[name] for name in base_names(project)]
    joined = [found[join.source] for join in project.data.joins]
    return SourceFacts(
        n_rows=sum(facts.n_rows for facts in base),
        n_columns=max(facts.n_columns for facts in base) + sum(f.n_columns for f in joined),
        size_bytes=sum(facts.size_bytes for facts in found.values()),
    )


def _facts(project: Project, spec: Spec, settings: Settings) -> SourceFacts:
    folder = settings.pulls / project.name / f"source-{spec.name}"
    place: Pullable | RemoteFiles
    stored: Source | None
    if not isinstance(spec, FileSpec):
        place = place_of(spec, folder=project.folder)
        stored = open_pull(place, folder)
    elif is_remote(spec.path):
        place = remote_files(project, spec)
        stored = place.fetched(folder)
    else:
        return _facts_of(file_source(project, spec))
    if stored is not None:
        return _facts_of(stored)
    sample, size_bytes = place.sample(), place.size_hint()
    width = max(1, sample.nbytes) / max(1, sample.num_rows)
    return SourceFacts(
        max(sample.num_rows, round(size_bytes / width)), sample.num_columns, size_bytes
    )


def _facts_of(source: Source) -> SourceFacts:
    n_columns = len(source.columns())
    shards = source.shards()
    n_rows = shards[0].read().n_records * len(shards) if shards else 0
    return SourceFacts(n_rows, n_columns, source.size_bytes())


def _build(
    gathered: Gathered,
    options: Options,
    *,
    folder: Path,
    driver: Driver,
    progress: Progress,
    schema: Schema | None = None,
    make_latest: bool = True,
) -> Snapshot:
    """Carry out the plan for a table, or find its snapshot; the caller holds the lock."""
    source = gathered.source
    columns = source.columns()
    fingerprint = source.fingerprint()
    shards = source.shards()
    if not shards:
        raise DataError(
            f"source {source.name!r} has no rows, only a header of {len(columns)} columns; "
            "give at least one row"
        )
    plan = _plan(fingerprint, options, schema)
    found = _standing(folder, plan)
    if found is None:
        with open_work(
            folder, plan, driver=driver, progress=progress, n_pieces=len(shards)
        ) as work:
            made = _carry_out(work, shards, options, source=source, schema=schema)
            _demand_unchanged(source, fingerprint)
            made |= {"lineage": list(gathered.lineage)}
            found = publish(
                work, made, rejected=gathered.rejected, project_folder=folder, plan=plan
            )
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
    cleaning = None
    if schema is None:
        work.run("read", ScanJob(work.folder, shards, options.rules), scan_file)
        schema, cleaning = collect_scan(work, options, source=source.name)
    check_schema(schema, options)
    clean = CleanJob(work.folder, shards, options.rules, schema, source.name, options.split)
    work.run("clean", clean, clean_file)
    check_fraction(work, options.max_bad_fraction, source=source.name)
    split = collect_split(work, schema, options)
    finish = FinishJob(
        folder=work.folder,
        target=work.target,
        labels=split.labels,
        starts=split.starts,
        records=split.records,
        schema=schema,
        axis=split.axis,
        limit=hash_limit(split.n_train),
        windows=Windows.of(split.facts["n_records"]),
    )
    work.run("split", finish, fact_file)
    return {
        "format_version": FORMAT_VERSION,
        "project": options.name,
        "schema": schema.to_dict(),
        "n_folds": options.split.n_folds,
        "ordered": options.split.ordered,
        "source": source.name,
        "cleaning": cleaning,
        **split.facts,
        **digest_rows(work, schema, split.facts["n_rows"]),
    }


def _plan(fingerprint: object, options: Options, schema: Schema | None) -> str:
    return sha256_hex(
        canonical_json(
            {
                "format": FORMAT_VERSION,
                "rules": _RULES,
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
