"""A challenger beside the champion whose answers it repeats: rows of the log in, a table out.

The shadow table: ``__id``, ``__at`` (of the answer), ``__version``, ``__digest``, ``__arm``
(``shadow``), ``__value``, ``__scores`` as in the prediction log, then ``__champion`` (its version),
``__champion_value`` and ``__gap`` (`tenfold_serve.shadow_scores.gaps`, null if unknown).
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tenfold.data import clean_table
from tenfold.errors import ArtifactError
from tenfold.features.codes import encode_table
from tenfold.monitor import LossRule
from tenfold.registry import CHAMPION
from tenfold.schema import Schema
from tenfold.traffic import columns_not_asked
from tenfold_serve.arms import Arm
from tenfold_serve.prediction_log import META_FIELDS
from tenfold_serve.shadow_scores import Gaps, changed, gaps

__all__ = ["SHADOW", "SHADOW_SCHEMA", "Pair"]

log = logging.getLogger("tenfold.serve")
Floats = npt.NDArray[np.float64]

SHADOW: Final = "shadow"
"""Name of the arm in the shadow table."""

_TYPES: Final = {meta.name: meta.type for meta in META_FIELDS}
_NAMES: Final = ("__id", "__at", "__version", "__digest", "__arm", "__value", "__scores")
SHADOW_SCHEMA: Final = pa.schema(
    [
        *(pa.field(name, _TYPES[name]) for name in _NAMES),
        pa.field("__champion", pa.int32()),
        pa.field("__champion_value", pa.string()),
        pa.field("__gap", pa.float64()),
    ]
)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two loaded models; nothing is kept between calls.

    Attributes:
        challenger: scores.
        champion: what it is compared with.
    """

    challenger: Arm
    champion: Arm

    def require_columns(self) -> None:
        """Check that what the champion is asked with is enough for the challenger.

        Raises:
            ArtifactError: it is not: the log has only the columns that the champion reads.
        """
        reason = columns_not_asked(self.champion.schema, self.challenger.schema)
        if reason:
            raise ArtifactError(reason)

    @property
    def loss_rule(self) -> LossRule | None:
        """How labels judge both: the champion's, frozen at its training; None for segments."""
        loss = self.champion.reference.loss
        return None if loss is None else loss.rule

    @property
    def decides(self) -> bool:
        """Whether answers are classes, which two models share."""
        return self.challenger.predictor.manifest.task in ("binary", "multiclass")

    def answered(self, raw: pa.Table) -> pa.Table:
        """The rows of the log that this champion answered."""
        return raw.filter(
            pc.and_(
                pc.equal(raw.column("__arm"), CHAMPION),
                pc.equal(raw.column("__version"), self.champion.version),
            )
        )

    def score(self, raw: pa.Table) -> pa.Table:
        """The challenger's answers, `SHADOW_SCHEMA`, in the order of the rows.

        Rows that it refuses are left out: a cell that is none of the column's kind, a score that is
        no number, or an engine that fails.

        Args:
            raw: rows of the log, at most some hundreds: a failing engine costs all of them.
        """
        try:
            codes, good = self._codes(raw)
            answer = self.challenger.predictor.predict_codes(codes)
        except Exception:
            log.exception("%d rows were not scored", raw.num_rows)
            return SHADOW_SCHEMA.empty_table()
        good &= np.isfinite(answer.scores).all(axis=1)
        lengths = pc.list_value_length(raw.column("__scores")).to_pylist()
        n_scores = self.champion.predictor.manifest.n_scores
        good &= np.array([length == n_scores for length in lengths], dtype=np.bool_)
        kept = np.flatnonzero(good)
        values = [_text(answer.values[k]) for k in kept]
        return self._table(raw.take(pa.array(kept)), answer.scores[kept], values)

    def one_row_s(self, raw: pa.Table) -> list[float]:
        """What each row costs alone, from its codes on, in seconds of CPU time: the shadow has the
        lowest priority, so by the clock it would tell of its neighbors."""
        times = []
        codes, _good = self._codes(raw)
        for row in range(len(codes)):
            before = time.process_time()
            self.challenger.predictor.predict_codes(codes[row : row + 1])
            times.append(time.process_time() - before)
        return times

    def sums(self, rows: pa.Table) -> Gaps:
        """How far apart the two are on rows of the shadow table."""
        if not rows.num_rows:
            return Gaps(0, 0.0, None)
        n_changed = None
        if self.decides:
            old, new = (rows.column(name).to_pylist() for name in ("__champion_value", "__value"))
            n_changed = int(changed(old, new).sum())
        gap = rows.column("__gap").fill_null(float("nan")).to_numpy()
        return Gaps(rows.num_rows, float(gap.sum()), n_changed)

    def _codes(self, raw: pa.Table) -> tuple[Floats, npt.NDArray[np.bool_]]:
        schema = Schema(self.challenger.predictor.columns)
        table, problems = clean_table(raw, schema.as_machines_write(), markers=(), trim=False)
        good = np.ones(raw.num_rows, dtype=np.bool_)
        good[problems.column("position").to_numpy().astype(np.int64) - 1] = False
        return encode_table(schema, table), good

    def _table(self, raw: pa.Table, new: Floats, values: list[str]) -> pa.Table:
        n_rows = len(new)
        gap = np.full(n_rows, np.nan)
        if self.challenger.predictor.manifest.task != "clustering" and n_rows:
            gap = gaps(  # a segment's name says nothing from one model to the next
                np.array(raw.column("__scores").to_pylist(), dtype=np.float64),
                new,
                old_classes=self.champion.predictor.classes,
                new_classes=self.challenger.predictor.classes,
            )

        def same(value: object, kind: pa.DataType) -> pa.Array:
            return pa.repeat(pa.scalar(value, kind), n_rows)

        columns = {
            "__id": raw.column("__id"),
            "__at": raw.column("__at"),
            "__version": same(self.challenger.version, pa.int32()),
            "__digest": same(self.challenger.digest, pa.string()),
            "__arm": same(SHADOW, pa.string()),
            "__value": pa.array(values, pa.string()),
            "__scores": pa.array(new.tolist(), pa.list_(pa.float64())),
            "__champion": same(self.champion.version, pa.int32()),
            "__champion_value": raw.column("__value"),
            "__gap": pa.array(gap, pa.float64(), mask=np.isnan(gap)),
        }
        return pa.table(columns).cast(SHADOW_SCHEMA)


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else repr(float(value))
