"""Golden rows: a few inputs with the answers they must get, inside every artifact.

They hold rows of the snapshot, rows with every known category, and rows that training never had:
every column missing, a category from another world, values far outside. Whoever loads the model
replays them first, as a table and as JSON rows, so a load that answers anything else never goes
live. What intervals and sets are made of is in the file once more, as its metadata: a hundred bins
and levels, of which no sixty rows meet each.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from tenfold.artifact import CONFORMAL_FILE
from tenfold.errors import ArtifactError
from tenfold.schema import Column, Kind, Schema

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from tenfold.inference.predictor import Prediction, Predictor

__all__ = ["N_GOLDEN_ROWS", "TOLERANCE", "build_golden", "check_golden", "golden_inputs"]

N_GOLDEN_ROWS = 64
"""Rows taken from the snapshot; the made-up ones come on top."""

MAX_CATEGORY_ROWS = 256
"""Rows in which every category of every column comes once: a flipped bit had changed a weight that
none of the snapshot's 64 rows reached."""

TOLERANCE = 1e-6
"""Between machines: another CPU may sum in another order. On one machine the bits are equal."""

UNSEEN_TEXT = "\N{REPLACEMENT CHARACTER}unseen"
_VALUE, _SCORE = "__value", "__score_"
_LIMITS = b"limits"
_FAR = 1e6
"""Made-up extremes lie this many times the known range outside it."""


def golden_inputs(schema: Schema, table: pa.Table) -> pa.Table:
    """The feature columns of `N_GOLDEN_ROWS` rows spread over a table, and the made-up rows.

    Args:
        schema: of the model.
        table: cleaned rows with at least its features; at least one.
    """
    import pyarrow as pa

    features = schema.features
    arrow = pa.schema([schema.arrow_schema().field(column.name) for column in features])
    places = np.unique(np.linspace(0, table.num_rows - 1, N_GOLDEN_ROWS).astype(np.int64))
    real = table.select(arrow.names).take(pa.array(places)).cast(arrow)
    rows = real.to_pylist()
    first = rows[0]
    empty = dict.fromkeys(first)
    made = [
        empty,
        *({**first, column.name: None} for column in features),
        {c.name: UNSEEN_TEXT if _is_text(c) else first[c.name] for c in features},
        {c.name: _extreme(c, -1) if _is_number(c) else first[c.name] for c in features},
        {c.name: _extreme(c, 1) if _is_number(c) else first[c.name] for c in features},
    ]
    domains = {column.name: column.domain for column in features if column.domain}
    n_values = min(max(map(len, domains.values()), default=0), MAX_CATEGORY_ROWS)
    made += [
        {
            **rows[k % len(rows)],
            **{name: values[k % len(values)] for name, values in domains.items()},
        }
        for k in range(n_values)  # on many rows: one whose score is near 0 or 1 hides a change
    ]
    short = max(0, N_GOLDEN_ROWS - real.num_rows)
    again = [real.take(pa.array(np.arange(short) % real.num_rows))] if short else []
    return pa.concat_tables([real, *again, pa.Table.from_pylist(made, schema=arrow)])


def build_golden(
    schema: Schema,
    table: pa.Table,
    *,
    predict: Callable[[pa.Table], Prediction],
    limits: bytes | None = None,
) -> bytes:
    """The bytes of ``golden.arrow``.

    Args:
        schema: of the model.
        table: cleaned rows to choose from, e.g. a block of the snapshot.
        predict: the answers, by the engine that the manifest names: `Predictor.predict_table`.
        limits: bytes of ``conformal.json``, where the artifact has one.

    Raises:
        ArtifactError: the table has no row, or a score is not finite.
    """
    import pyarrow as pa

    if not table.num_rows:
        raise ArtifactError("golden rows need a table with at least one row; give it the snapshot")
    inputs = golden_inputs(schema, table)
    answer = predict(inputs)
    if not np.isfinite(answer.scores).all():
        row = int(np.argwhere(~np.isfinite(answer.scores))[0][0])
        raise ArtifactError(
            f"every row must get a finite score and golden row {row} gets "
            f"{answer.scores[row].tolist()} for {inputs.slice(row, 1).to_pylist()[0]}; "
            "give the model family a recipe that leaves nothing missing"
        )
    for index in range(answer.scores.shape[1]):
        inputs = inputs.append_column(f"{_SCORE}{index}", pa.array(answer.scores[:, index]))
    inputs = inputs.append_column(_VALUE, pa.array(answer.values))
    if limits is not None:
        inputs = inputs.replace_schema_metadata({_LIMITS: limits})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, inputs.schema) as writer:
        writer.write_table(inputs.combine_chunks())
    data: bytes = sink.getvalue().to_pybytes()
    return data


def check_golden(predictor: Predictor, data: bytes) -> int:
    """Replay golden rows through both doors.

    Args:
        predictor: just loaded.
        data: verified bytes of ``golden.arrow``.

    Returns:
        The number of rows.

    Raises:
        ArtifactError: the file is damaged, an answer differs, a JSON row gets other bits than the
            same row in the table, or the limits of intervals are others.
    """
    import pyarrow as pa

    try:
        table = pa.ipc.open_file(pa.BufferReader(data)).read_all()
        table.validate(full=True)
        expected = [table.column(f"{_SCORE}{k}") for k in range(predictor.manifest.n_scores)]
        values = table.column(_VALUE).to_pylist()
    except (pa.ArrowInvalid, KeyError, OSError) as error:
        raise ArtifactError(f"golden.arrow is broken ({error}); publish it again") from error
    limits = (table.schema.metadata or {}).get(_LIMITS)  # none in what was made before
    if limits is not None and limits != predictor.files.get(CONFORMAL_FILE):
        raise ArtifactError(
            f"{CONFORMAL_FILE} must be what the golden rows were packed with, and is not; "
            "publish the model again"
        )
    scores = np.column_stack([column.to_numpy() for column in expected])
    answer = predictor.predict_table(table)
    if not np.isfinite(answer.scores).all():  # whatever the file expects
        row = int(np.argwhere(~np.isfinite(answer.scores))[0][0])
        raise ArtifactError(
            f"golden row {row} got {answer.scores[row].tolist()}, which no model may answer; "
            "train it again"
        )
    _compare(scores, answer.scores, values, answer.values)
    names = [column.name for column in predictor.columns]
    rows = predictor.predict_rows([_json(row) for row in table.select(names).to_pylist()])
    if rows.scores.tobytes() != answer.scores.tobytes() or rows.values != answer.values:
        raise ArtifactError(
            "golden rows get other answers as JSON than as a table; publish the model again"
        )
    return int(table.num_rows)


def _compare(expected: Any, found: Any, values: list[Any], answers: list[Any]) -> None:
    close = np.isclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE)
    if not close.all():
        row, score = np.argwhere(~close)[0]
        raise ArtifactError(
            f"golden row {row} must score {expected[row, score]!r} and got {found[row, score]!r} "
            f"({(~close).any(axis=1).sum()} rows differ); the engine or the machine is another: "
            "publish the model again"
        )
    for row, (value, answer) in enumerate(zip(values, answers, strict=True)):
        same = value == answer if isinstance(value, str) else bool(close[row].all())
        # Equal scores can still fall on two sides of a threshold within the tolerance.
        if not same and np.array_equal(expected[row], found[row]):
            raise ArtifactError(
                f"golden row {row} must be answered {value!r} and got {answer!r}; "
                "publish the model again"
            )


def _is_text(column: Column) -> bool:
    return column.kind in (Kind.CATEGORY, Kind.TEXT, Kind.IDENTIFIER, Kind.CONSTANT)


def _is_number(column: Column) -> bool:
    return column.kind in (Kind.NUMBER, Kind.INTEGER)


def _extreme(column: Column, sign: int) -> float | int:
    low = column.minimum if column.minimum is not None else 0.0
    high = column.maximum if column.maximum is not None else low + 1.0
    far = (high if sign > 0 else low) + sign * _FAR * max(high - low, 1.0)
    # float32 holds 3.4e38; an int64 column holds 9.2e18.
    if column.kind is Kind.INTEGER:
        return int(min(max(far, -(2.0**62)), 2.0**62))
    return min(max(far, -1e38), 1e38)


def _json(row: dict[str, Any]) -> dict[str, Any]:
    return {k: v.isoformat() if isinstance(v, datetime) else v for k, v in row.items()}
