"""``tenfold predict``: score a file with the champion, batch by batch, into one whole output file.

The model is resolved once, at the start. Every input row gets one answer, in its place: a cell that
cannot be read as its column's kind counts as missing, and is counted and named in the record. The
rows go through the same predictor as at the endpoint, so they get the same bits.
"""

from __future__ import annotations

import os
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tenfold.canonical import fsync_folder
from tenfold.data import clean_table, read_batches, safe_cells
from tenfold.errors import DataError, StoreError
from tenfold.inference import Predictor
from tenfold.progress import SILENT, Progress
from tenfold.project import Project
from tenfold.registry import CHAMPION, Registry
from tenfold.schema import Schema
from tenfold.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["PredictRecord", "run_predict", "score_file"]

MAX_PROBLEMS = 20
"""Kinds of bad cells named in a record; all are counted."""


@dataclass(frozen=True, slots=True)
class PredictRecord:
    """What scoring gave; `to_dict` is the JSON document of ``tenfold predict --json``.

    Attributes:
        project: its name.
        version: of the model that answered.
        digest: of that model.
        rows: scored; as many as the input has.
        bad_cells: cells that could not be read and counted as missing.
        problems: the most frequent kinds of them, ``"column: reason"`` to count.
        output: the file written.
        seconds: of reading, scoring and writing.
    """

    project: str
    version: int
    digest: str
    rows: int
    bad_cells: int
    problems: dict[str, int]
    output: str
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON values."""
        return asdict(self)


@dataclass(slots=True)
class _Tally:
    rows: int = 0
    bad_cells: int = 0
    problems: Counter[str] = field(default_factory=Counter)


def run_predict(
    project: Project,
    settings: Settings,
    *,
    input: Path,  # noqa: A002  (the option of the command)
    output: Path,
    progress: Progress = SILENT,
) -> PredictRecord:
    """Score a file with the champion.

    Args:
        project: whose champion answers.
        settings: where the registry is.
        input: CSV, Parquet, JSON lines or Arrow with at least the model's columns.
        output: ``.csv`` or ``.parquet``; replaced whole if it exists. Columns: the project's key
            columns where the input has them, ``prediction``, and ``probability_{class}`` for
            classes.
        progress: told about batches and bad cells.

    Raises:
        UserError: there is no champion.
        DataError: the input is missing, empty, not UTF-8 or lacks a column; the output has another
            ending or is the input.
        ArtifactError: the champion's files are damaged.
        StoreError: the output cannot be written; nothing half-written stays behind.
    """
    began = time.monotonic()
    version = Registry(settings).require(project.name, CHAMPION)
    predictor = Predictor.load(version.path, digest=version.artifact_digest)
    predictor.check_golden()
    tally = score_file(
        predictor, input=input, output=output, keys=project.data.key, progress=progress
    )
    if tally.bad_cells:
        worst, count = tally.problems.most_common(1)[0]
        progress.say(
            f"{tally.bad_cells} cells could not be read and count as missing "
            f"(most: {count} times {worst})"
        )
    return PredictRecord(
        project=project.name,
        version=version.version,
        digest=predictor.digest,
        rows=tally.rows,
        bad_cells=tally.bad_cells,
        problems=dict(tally.problems.most_common(MAX_PROBLEMS)),
        output=str(output),
        seconds=round(time.monotonic() - began, 3),
    )


def score_file(
    predictor: Predictor,
    *,
    input: Path,  # noqa: A002
    output: Path,
    keys: tuple[str, ...] = (),
    progress: Progress = SILENT,
) -> _Tally:
    """Score a file with a loaded model; see `run_predict`. Memory holds one batch."""
    _check_paths(input, output)
    tally = _Tally()
    features = Schema(predictor.columns)
    rules = _rules(predictor)
    with progress.step("score") as advance, _whole_file(output) as write:
        for raw in read_batches(input):
            table, problems = clean_table(raw, features, **rules)
            write(_answers(predictor, table, raw, keys))
            tally.rows += table.num_rows
            tally.bad_cells += problems.num_rows
            tally.problems.update(
                f"{column}: {reason}"
                for column, reason in zip(
                    problems["column"].to_pylist(), problems["reason"].to_pylist(), strict=True
                )
            )
            advance(table.num_rows)
        if not tally.rows:
            raise DataError(f"{input} has a header and no rows; give at least one row to score")
    return tally


def _rules(predictor: Predictor) -> dict[str, Any]:
    """How cells are read: as when the model was made, whatever the project file says today."""
    prepare: Mapping[str, Any] = predictor.manifest.project.get("prepare", {})
    return {
        name: prepare[key]
        for name, key in (("markers", "missing_markers"), ("trim", "trim"))
        if key in prepare
    }


def _answers(
    predictor: Predictor, table: pa.Table, raw: pa.Table, keys: tuple[str, ...]
) -> pa.Table:
    import pyarrow as pa

    answer = predictor.predict_table(table)
    columns: dict[str, Any] = {key: raw.column(key) for key in keys if key in raw.column_names}
    kind = pa.string() if predictor.classes else pa.float64()
    columns["prediction"] = pa.array(answer.values, kind)
    for index, name in enumerate(predictor.classes):
        columns[f"probability_{name}"] = pa.array(answer.scores[:, index])
    return pa.table(columns)


def _check_paths(source: Path, output: Path) -> None:
    if output.suffix.lower() not in _WRITERS:
        raise DataError(
            f"an output ends in {' or '.join(_WRITERS)}, not {output.name!r}; "
            "the ending chooses the format"
        )
    if not output.absolute().parent.is_dir():
        raise DataError(f"the folder of the output {output} does not exist; make it first")
    if source.exists() and output.exists() and source.samefile(output):
        raise DataError(f"the output {output} is the input; write to another file")


class _Writer(Protocol):
    """What both of Arrow's writers do."""

    def write_table(self, table: pa.Table) -> None:
        """Append rows."""

    def close(self) -> None:
        """Finish the file."""


class _SafeCsv:
    """CSV without a cell that a spreadsheet would run."""

    def __init__(self, stream: Any, schema: pa.Schema) -> None:
        import pyarrow.csv as pacsv

        self._writer = pacsv.CSVWriter(
            stream,
            safe_cells(schema.empty_table()).schema,
            write_options=pacsv.WriteOptions(quoting_style="needed"),
        )

    def write_table(self, table: pa.Table) -> None:
        self._writer.write_table(safe_cells(table))

    def close(self) -> None:
        self._writer.close()


def _csv_writer(stream: Any, schema: pa.Schema) -> _Writer:
    return _SafeCsv(stream, schema)


def _parquet_writer(stream: Any, schema: pa.Schema) -> _Writer:
    import pyarrow.parquet as pq

    writer: _Writer = pq.ParquetWriter(stream, schema)
    return writer


_WRITERS = {".csv": _csv_writer, ".parquet": _parquet_writer, ".pq": _parquet_writer}


@contextmanager
def _whole_file(output: Path) -> Iterator[Any]:
    """A function that appends tables to a file that appears when all went well, or not at all."""
    staged = output.with_name(f".{output.name}.{uuid.uuid4().hex[:8]}.tmp")
    writers: list[_Writer] = []
    with _refused(output):
        stream = staged.open("xb")
    try:

        def write(table: pa.Table) -> None:
            with _refused(output):
                if not writers:
                    writers.append(_WRITERS[output.suffix.lower()](stream, table.schema))
                writers[0].write_table(table)

        yield write
        with _refused(output):
            for writer in writers:
                writer.close()
            stream.flush()
            os.fsync(stream.fileno())
            stream.close()
            staged.replace(output)
            fsync_folder(output.absolute().parent)
    finally:
        with suppress(OSError):
            stream.close()
        with suppress(OSError):
            staged.unlink(missing_ok=True)


@contextmanager
def _refused(output: Path) -> Iterator[None]:
    """What the disk refuses is no fault of ours, wherever in the writing it comes.

    Reading the input happens outside: its errors are the input's.
    """
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{output} could not be written ({error.strerror or error}) and nothing of it was "
            "left; free space or write elsewhere, then run the command again"
        ) from error
