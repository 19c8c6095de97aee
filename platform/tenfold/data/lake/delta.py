"""Delta tables: one version, pinned; a stream for a run of its files.

A table that uses deletion vectors or column mapping is read by the library's own engine in one
stream, since its files alone do not say which rows and names count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from tenfold.data.endpoints import check_endpoints
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
from tenfold.errors import DataError
from tenfold.project.secrets import resolve_secrets
from tenfold.project.sources import DeltaSource

__all__ = ["DeltaPlace", "DeltaStream"]

_BY_FILE = {"timestampNtz", "variantType", "variantType-preview"}
"""Features of a table whose files can be read one by one; of variants the columns are refused."""


@dataclass(frozen=True, slots=True)
class DeltaStream:
    """Some files of one version, or the whole; holds references to secrets, never their values.

    Attributes:
        spec: the source as the project file says.
        folder: where a relative path starts.
        version: of the table.
        files: as the table names them; None for all, by the library's engine.
    """

    spec: DeltaSource
    folder: Path
    version: int
    files: tuple[str, ...] | None

    def batches(self) -> Iterator[pa.Table]:
        """See `Stream`."""
        with _telling(self.spec, self.version) as hide:
            table = _open(self.spec, self.folder, self.version, hide)
            schema = _schema(table)
            columns = check_columns(self.spec.columns, schema.names, source=self.spec.name)
            if self.files is None:
                reader = pa.RecordBatchReader.from_stream(table.scan(columns=columns))
                yield from nonempty(_bounded(reader), source=self.spec.name)
            else:
                yield from nonempty(self._read(table, columns), source=self.spec.name)

    def _read(self, table: DeltaTable, columns: list[str]) -> Iterator[pa.RecordBatch]:
        whole = table.to_pyarrow_dataset()
        fragments = {fragment.path: fragment for fragment in whole.get_fragments()}
        some = pads.FileSystemDataset(
            [fragments[file] for file in self.files or ()],
            whole.schema,
            whole.format,
            whole.filesystem,
        )
        return some.to_batches(  # type: ignore[no-any-return]
            columns=columns,
            batch_size=batch_rows(len(columns)),
            batch_readahead=1,
            fragment_readahead=1,
            use_threads=False,  # workers are many already
        )


@dataclass(frozen=True, slots=True)
class DeltaPlace:
    """See `Pullable`.

    Attributes:
        spec: the source as the project file says.
        folder: where a relative path starts.
    """

    spec: DeltaSource
    folder: Path
    watermark: str | None = field(default=None, init=False)

    @classmethod
    def of(cls, spec: DeltaSource, *, folder: Path) -> DeltaPlace:
        """The place; nothing is opened yet."""
        return cls(spec, folder)

    @property
    def name(self) -> str:
        """See `Pullable`."""
        return self.spec.name

    def identity(self) -> dict[str, Any]:
        """The path, the version and the columns; not the store's options."""
        return {
            "type": "delta",
            "path": self.spec.path,
            "version": self.spec.version,
            "columns": list(self.spec.columns),
        }

    def plan(self, since: Mark | None) -> PullPlan:
        """See `Pullable`: the version is the wanted one, or the newest one now."""
        with _telling(self.spec, self.spec.version) as hide:
            table = _open(self.spec, self.folder, self.spec.version, hide)
            schema = _schema(table)
            columns = check_columns(self.spec.columns, schema.names, source=self.name)
            check_flat(pa.schema([schema.field(name) for name in columns]), source=self.name)
            version = table.version()
            sizes = _sizes(table)
            if _by_file(table):
                paths = (part.path for part in table.to_pyarrow_dataset().get_fragments())
                runs = file_runs(sorted((path, sizes.get(path, 0)) for path in paths))
                streams = [{"version": version, "files": run} for run in runs]
            else:
                streams = [{"version": version, "files": None}] if sizes else []
            return PullPlan(tuple(streams), self._lineage(table, version, sizes))

    def streams(self, plan: PullPlan) -> Sequence[DeltaStream]:
        """See `Pullable`."""
        return [
            DeltaStream(
                self.spec,
                self.folder,
                int(part["version"]),
                None if part["files"] is None else tuple(part["files"]),
            )
            for part in plan.streams
        ]

    def sample(self) -> pa.Table:
        """See `Pullable`: at most 1,000 rows."""
        plan = self.plan(None)
        what = f"version {plan.lineage['version']} of the Delta table {self.spec.path}"
        return sample_of(self.streams(plan), source=self.name, what=what)

    def size_hint(self) -> int:
        """See `Pullable`: the stored bytes, which are compressed."""
        with _telling(self.spec, self.spec.version) as hide:
            return sum(_sizes(_open(self.spec, self.folder, self.spec.version, hide)).values())

    def _lineage(self, table: DeltaTable, version: int, sizes: Mapping[str, int]) -> dict[str, Any]:
        return {
            "type": "delta",
            "path": self.spec.path,
            "table_id": str(table.metadata().id),
            "version": version,
            "n_files": len(sizes),
            "size_bytes": sum(sizes.values()),
        }


def _open(spec: DeltaSource, folder: Path, version: int | None, hide: dict[str, str]) -> DeltaTable:
    """The table; secrets that messages must not show are added to ``hide``."""
    options, hidden = opened(spec.options)
    hide.update(hidden)
    path = resolve_secrets(spec.path)
    if path != spec.path:
        hide[path] = spec.path
    check_endpoints({**options, "path": path}, source=spec.name, allow_private=spec.allow_private)
    where = path if "://" in path else str(folder / path)
    try:
        return DeltaTable(where, version=version, storage_options=options or None)
    except TableNotFoundError as error:
        raise DataError(
            f"source {spec.name!r}: there is no Delta table at {spec.path} "
            f"({reason_of(error, hide)}); name the folder that holds its _delta_log"
        ) from error


def _schema(table: DeltaTable) -> pa.Schema:
    return pa.schema(table.schema().to_arrow())


def _by_file(table: DeltaTable) -> bool:
    """Whether its files can be read one by one."""
    protocol = table.protocol()
    if protocol.min_reader_version == 1:
        return True
    return protocol.min_reader_version == 3 and set(protocol.reader_features or ()) <= _BY_FILE


def _sizes(table: DeltaTable) -> dict[str, int]:
    """Bytes of each file by the path that the table gives it."""
    actions = pa.table(table.get_add_actions())
    paths, sizes = actions.column("path").to_pylist(), actions.column("size_bytes").to_pylist()
    return dict(zip(paths, sizes, strict=True))


def _bounded(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    rows = batch_rows(len(reader.schema))
    for batch in reader:
        for start in range(0, batch.num_rows, rows):
            yield batch.slice(start, rows)


@contextmanager
def _telling(spec: DeltaSource, version: int | None) -> Iterator[dict[str, str]]:
    """The library's failures as ours; yields what messages must not show, to be added to."""
    hide: dict[str, str] = {}
    at = "" if version is None else f"version {version} of "
    try:
        yield hide
    except (FileNotFoundError, KeyError) as error:
        raise DataError(
            f"source {spec.name!r}: {at}the Delta table {spec.path} has lost a file "
            f"({reason_of(error, hide)}); it was vacuumed, perhaps: name a 'version' that is "
            "still whole"
        ) from error
    except DeltaError as error:
        raise DataError(
            f"source {spec.name!r}: {at}the Delta table {spec.path} cannot be opened "
            f"({reason_of(error, hide)}); name a 'version' that its log still holds, or mend it"
        ) from error
    except (OSError, pa.ArrowException) as error:
        raise DataError(
            f"source {spec.name!r}: {at}the Delta table {spec.path} cannot be read "
            f"({reason_of(error, hide)}); check the path, 'options' and the version"
        ) from error
