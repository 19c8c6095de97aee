"""The columns that sources have together, found without reading them: for ``tenfold check``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenfold.errors import DataError, ProjectError
from tenfold.project.project import Project
from tenfold.project.sources import FileSource, Source

if TYPE_CHECKING:
    from tenfold.project.inputs import Join

__all__ = ["combined_names"]

Names = tuple[str, ...]


def combined_names(project: Project) -> tuple[Names, list[tuple[str, str]]]:
    """Column names of the whole table, and what is wrong on the way to it.

    Files tell by their headers; a database, an API or a lake is asked for its first rows.

    Returns:
        The names (empty if a source of the table cannot be read), and faults as (field of the
        project file, message).
    """
    from tenfold.data.gather import base_names

    faults: list[tuple[str, str]] = []
    known: dict[str, Names] = {}
    for index, spec in enumerate(project.data.sources):
        try:
            known[spec.name] = _names(project, spec)
        except (DataError, ProjectError) as error:
            faults.append((f"data.sources[{index}]", str(error)))
    base = base_names(project)
    if not all(name in known for name in base):
        return (), faults
    names = tuple(dict.fromkeys(column for name in base for column in known[name]))
    for index, join in enumerate(project.data.joins):
        if join.source not in known:
            continue
        try:
            names = _joined(project, join, names, known[join.source], " + ".join(base))
        except DataError as error:
            faults.append((f"data.joins[{index}]", str(error)))
    return names, faults


def _names(project: Project, spec: Source) -> Names:
    from tenfold.data.gather import file_source, remote_files
    from tenfold.data.places import place_of
    from tenfold.data.remote import is_remote

    if isinstance(spec, FileSource):
        if is_remote(spec.path):
            return tuple(remote_files(project, spec).sample().column_names)
        return file_source(project, spec).columns()
    return tuple(place_of(spec, folder=project.folder).sample().column_names)


def _joined(project: Project, join: Join, names: Names, right: Names, table: str) -> Names:
    from tenfold.data.gather import join_rule
    from tenfold.data.integrate import brought, demand_join

    rule = join_rule(project, join)
    demand_join(names, right, rule, left_name=table, right_name=join.source)
    return (*names, *brought(names, right, rule, join.source).values())
