"""From the sources of a project file to one table: files in place, all else pulled, then joined.

Local files are read where they lie, remote ones are copied into the store first (`tenfold.data
.remote`). Every other source is pulled into the store (`tenfold.data
.pull`). Sources that no join names are stacked; the others are joined one after the other. What
came of each step (versions, watermarks, reconciled types, matched rows) is the lineage, which the
snapshot's manifest keeps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tenfold.data.drivers import Driver
from tenfold.data.files import FileSource
from tenfold.data.integrate import JoinRule, integrate
from tenfold.data.places import place_of
from tenfold.data.pull import pull
from tenfold.data.rejects import Rejected
from tenfold.data.remote import RemoteFiles, is_remote
from tenfold.data.source import Source
from tenfold.data.stack import Stack
from tenfold.project.sources import FileSource as FileSpec
from tenfold.project.sources import Source as Spec

if TYPE_CHECKING:
    from tenfold.progress import Progress
    from tenfold.project import Join, Project

__all__ = [
    "Drivers",
    "Gathered",
    "base_names",
    "file_source",
    "gather",
    "join_rule",
    "remote_files",
]

Drivers = Callable[[int], Driver]
"""From the size of a source in bytes to what runs its pieces."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """One table and where it came from.

    Attributes:
        source: of the table.
        rejected: what was no row in a source that was joined.
        lineage: JSON, one entry a source and a join.
    """

    source: Source
    rejected: Rejected
    lineage: tuple[dict[str, Any], ...]


def gather(project: Project, *, folder: Path, drivers: Drivers, progress: Progress) -> Gathered:
    """Bring the sources of a project together.

    Args:
        project: names them.
        folder: where pulls and joins are kept; the caller holds the project's lock.
        drivers: choose what runs the pieces of a source.
        progress: is told of the steps.

    Raises:
        DataError: a source is missing or refuses, or a join breaks its law.
        StoreError: the disk refuses; a later run goes on where this one stopped.
    """
    sources: dict[str, Source] = {}
    lineage: list[dict[str, Any]] = []
    for spec in project.data.sources:
        sources[spec.name], told = _source(project, spec, folder, drivers, progress)
        lineage.append({"source": spec.name, "type": spec.type, **told})
    base = tuple(sources[name] for name in base_names(project))
    table: Source = base[0]
    if len(base) > 1:
        table = Stack(base)
        lineage.append({"stack": table.name, "changes": list(table.alignment().changes)})
    rejected = Rejected.nothing()
    for number, join in enumerate(project.data.joins):
        right = sources[join.source]
        table, more = integrate(
            table,
            right,
            join_rule(project, join),
            folder=folder / f"join-{number:02d}",
            driver=drivers(table.size_bytes() + right.size_bytes()),
            progress=progress,
        )
        rejected = rejected.and_(more)
        lineage += table.lineage
    return Gathered(table, rejected, tuple(lineage))


def base_names(project: Project) -> tuple[str, ...]:
    """The sources that no join names, in the order of the file."""
    joined = {join.source for join in project.data.joins}
    return tuple(spec.name for spec in project.data.sources if spec.name not in joined)


def file_source(project: Project, spec: FileSpec) -> FileSource:
    """The local files of a source."""
    return FileSource(
        project.resolve(spec.path),
        name=spec.name,
        format=spec.format,
        encoding=spec.encoding,
        spare=_spares(project),
    )


def remote_files(project: Project, spec: FileSpec) -> RemoteFiles:
    """The files of a source elsewhere; nothing is asked for yet.

    Raises:
        DataError: the address cannot be read, or holds a secret.
    """
    return RemoteFiles.of(spec, spare=_spares(project))


def join_rule(project: Project, join: Join) -> JoinRule:
    """A join of the project file as a rule."""
    return JoinRule(
        on=tuple(join.on.items()),
        how=join.how,
        times=None if join.time is None else (join.time.left, join.time.right),
        tolerance=join.tolerance,
        fan_out=join.fan_out,
        markers=tuple(sorted(set(project.prepare.missing_markers))),
        most_bad=project.prepare.max_bad_fraction,
    )


def _spares(project: Project) -> bool:
    return project.prepare.on_bad_file == "quarantine"


def _source(
    project: Project, spec: Spec, folder: Path, drivers: Drivers, progress: Progress
) -> tuple[Source, dict[str, Any]]:
    if isinstance(spec, FileSpec):
        return _files(project, spec, folder, drivers, progress)
    place = place_of(spec, folder=project.folder)
    driver = drivers(place.size_hint())
    stored = pull(
        place,
        folder / f"source-{spec.name}",
        driver=driver,
        progress=progress,
        markers=project.prepare.missing_markers,
    )
    told = {"pulls": list(stored.lineage), "changes": list(stored.alignment().changes)}
    return stored, told


def _files(
    project: Project, spec: FileSpec, folder: Path, drivers: Drivers, progress: Progress
) -> tuple[FileSource, dict[str, Any]]:
    if is_remote(spec.path):
        remote = remote_files(project, spec)
        driver = drivers(remote.size_hint())
        files = remote.fetch(folder / f"source-{spec.name}", driver=driver, progress=progress)
    else:
        files = file_source(project, spec)
    told: dict[str, Any] = {"path": spec.path, "changes": list(files.alignment().changes)}
    return files, {**told, "objects": list(files.lineage)} if files.lineage else told
