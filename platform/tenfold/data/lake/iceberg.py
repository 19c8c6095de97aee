"""Iceberg tables: one snapshot, pinned; a stream for a run of its data files.

The library's own scan reads the files, so deleted rows, renamed columns and partition values are
right; tables with equality deletes, which it cannot read, are refused. Needs the extra ``iceberg``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tenfold.data.endpoints import check_endpoints, is_address_name
from tenfold.data.lake.runs import (
    batch_rows,
    check_columns,
    check_flat,
    file_runs,
    nonempty,
    opened,
    sample_of,
)
from tenfold.data.pull import PullPlan
from tenfold.data.reasons import reason_of
from tenfold.data.watermark import Mark
from tenfold.errors import DataError, TenfoldError
from tenfold.project.sources import IcebergSource

if TYPE_CHECKING:
    from pyiceberg.schema import Schema
    from pyiceberg.table import FileScanTask, Table
    from pyiceberg.typedef import Properties

__all__ = ["IcebergPlace", "IcebergStream"]

_CODE = ("py-catalog-impl", "py-io-impl", "py-location-provider-impl")
"""Properties that name Python code to run."""

_SQLITE = "sqlite:///"


@dataclass(frozen=True, slots=True)
class IcebergStream:
    """Some data files of one snapshot; holds references to secrets, never their values.

    Attributes:
        spec: the source as the project file says.
        folder: where a relative SQLite path starts.
        snapshot: its id.
        schema: id of the schema that the rows are read as.
        files: data files as the snapshot names them.
    """

    spec: IcebergSource
    folder: Path
    snapshot: int
    schema: int
    files: tuple[str, ...]

    def batches(self) -> Iterator[pa.Table]:
        """See `Stream`. One data file at a time is decoded in memory."""
        from pyiceberg.expressions import AlwaysTrue
        from pyiceberg.io.pyarrow import ArrowScan, schema_to_pyarrow

        with _telling(self.spec, self.snapshot) as hide:
            table = _open(self.spec, self.folder, hide)
            schema = _projection(table, self.schema, self.spec)
            tasks = {task.file.file_path: task for task in _tasks(table, self.snapshot)}
            target = schema_to_pyarrow(schema, include_field_ids=False)
            scan = ArrowScan(table.metadata, table.io, schema, AlwaysTrue())
            rows = batch_rows(len(target))
            for file in self.files:
                for batch in scan.to_record_batches([tasks[file]]):
                    part = pa.Table.from_batches([batch]).cast(target)
                    yield from nonempty(part.to_batches(rows), source=self.spec.name)


@dataclass(frozen=True, slots=True)
class IcebergPlace:
    """See `Pullable`.

    Attributes:
        spec: the source as the project file says.
        folder: where a relative SQLite path starts.
    """

    spec: IcebergSource
    folder: Path
    watermark: str | None = field(default=None, init=False)

    @classmethod
    def of(cls, spec: IcebergSource, *, folder: Path) -> IcebergPlace:
        """The place; nothing is opened yet.

        Raises:
            DataError: the extra is not installed, or a property names code to run.
        """
        try:
            import pyiceberg  # noqa: F401
        except ModuleNotFoundError as error:
            raise DataError(
                f"source {spec.name!r}: Iceberg tables need PyIceberg; install it: "
                "pip install 'tenfold[iceberg]'"
            ) from error
        for key in _CODE:
            if key in spec.catalog:
                raise DataError(
                    f"source {spec.name!r}: 'catalog' must not name code to run, as {key!r} does; "
                    "remove it"
                )
        return cls(spec, folder)

    @property
    def name(self) -> str:
        """See `Pullable`."""
        return self.spec.name

    def identity(self) -> dict[str, Any]:
        """The catalog's place, the table, the snapshot and the columns."""
        places = ("name", "type", "uri", "warehouse")
        return {
            "type": "iceberg",
            "catalog": {key: self.spec.catalog[key] for key in places if key in self.spec.catalog},
            "table": self.spec.table,
            "version": self.spec.version,
            "columns": list(self.spec.columns),
        }

    def plan(self, since: Mark | None) -> PullPlan:
        """See `Pullable`: the snapshot is the wanted one, or the newest one now.

        The newest snapshot has the table's columns as they are named now, an older one its own.
        """
        from pyiceberg.io.pyarrow import schema_to_pyarrow

        with _telling(self.spec, self.spec.version) as hide:
            table = _open(self.spec, self.folder, hide)
            wanted = self.spec.version
            found = table.current_snapshot() if wanted is None else table.snapshot_by_id(wanted)
            if found is None:
                raise DataError(self._no_snapshot(table))
            schema_id = table.metadata.current_schema_id
            if wanted is not None and found.schema_id is not None:
                schema_id = found.schema_id
            schema = _projection(table, schema_id, self.spec)
            check_flat(schema_to_pyarrow(schema), source=self.name)
            sizes = [
                (t.file.file_path, t.file.file_size_in_bytes)
                for t in _tasks(table, found.snapshot_id)
            ]
            pinned = {"snapshot": found.snapshot_id, "schema": schema_id}
            lineage = {
                "type": "iceberg",
                "table": self.spec.table,
                "table_id": str(table.metadata.table_uuid),
                "version": found.snapshot_id,
                "schema_id": schema_id,
                "committed_ms": found.timestamp_ms,
                "n_files": len(sizes),
                "size_bytes": sum(size for _, size in sizes),
            }
            runs = file_runs(sorted(sizes))
            return PullPlan(tuple({**pinned, "files": run} for run in runs), lineage)

    def streams(self, plan: PullPlan) -> Sequence[IcebergStream]:
        """See `Pullable`."""
        return [
            IcebergStream(
                self.spec,
                self.folder,
                int(part["snapshot"]),
                int(part["schema"]),
                tuple(part["files"]),
            )
            for part in plan.streams
        ]

    def sample(self) -> pa.Table:
        """See `Pullable`: at most 1,000 rows."""
        plan = self.plan(None)
        what = f"snapshot {plan.lineage['version']} of the Iceberg table {self.spec.table}"
        return sample_of(self.streams(plan), source=self.name, what=what)

    def size_hint(self) -> int:
        """See `Pullable`: the stored bytes, which are compressed."""
        return int(self.plan(None).lineage["size_bytes"])

    def _no_snapshot(self, table: Table) -> str:
        wanted = self.spec.version
        if wanted is None:
            return (
                f"source {self.name!r}: the Iceberg table {self.spec.table} must hold a snapshot, "
                "and nothing was written to it yet; write at least one row"
            )
        known = [str(snapshot.snapshot_id) for snapshot in table.snapshots()[-5:]]
        return (
            f"source {self.name!r}: 'version' must be a snapshot of the Iceberg table "
            f"{self.spec.table}, and {wanted} is none, or has expired; the last ones are "
            f"{', '.join(known) or 'none'}"
        )


def _open(spec: IcebergSource, folder: Path, hide: dict[str, str]) -> Table:
    """The table; secrets that messages must not show are added to ``hide``."""
    from pyiceberg.catalog import load_catalog
    from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError

    properties, hidden = opened(spec.catalog)
    hide.update(hidden)
    properties = _own(properties, folder, spec)
    name = properties.pop("name", "default")
    check_endpoints(properties, source=spec.name, allow_private=spec.allow_private)
    try:
        with closing(load_catalog(name, **properties)) as catalog:
            _check(spec, catalog.properties)  # a server adds to them, and may send us elsewhere
            table = catalog.load_table(spec.table)
            _check(spec, {**table.io.properties, "uri of the location": table.location()})
            return table
    except (NoSuchTableError, NoSuchNamespaceError) as error:
        raise DataError(
            f"source {spec.name!r}: the catalog must hold the Iceberg table {spec.table}, and "
            f"does not ({reason_of(error, hide)}); write namespace.table, or correct 'catalog'"
        ) from error
    except TenfoldError:
        raise
    except Exception as error:  # a catalog raises what its driver raises
        raise DataError(
            f"source {spec.name!r}: the Iceberg catalog cannot be read "
            f"({reason_of(error, hide)}); correct 'catalog'"
        ) from error


def _check(spec: IcebergSource, properties: Properties) -> None:
    """Refuse addresses that are not public; of what else a table or a server says, nothing."""
    named = {key: str(value) for key, value in properties.items() if is_address_name(key)}
    check_endpoints(named, source=spec.name, allow_private=spec.allow_private)


def _own(properties: dict[str, str], folder: Path, spec: IcebergSource) -> dict[str, str]:
    """Nothing is ever made: neither a catalog's tables nor a SQLite file that is not there."""
    uri = properties.get("uri", "")
    made = {"init_catalog_tables": "false", **properties}
    if uri.startswith(_SQLITE):
        file = folder / uri.removeprefix(_SQLITE)
        if not file.is_file():
            raise DataError(
                f"source {spec.name!r}: 'catalog.uri' must lead to a SQLite file, and there is no "
                f"{file}; correct it (relative paths start at the project file's folder)"
            )
        made["uri"] = f"{_SQLITE}{file.absolute()}"
    return made


def _projection(table: Table, schema_id: int, spec: IcebergSource) -> Schema:
    """The wanted columns of one of the table's schemas."""
    schema = table.schemas()[schema_id]
    columns = check_columns(
        spec.columns, [column.name for column in schema.fields], source=spec.name
    )
    return schema.select(*columns)


def _tasks(table: Table, snapshot: int) -> list[FileScanTask]:
    return list(table.scan(snapshot_id=snapshot).plan_files())


@contextmanager
def _telling(spec: IcebergSource, snapshot: int | None) -> Iterator[dict[str, str]]:
    """The library's failures as ours; yields what messages must not show, to be added to."""
    from pyiceberg.exceptions import ResolveError, ValidationError

    hide: dict[str, str] = {}
    at = "" if snapshot is None else f"snapshot {snapshot} of "
    try:
        yield hide
    except (FileNotFoundError, KeyError) as error:
        raise DataError(
            f"source {spec.name!r}: {at}the Iceberg table {spec.table} has lost a file "
            f"({reason_of(error, hide)}); it has expired, perhaps: name a 'version' that is still "
            "whole"
        ) from error
    except (
        OSError,
        ValueError,
        NotImplementedError,
        pa.ArrowException,
        ResolveError,
        ValidationError,
    ) as error:
        raise DataError(
            f"source {spec.name!r}: {at}the Iceberg table {spec.table} cannot be read "
            f"({reason_of(error, hide)}); name another 'version', or compact the table with the "
            "engine that writes it"
        ) from error
