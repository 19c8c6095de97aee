"""JSON in, JSON out: what a request and an answer look like, whatever carries them.

The decoder is strict and says which row, which column and why; the serving wing turns its error
into a status code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tenfold.errors import RequestError
from tenfold.features import RowEncoder
from tenfold.features.codes import Codes
from tenfold.inference.predictor import Prediction

__all__ = ["DecodedRows", "decode_request", "prediction_items"]

_SHAPE = 'send {"rows": [{column: value, ...}, ...]}'


@dataclass(frozen=True, slots=True)
class DecodedRows:
    """A checked request.

    Attributes:
        rows: as sent, e.g. for a key column that the model does not read.
        codes: float64 (n_rows, n_features of the schema).
    """

    rows: list[dict[str, Any]]
    codes: Codes


def decode_request(body: bytes, *, encoder: RowEncoder, max_rows: int) -> DecodedRows:
    """Check the body of a predict request.

    Args:
        body: UTF-8 JSON; its size was limited while it was read.
        encoder: of the model that will answer.
        max_rows: most rows in one request.

    Raises:
        RequestError: not JSON, not ``{"rows": [...]}``, no rows or too many, or a row that breaks a
            law; ``items`` lists the faulty cells.

    >>> from tenfold.schema import Column, Kind, Schema
    >>> encoder = RowEncoder(Schema((Column("age", Kind.INTEGER),)))
    >>> decode_request(b'{"rows": [{"age": 39}]}', encoder=encoder, max_rows=10).codes
    array([[39.]])
    >>> decode_request(b'{"rows": ', encoder=encoder, max_rows=10)
    Traceback (most recent call last):
        ...
    tenfold.errors.RequestError: the body is not JSON: ...
    """
    import orjson

    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError(f"the body is not JSON: {error}; {_SHAPE}") from None
    if not isinstance(value, dict) or "rows" not in value:
        raise RequestError(f"the body is an object with the field 'rows'; {_SHAPE}")
    if len(value) > 1:
        strange = next(key for key in value if key != "rows")
        raise RequestError(f"the body has an unknown field {strange[:40]!r}; {_SHAPE}")
    rows = value["rows"]
    if not isinstance(rows, list) or not rows:
        raise RequestError(f"'rows' is a list with at least one row; {_SHAPE}")
    if len(rows) > max_rows:
        raise RequestError(
            f"a request has at most {max_rows} rows, this one {len(rows)}; send several requests"
        )
    return DecodedRows(rows, encoder.encode_rows(rows))


def prediction_items(
    prediction: Prediction, *, classes: Sequence[str], ids: Sequence[str]
) -> list[dict[str, Any]]:
    """The ``predictions`` of an answer.

    Args:
        prediction: of n rows.
        classes: names of its score columns; () for regression.
        ids: n prediction ids.

    >>> import numpy as np
    >>> answer = Prediction(np.array([[0.25, 0.75]]), ["yes"])
    >>> prediction_items(answer, classes=("no", "yes"), ids=["a1"])
    [{'id': 'a1', 'value': 'yes', 'probabilities': {'no': 0.25, 'yes': 0.75}}]
    """
    if not classes:
        pairs = zip(ids, prediction.values, strict=True)
        return [{"id": id_, "value": value} for id_, value in pairs]
    triples = zip(ids, prediction.values, prediction.scores.tolist(), strict=True)
    return [
        {"id": id_, "value": value, "probabilities": dict(zip(classes, row, strict=True))}
        for id_, value, row in triples
    ]
