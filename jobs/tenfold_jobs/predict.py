"""``tenfold predict``: score a file with the champion into one whole output file.

The model is resolved once, at the start. The input is scored piece by piece through the same
predictor as at the endpoint, so its rows get the same bits; finished pieces stay on disk until the
output is in place, so a command that was killed, run again, goes on where it was. Large inputs go
over Ray Data, small ones stay in this process.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tenfold.canonical import canonical_json
from tenfold.data import FileSource
from tenfold.data.arrow_file import read_arrow, read_facts
from tenfold.data.encodings import UTF_8
from tenfold.data.source import Shard
from tenfold.data.work import Work, locked, open_work
from tenfold.errors import DataError, UserError
from tenfold.inference import Predictor
from tenfold.monitor.view import shift_views
from tenfold.progress import SILENT, Progress
from tenfold.project import Project
from tenfold.project.encodings import known_encoding
from tenfold.project.sources import FileSource as FileSection
from tenfold.registry import CHAMPION, Registry, Version
from tenfold.settings import Settings
from tenfold_jobs.answers import check_output, refused, whole_file
from tenfold_jobs.extras import check_extras
from tenfold_jobs.prepare import Drivers
from tenfold_jobs.scoring import (
    ROW,
    OnError,
    ScoreJob,
    answer_file,
    load_once,
    moved,
    problem_file,
    reference_of,
)

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["PredictRecord", "run_predict"]

_FORM = 2
"""Of the pieces in a work folder; 1 had answers of bad ones, also where they stop the batch."""
MAX_PROBLEMS = 20
"""Kinds of bad cells named in a record; all are counted."""
MAX_SHIFTS = 10
"""Columns named in the drift summary, the most shifted first."""
LARGE_SHIFT = 0.25
"""Of the population stability index: the usual word for a change that deserves a look."""
MIN_ROWS_TO_SAY = 100
"""With fewer rows an index is mostly noise: it stands in the record and is not said."""


@dataclass(frozen=True, slots=True)
class PredictRecord:
    """What scoring gave; `to_dict` is the JSON document of ``tenfold predict --json``.

    Attributes:
        project: its name.
        version: of the model that answered.
        digest: of that model.
        rows: records of the input.
        answered: rows that got an answer.
        bad_cells: cells that could not be read, and records that are no rows.
        problems: the most frequent kinds of them, ``"column: reason"`` to count.
        output: the file written.
        quarantine: the file of the bad cells, or None where there are none or they are not wanted.
        drift: column → effect sizes against the training rows (see `shift_views`), the most
            shifted first; empty for a model without a reference.
        encoding: that CSV was read in; the other formats have their own.
        driver: ``in-process`` or ``ray-data``.
        resumed: pieces that an earlier, killed command had scored already.
        seconds: of reading, scoring and writing.
    """

    project: str
    version: int
    digest: str
    rows: int
    answered: int
    bad_cells: int
    problems: dict[str, int]
    output: str
    quarantine: str | None
    drift: dict[str, dict[str, float]]
    encoding: str
    driver: str
    resumed: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON values."""
        return asdict(self)


@dataclass(slots=True)
class _Tally:
    """What the pieces add up to."""

    n_records: int = 0
    n_answered: int = 0
    bad_cells: int = 0
    problems: Counter[str] = field(default_factory=Counter)
    cells: Any = None
    starts: list[int] = field(default_factory=list)

    def add(self, facts: dict[str, Any]) -> None:
        self.starts.append(self.n_records)
        self.n_records += facts["n_records"]
        self.n_answered += facts["n_answered"]
        self.bad_cells += facts["bad_cells"]
        self.problems.update(facts["problems"])
        cells = np.array(facts["cells"], dtype=np.int64)
        self.cells = cells if self.cells is None else self.cells + cells


def run_predict(
    project: Project,
    settings: Settings,
    *,
    input: Path,  # noqa: A002  (the option of the command)
    output: Path,
    on_error: OnError = "null",
    encoding: str | None = None,
    level: float | None = None,
    explain: bool = False,
    progress: Progress = SILENT,
    quiet: bool = True,
) -> PredictRecord:
    """Score a file, a folder or a pattern of files with the champion.

    Args:
        project: whose champion answers.
        settings: where the registry is.
        input: CSV, Parquet, JSON lines or Arrow with at least the model's columns.
        output: ``.csv`` or ``.parquet``; replaced whole if it exists. Columns: the project's key
            columns where the input has them, else ``row`` (counted from 1), ``prediction``,
            ``probability_{class}`` for classes, ``model_version`` and ``model_digest``.
        on_error: what becomes of a row with a cell that cannot be read as its column's kind, and
            of a record that is no row: ``null`` leaves its answer empty, ``quarantine`` leaves it
            out and writes its cells to ``{output's stem}.quarantine.csv``, ``fail`` stops the
            command at the first and writes nothing.
        encoding: of CSV; None for the one that the project's file sources declare, UTF-8 where
            they declare several or there are none. Nothing is guessed from the bytes.
        level: of an interval (numbers: ``interval_lower``, ``interval_upper``) or a set (classes:
            ``set``, with ``|`` between them) beside each answer, .5 to .995; None for none.
        explain: whether ``contribution_{column}`` and ``explanation_base`` stand there too.
        progress: told about pieces and bad cells.
        quiet: keep Ray's own chatter off the terminal.

    Raises:
        UserError: there is no champion, it has no intervals of that level, or the encoding is none
            that is read.
        DataError: the input is missing, empty, not of the encoding or lacks a column; a row is bad
            and ``on_error`` is ``fail``; the output has another ending or is the input.
        ArtifactError: the champion's files are damaged.
        StoreError: the output cannot be written; nothing half-written stays behind.
        ClusterError: Ray is needed and does not answer.
    """
    began = time.monotonic()
    version = Registry(settings).require(project.name, CHAMPION)
    predictor = load_once(version.path, version.artifact_digest)
    check_output(output, source=input)
    check_extras(predictor, level=level, explain=explain)
    source = FileSource(input, encoding=_encoding(project, encoding))
    _check_columns(source, predictor)
    dressed = any(c.form.unit or c.form.decimal != "point" for c in predictor.columns)
    shards = source.shards(tell_numbers=dressed)
    batch = _Batch(
        version, predictor, source, shards, output, project.data.key, on_error, level, explain
    )
    with ExitStack() as stack:
        driver = Drivers(settings, stack, quiet=quiet)(source.size_bytes())
        home = Path(settings.store) / "scoring" / batch.name
        stack.enter_context(locked(home))
        work = stack.enter_context(
            open_work(home, batch.plan, driver=driver, progress=progress, n_pieces=len(shards))
        )
        resumed = batch.score(work)
        tally = batch.tally(work)
        quarantine = batch.publish(work, tally)
    drift = _drift(predictor, tally)
    _say(progress, tally, drift)
    return PredictRecord(
        project=project.name,
        version=version.version,
        digest=predictor.digest,
        rows=tally.n_records,
        answered=tally.n_answered,
        bad_cells=tally.bad_cells,
        problems=dict(tally.problems.most_common(MAX_PROBLEMS)),
        output=str(output),
        quarantine=None if quarantine is None else str(quarantine),
        drift=drift,
        encoding=source.encoding,
        driver=driver.name,
        resumed=resumed,
        seconds=round(time.monotonic() - began, 3),
    )


@dataclass(frozen=True)
class _Batch:
    """One input, one model, one output."""

    version: Version
    predictor: Predictor
    source: FileSource
    shards: Sequence[Shard]
    output: Path
    keys: tuple[str, ...]
    on_error: OnError
    level: float | None = None
    explain: bool = False

    @property
    def name(self) -> str:
        """Of the output's own work folder."""
        return hashlib.sha256(str(self.output.absolute()).encode()).hexdigest()[:16]

    @property
    def plan(self) -> str:
        """Digest of everything that a piece's answers depend on."""
        asked = {
            "form": _FORM,
            "artifact": self.version.artifact_digest,
            "input": self.source.fingerprint(),
            "keys": list(self.keys),
            "on_error": self.on_error,
            "pieces": len(self.shards),
            "level": self.level,
            "explain": self.explain,
        }
        return hashlib.sha256(canonical_json(asked)).hexdigest()

    def score(self, work: Work) -> int:
        """Score what is left; how many pieces were there already.

        Raises:
            DataError: a row is bad and that is to stop the batch.
        """
        job = ScoreJob(
            folder=work.folder,
            shards=self.shards,
            artifact=self.version.path,
            digest=self.version.artifact_digest,
            keys=self.keys,
            on_error=self.on_error,
            level=self.level,
            explain=self.explain,
        )
        left = [p for p in range(work.n_pieces) if not answer_file(work.folder, p).exists()]
        with work.progress.step("score", total=work.n_pieces) as advance:
            advance(work.n_pieces - len(left))
            for piece in work.driver.run(job, left):
                advance(1)
                if self.on_error == "fail" and problem_file(work.folder, piece).exists():
                    raise self._fault(work, piece)
        return work.n_pieces - len(left)

    def _fault(self, work: Work, piece: int) -> DataError:
        """The first bad cell of a piece, with its row counted over the whole input."""
        before = 0
        for earlier in range(piece):
            file = answer_file(work.folder, earlier)
            known = file.exists()
            before += (
                read_facts(file)["n_records"] if known else self.shards[earlier].read().n_records
            )
        first = read_arrow(problem_file(work.folder, piece)).slice(0, 1).to_pylist()[0]
        column = f", column {first['column']!r}" if first["column"] else ""
        return DataError(
            f"{self.source.path}: row {before + first['position']}{column}: {first['value']!r} "
            f"{first['reason']}; mend that row, or score the others with --on-error null or "
            "quarantine"
        )

    def tally(self, work: Work) -> _Tally:
        """The sum of the pieces, in their order.

        Raises:
            DataError: there is no row.
        """
        tally = _Tally()
        for piece in range(work.n_pieces):
            tally.add(read_facts(answer_file(work.folder, piece)))
        if not tally.n_records:
            raise DataError(
                f"{self.source.path} has a header and no rows; give at least one row to score"
            )
        return tally

    def publish(self, work: Work, tally: _Tally) -> Path | None:
        """Write the quarantine, then the output: who sees the output sees all of it."""
        aside = self.output.with_name(f"{self.output.stem}.quarantine.csv")
        wanted = self.on_error == "quarantine" and tally.bad_cells > 0
        if wanted:
            with whole_file(aside) as write:
                for problems in self._problems(work, tally):
                    write(problems)
        elif self.on_error == "quarantine":
            with refused(aside):
                aside.unlink(missing_ok=True)
        with whole_file(self.output) as write:
            for piece, start in enumerate(tally.starts):
                write(self._answers(read_arrow(answer_file(work.folder, piece)), start))
        return aside if wanted else None

    def _answers(self, table: pa.Table, start: int) -> pa.Table:
        import pyarrow as pa

        table = table.replace_schema_metadata(None)
        if any(key in table.column_names for key in self.keys):
            table = table.drop_columns([ROW])
        else:
            table = moved(table, ROW, start).rename_columns(["row", *table.column_names[1:]])
        for name, value in (
            ("model_version", pa.scalar(self.version.version, pa.int64())),
            ("model_digest", pa.scalar(self.predictor.digest)),
        ):
            table = table.append_column(name, pa.repeat(value, table.num_rows))
        return table

    def _problems(self, work: Work, tally: _Tally) -> Iterator[pa.Table]:
        import pyarrow as pa

        for piece, start in enumerate(tally.starts):
            file = problem_file(work.folder, piece)
            if file.exists():
                table = moved(read_arrow(file), "position", start)
                named = pa.array([self.source.path.name] * table.num_rows, pa.string())
                yield table.set_column(0, "source", named)


def _encoding(project: Project, asked: str | None) -> str:
    """The encoding of CSV input, in Python's spelling."""
    if asked is not None:
        try:
            return known_encoding(asked)
        except ValueError as error:
            raise UserError(f"--encoding {error}; correct it") from None
    declared = {s.encoding for s in project.data.sources if isinstance(s, FileSection)}
    return declared.pop() if len(declared) == 1 else UTF_8.name


def _check_columns(source: FileSource, predictor: Predictor) -> None:
    have = source.columns()
    missing = [column.name for column in predictor.columns if column.name not in have]
    if missing:
        raise DataError(
            f"{source.path} must have every column that the model asks for, and lacks "
            f"{', '.join(map(repr, missing))}; it has {', '.join(map(repr, have))}"
        )


def _drift(predictor: Predictor, tally: _Tally) -> dict[str, dict[str, float]]:
    reference = reference_of(predictor)
    if reference is None or not tally.n_answered:
        return {}
    views = shift_views(reference, tally.cells)
    ranked = sorted(views, key=lambda name: -views[name]["psi"])[:MAX_SHIFTS]
    return {name: {key: round(v, 4) for key, v in views[name].items()} for name in ranked}


def _say(progress: Progress, tally: _Tally, drift: dict[str, dict[str, float]]) -> None:
    if tally.bad_cells:
        worst, count = tally.problems.most_common(1)[0]
        progress.say(
            f"{tally.n_records - tally.n_answered} rows got no answer, for {tally.bad_cells} "
            f"cells that could not be read (most: {count} times {worst})"
        )
    shifted = [f"{name} {view['psi']:.2f}" for name, view in drift.items()
               if view["psi"] >= LARGE_SHIFT]  # fmt: skip
    if shifted and tally.n_answered >= MIN_ROWS_TO_SAY:
        progress.say(
            f"far from the training rows (population stability index of {LARGE_SHIFT} and more): "
            + ", ".join(shifted)
        )
