"""Columns of a batch that are there for who asks: interval or set, and contributions.

The same numbers as at the endpoint, by the same predictor; a batch has no limit on explained rows.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa

from tenfold.errors import UserError
from tenfold.evaluation import Intervals, Sets
from tenfold.features.codes import Codes
from tenfold.inference import Prediction, Predictor

__all__ = ["check_extras", "extra_columns"]

SEPARATOR: Final = "|"
"""Between the classes of a set: a cell of a CSV file holds one text."""
CHUNK_ROWS: Final = 256
"""Rows explained at once: walks of 100 columns then stay within some hundred megabytes."""


def check_extras(predictor: Predictor, *, level: float | None, explain: bool) -> None:
    """Refuse what the model cannot give, and load what explains it, before a row is read.

    Raises:
        UserError: it has no intervals or sets, or not at that level.
        ArtifactError: its explainer fails its probe.
    """
    if explain:
        _ = predictor.explainer
    if level is None:
        return
    limits = predictor.conformal
    if limits is None:
        why = "it finds segments" if predictor.manifest.task == "clustering" else "train it again"
        raise UserError(f"--interval needs a model with intervals or sets and this has none; {why}")
    most = limits.max_level or 0.0
    if not 0.5 <= level <= most:
        raise UserError(
            f"--interval is a level from 0.5 to what the model's {limits.n_rows} rows can prove, "
            f"{most}, not {level}"
        )


def extra_columns(
    predictor: Predictor,
    codes: Codes,
    prediction: Prediction,
    *,
    level: float | None,
    explain: bool,
) -> dict[str, pa.Array]:
    """What stands behind the answers, by name: ``interval_lower`` and ``interval_upper``, or
    ``set`` with `SEPARATOR` between classes; ``contribution_{column}`` and ``explanation_base``.

    Args:
        predictor: of the model; `check_extras` has passed.
        codes: of the answered rows (n_rows, code_width).
        prediction: their answers.
        level: of intervals or sets; None for none.
        explain: whether contributions are wanted.
    """
    found: dict[str, pa.Array] = {}
    limits = predictor.conformal if level is not None else None
    if level is not None and isinstance(limits, Intervals):
        lower, upper = limits.bounds(prediction.scores, level).T
        found |= {"interval_lower": pa.array(lower), "interval_upper": pa.array(upper)}
    if level is not None and isinstance(limits, Sets):
        classes = np.array(predictor.classes, dtype=object)
        inside = predictor.sets(prediction, level)
        found["set"] = pa.array([SEPARATOR.join(classes[row]) for row in inside], pa.string())
    return found | (_contributions(predictor, codes, prediction) if explain else {})


def _contributions(
    predictor: Predictor, codes: Codes, prediction: Prediction
) -> dict[str, pa.Array]:
    parts, bases = [np.empty((0, len(predictor.columns)))], [np.empty(0)]
    for start in range(0, len(codes), CHUNK_ROWS):
        rows = slice(start, start + CHUNK_ROWS)
        some = Prediction(prediction.scores[rows], prediction.values[rows])
        told = predictor.explainer.explain(codes[rows], some)
        parts.append(told.contributions)
        bases.append(told.base)
    whole = np.concatenate(parts)
    named = {
        f"contribution_{column.name}": pa.array(whole[:, place])
        for place, column in enumerate(predictor.columns)
    }
    return {"explanation_base": pa.array(np.concatenate(bases)), **named}
