"""One piece of a batch: read it, clean it, score it, and keep the answers whole on disk.

A finished piece survives any death of the process, so a batch that was killed goes on where it
was; the same pieces run in this process or on the workers of a Ray cluster.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tenfold.artifact import REFERENCE_FILE
from tenfold.data import clean_table
from tenfold.data.arrow_file import write_arrow
from tenfold.data.clean import PROBLEMS, reject_problems
from tenfold.data.source import RawBlock, Shard
from tenfold.features import encode_table
from tenfold.features.codes import Codes
from tenfold.inference import Prediction, Predictor
from tenfold.inference.engines import Scores
from tenfold.monitor import Reference
from tenfold.schema import Schema
from tenfold_jobs.extras import extra_columns

__all__ = [
    "ROW",
    "OnError",
    "ScoreJob",
    "answer_file",
    "load_once",
    "moved",
    "problem_file",
    "reference_of",
]

OnError = Literal["fail", "null", "quarantine"]
"""What a row gets that has a cell which cannot be read, or is no row at all."""

ROW = "__row"
"""Number of a record in its piece, from 1."""

_LOADING = threading.Lock()


def answer_file(folder: Path, piece: int) -> Path:
    """Answers of a piece and, in its metadata, its facts; written last."""
    return folder / f"answers-{piece:06d}.arrow"


def problem_file(folder: Path, piece: int) -> Path:
    """Bad cells of a piece, positions within it from 1; there only if it has any."""
    return folder / f"problems-{piece:06d}.arrow"


@dataclass(frozen=True)
class ScoreJob:
    """Scores pieces; a small value that travels to any process.

    Attributes:
        folder: the work folder.
        shards: the input's pieces.
        artifact: folder of the model.
        digest: its artifact digest, verified where it is loaded.
        keys: columns of the input that are handed on beside the answers.
        on_error: what a bad row gets: its whole piece no answers for ``fail`` (the caller stops), a
            row of nulls for ``null``, no row but its problems for ``quarantine``.
        level: of an interval or set beside each answer; None for none.
        explain: whether each column's contribution stands beside the answer.
    """

    folder: Path
    shards: Sequence[Shard]
    artifact: Path
    digest: str
    keys: tuple[str, ...]
    on_error: OnError
    level: float | None = None
    explain: bool = False

    def __call__(self, piece: int) -> None:
        """Score one piece."""
        block = self.shards[piece].read()
        done = _Scored.of(load_once(self.artifact, self.digest), block)
        if done.problems.num_rows:
            write_arrow(problem_file(self.folder, piece), done.problems)
            if self.on_error == "fail":
                return  # it is not done: who is killed before it is told meets it again
        more = extra_columns(
            done.predictor, done.codes, done.answer, level=self.level, explain=self.explain
        )
        answers = done.answers(self.keys, more, nulls=self.on_error == "null")
        write_arrow(answer_file(self.folder, piece), answers, done.facts)


def load_once(artifact: Path, digest: str) -> Predictor:
    """The model, verified and loaded once a process whichever thread asks first."""
    with _LOADING:
        return _load(artifact, digest)


@lru_cache(maxsize=1)
def _load(artifact: Path, digest: str) -> Predictor:
    predictor = Predictor.load(artifact, digest=digest)
    predictor.check_golden()
    return predictor


def reference_of(predictor: Predictor) -> Reference | None:
    """What live rows are compared with; None for a model without one."""
    data = predictor.files.get(REFERENCE_FILE)
    return None if data is None else Reference.from_bytes(data)


@dataclass(frozen=True)
class _Scored:
    """A block with the answers of its good rows."""

    predictor: Predictor
    block: RawBlock
    good: NDArray[np.intp]
    codes: Codes
    answer: Prediction
    problems: pa.Table
    cells: NDArray[np.int64]

    @classmethod
    def of(cls, predictor: Predictor, block: RawBlock) -> _Scored:
        missing = predictor.missing
        table, found = clean_table(
            block.table,
            Schema(predictor.columns),
            markers=missing.markers,
            trim=missing.trim,
            numbers=block.numbers,
        )
        bad = np.zeros(table.num_rows, dtype=bool)
        bad[found["position"].to_numpy() - 1] = True
        good = np.flatnonzero(~bad)
        if len(good) < table.num_rows:
            table = table.take(pa.array(good))
        codes = encode_table(predictor.schema, table)
        answer = predictor.predict_codes(codes)
        return cls(
            predictor=predictor,
            block=block,
            good=good,
            codes=codes,
            answer=answer,
            problems=pa.concat_tables([_placed(found, block), reject_problems(block)]).sort_by(
                "position"
            ),
            cells=_cells(predictor, codes, answer.scores),
        )

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What is added up over the pieces: JSON values."""
        why = Counter(
            f"{column}: {reason}" if column else reason
            for column, reason in zip(
                self.problems["column"].to_pylist(),
                self.problems["reason"].to_pylist(),
                strict=True,
            )
        )
        return {
            "n_records": self.block.n_records,
            "n_answered": len(self.good),
            "bad_cells": self.problems.num_rows,
            "problems": dict(why),
            "cells": self.cells.tolist(),
        }

    def answers(
        self, keys: tuple[str, ...], more: Mapping[str, pa.Array], *, nulls: bool
    ) -> pa.Table:
        """The good rows, or with ``nulls`` every record in its place; `ROW` counts from 1."""
        raw, good = self.block.table, pa.array(self.good)
        known = {key: raw.column(key).take(good) for key in keys if key in raw.column_names}
        places = pa.array(self.block.positions[self.good] + 1, pa.int64())
        columns: dict[str, Any] = {ROW: places, **known}
        kind = pa.string() if self.predictor.classes else pa.float64()
        columns["prediction"] = pa.array(self.answer.values, kind)
        for index, name in enumerate(self.predictor.classes):
            columns[f"probability_{name}"] = pa.array(self.answer.scores[:, index])
        columns |= more
        table = pa.table(columns)
        if not nulls or len(self.good) == self.block.n_records:
            return table
        return pa.concat_tables(
            [table, self._unanswered(table.schema, keys)], promote_options="none"
        ).sort_by(ROW)

    def _unanswered(self, schema: pa.Schema, keys: tuple[str, ...]) -> pa.Table:
        """The bad rows with their keys, and the records that were no rows without."""
        raw = self.block.table
        bad = np.setdiff1d(np.arange(raw.num_rows), self.good)
        lost = [reject.position + 1 for reject in self.block.rejects]
        rows = [*(self.block.positions[bad] + 1).tolist(), *lost]
        arrays = []
        for field in schema:
            if field.name == ROW:
                arrays.append(pa.array(rows, pa.int64()))
            elif field.name in keys:
                known = raw.column(field.name).take(pa.array(bad)).combine_chunks()
                arrays.append(pa.concat_arrays([known, pa.nulls(len(lost), field.type)]))
            else:
                arrays.append(pa.nulls(len(rows), field.type))
        return pa.table(arrays, schema=schema)


def _cells(predictor: Predictor, codes: Codes, scores: Scores) -> NDArray[np.int64]:
    """Rows in the reference's cells; none for a model without a reference."""
    reference = reference_of(predictor)
    if reference is None:
        return np.zeros(0, dtype=np.int64)
    bins = reference.bins
    return bins.count(codes, None if bins.score is None else scores)


def _placed(problems: pa.Table, block: RawBlock) -> pa.Table:
    """Positions among the block's rows turned into positions among its records."""
    rows = problems["position"].to_numpy() - 1
    return problems.set_column(
        1, PROBLEMS.field("position"), pa.array(block.positions[rows] + 1, pa.int64())
    )


def moved(table: pa.Table, name: str, by: int) -> pa.Table:
    """A table whose column of positions counts over the whole input."""
    place = table.column_names.index(name)
    return table.set_column(place, table.schema.field(place), pc.add(table.column(name), by))
