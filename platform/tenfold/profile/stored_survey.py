"""A `Survey` as bytes and back; the sampled rows are an Arrow IPC file among the arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from tenfold.errors import ArtifactError
from tenfold.profile.codec import AnyArray, decode, encode
from tenfold.profile.course import Axis, Course
from tenfold.profile.runs import Runs
from tenfold.profile.sample import Sample
from tenfold.profile.survey import Survey
from tenfold.profile.target import ClassStats, NumberStats
from tenfold.schema import Schema

__all__ = ["FORMAT", "dump_survey", "load_survey"]

FORMAT = "survey 1"
"""Raised when older readers could no longer read what is written."""


def dump_survey(survey: Survey) -> bytes:
    """The survey as bytes."""
    course, sample = survey.course, survey.sample
    arrays: dict[str, AnyArray] = {
        "rows": course.rows,
        "low": course.low,
        "high": course.high,
        "edges": np.asarray(survey.axis.edges, dtype=np.float64),
        "absent": survey.absent,
        "hashes": sample.hashes,
        "positions": sample.positions,
        "sample": np.frombuffer(_to_ipc(sample.table), dtype=np.uint8),
        "run_positions": survey.runs.positions,
        "runs": np.frombuffer(_to_ipc(survey.runs.table), dtype=np.uint8),
    }
    for i, number in enumerate(course.numbers.values()):
        arrays |= {f"n{i}.{name}": array for name, array in number.arrays().items()}
    for i, category in enumerate(course.categories.values()):
        arrays[f"c{i}.counts"] = category.counts
    head = {
        "format": FORMAT,
        "schema": survey.schema.to_dict(),
        "axis": survey.axis.column,
        "n_rows": survey.n_rows,
        "numbers": list(course.numbers),
        "categories": [[name, list(c.classes)] for name, c in course.categories.items()],
        "later": {name: list(pair) for name, pair in survey.later.items()},
    }
    return encode(head, arrays)


def load_survey(data: bytes) -> Survey:
    """The inverse of `dump_survey`.

    Raises:
        ArtifactError: the bytes are not whole, not a survey, or of another format.
    """
    head, arrays = decode(data)
    if head.get("format") != FORMAT:
        raise ArtifactError(
            f"a stored survey must have format {FORMAT!r}, this one has {head.get('format')!r}; "
            "prepare the data again"
        )
    try:
        return _load(head, arrays)
    except (KeyError, TypeError, ValueError, AttributeError, pa.ArrowException) as error:
        raise ArtifactError(
            f"a stored survey must hold all its parts: {error!r}; prepare the data again"
        ) from error


def _load(head: dict[str, Any], arrays: dict[str, AnyArray]) -> Survey:
    sample = Sample(
        arrays["hashes"].astype(np.uint64), _ints(arrays["positions"]), _from_ipc(arrays["sample"])
    )
    runs = Runs(np.zeros(0, np.int64), sample.table.slice(0, 0))
    if "runs" in arrays:  # which older surveys have not
        runs = Runs(_ints(arrays["run_positions"]), _from_ipc(arrays["runs"]))
    return Survey(
        schema=Schema.from_dict(head["schema"]),
        axis=Axis(head["axis"], tuple(arrays["edges"].tolist())),
        n_rows=int(head["n_rows"]),
        course=Course(
            rows=_ints(arrays["rows"]),
            low=arrays["low"],
            high=arrays["high"],
            numbers={
                name: NumberStats(
                    _ints(arrays[f"n{i}.n"]), arrays[f"n{i}.mean"], arrays[f"n{i}.m2"]
                )
                for i, name in enumerate(head["numbers"])
            },
            categories={
                name: ClassStats(tuple(classes), _ints(arrays[f"c{i}.counts"]))
                for i, (name, classes) in enumerate(head["categories"])
            },
        ),
        absent=_ints(arrays["absent"]),
        later={name: (int(both), int(late)) for name, (both, late) in head["later"].items()},
        sample=sample,
        runs=runs,
    )


def _ints(array: AnyArray) -> AnyArray:
    return array.astype(np.int64)


def _from_ipc(array: AnyArray) -> pa.Table:
    return pa.ipc.open_file(pa.py_buffer(array.tobytes())).read_all()


def _to_ipc(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return bytes(sink.getvalue().to_pybytes())
