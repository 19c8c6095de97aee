"""The reference: what a model's rows, scores and losses looked like when it was made.

It travels in the artifact (``reference.json``) and is all that a monitor needs to know about the
past. Its blocks are consecutive rows, so daily cycles and autocorrelation are inside them. Every
fourth block gives the *shape* that blocks are compared with; the others are scored and fill the
*bag* of scores that live blocks are ranked among. Were a block in both, it would look closer to the
shape than any live block can.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tenfold.canonical import canonical_json, sha256_hex
from tenfold.errors import ArtifactError
from tenfold.monitor.bins import FrozenBins
from tenfold.monitor.blocks import block_scores
from tenfold.monitor.bounds import mean_upper, rate_upper
from tenfold.monitor.evidence import SCORE_CELLS, score_cell
from tenfold.monitor.losses import LossRule
from tenfold.monitor.packing import pack, unpack

__all__ = ["LossReference", "Reference", "build_reference", "choose_block_rows"]

FORMAT_VERSION = 1

SMALLEST_BLOCK = 100
"""Below this a block's score is mostly noise."""

FEWEST_BLOCKS = 40
"""Blocks that a reference should have: a rank among fewer proves little."""

SHAPE_EVERY = 4
"""Every fourth block shapes, three quarters are ranked against."""

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def choose_block_rows(n_rows: int, *, wanted: int) -> int:
    """Rows of a block: as wanted, smaller where the reference would have too few blocks.

    >>> choose_block_rows(30_000, wanted=500), choose_block_rows(6_000, wanted=500)
    (500, 150)
    """
    return max(min(wanted, n_rows // FEWEST_BLOCKS), min(wanted, SMALLEST_BLOCK))


@dataclass(frozen=True, slots=True)
class LossReference:
    """The losses of rows that the model was not fitted on.

    Attributes:
        rule: how a loss is made.
        n: rows.
        mean: their mean loss, in [0, 1].
        variance: their variance, divided by ``n - 1``.
    """

    rule: LossRule
    n: int
    mean: float
    variance: float

    def upper(self, *, delta: float) -> float:
        """Upper confidence limit of the mean loss; exact for classes, Bernstein for numbers."""
        if self.rule.kind == "zero_one":
            return float(rate_upper(round(self.mean * self.n), self.n, delta=delta))
        return mean_upper(self.mean, self.variance, self.n, delta=delta)


@dataclass(frozen=True)
class Reference:
    """What live traffic is compared with. A value: nothing changes it.

    Attributes:
        bins: the cells.
        block_rows: rows of every block.
        n_rows: rows behind the feature cells.
        totals: int64 ``(n_cells,)``: all reference rows.
        shape: float64 ``(n_cells,)``: shares of the shape blocks; each column sums to 1.
        bag: int64 ``(n_columns, SCORE_CELLS)``: score cells of the other blocks.
        loss: None without labels (clustering).
    """

    bins: FrozenBins
    block_rows: int
    n_rows: int
    totals: Counts
    shape: Floats
    bag: Counts
    loss: LossReference | None = None

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the bytes: a monitor's state belongs to exactly one reference."""
        return sha256_hex(self.to_bytes())

    def to_bytes(self) -> bytes:
        """Canonical JSON; the bytes of ``reference.json``."""
        loss = self.loss
        return canonical_json(
            {
                "format_version": FORMAT_VERSION,
                "bins": self.bins.to_dict(),
                "block_rows": self.block_rows,
                "n_rows": self.n_rows,
                "totals": pack(self.totals),
                "shape": pack(self.shape),
                "bag": pack(self.bag),
                "loss": None
                if loss is None
                else {
                    "rule": loss.rule.to_dict(),
                    "n": loss.n,
                    "mean": loss.mean,
                    "variance": loss.variance,
                },
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Reference:
        """The inverse of `to_bytes`.

        Raises:
            ArtifactError: not a reference, or one of another format version.
        """
        try:
            value = json.loads(data)
            if value["format_version"] != FORMAT_VERSION:
                raise ValueError(
                    f"format version {value['format_version']!r}, this code reads {FORMAT_VERSION}"
                )
            return cls(
                bins=FrozenBins.from_dict(value["bins"]),
                block_rows=int(value["block_rows"]),
                n_rows=int(value["n_rows"]),
                totals=unpack(value["totals"]),
                shape=unpack(value["shape"]),
                bag=unpack(value["bag"]),
                loss=_read_loss(value["loss"]),
            )._checked()
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(
                f"reference.json must be written by this or a known version: {error}; "
                "train and publish the model again"
            ) from error

    def _checked(self) -> Reference:
        cells, columns = (self.bins.n_cells,), (len(self.bins.columns), SCORE_CELLS)
        shapes = self.totals.shape, self.shape.shape, self.bag.shape
        if shapes != (cells, cells, columns) or self.block_rows < 1:
            raise ValueError(f"arrays of shapes {shapes} do not fit bins of {self.bins.n_cells}")
        return self


def build_reference(
    bins: FrozenBins,
    codes: npt.ArrayLike,
    *,
    scores: npt.ArrayLike | None = None,
    losses: npt.ArrayLike | None = None,
    rule: LossRule | None = None,
    block_rows: int = 500,
) -> Reference:
    """Make the reference of a model.

    Args:
        bins: frozen from the profile of the training rows, without cells for scores.
        codes: float64 ``(n_rows, n_features)`` of reference rows **in source order**.
        scores: ``(m_rows, k)`` of rows that the model was not fitted on, in source order; m may
            differ from n. Best are the sealed test rows scored by the final model: live rows are
            to it what they were.
        losses: ``(l_rows,)`` in [0, 1] by `rule` of such rows; None for clustering.
        rule: how live labels become losses; needed with ``losses``.
        block_rows: as the project wants; smaller where the reference is short.

    Raises:
        ValueError: no rows, or losses outside [0, 1], or losses without a rule.
    """
    table = np.asarray(codes, dtype=np.float64)
    if table.ndim != 2 or not len(table):
        raise ValueError(f"codes must be (n_rows, n_features) with rows, got {table.shape}")
    rows = choose_block_rows(len(table), wanted=block_rows)
    parts = [_summarize(FrozenBins(bins.features), table, block_rows=rows)]
    if scores is not None:
        bins = bins.with_scores(scores)
        answered = np.asarray(scores, dtype=np.float64).reshape(len(np.asarray(scores)), -1)
        parts.append(_summarize(FrozenBins((), bins.score), answered, block_rows=rows))
    made = Reference(
        bins=bins,
        block_rows=rows,
        n_rows=len(table),
        totals=np.concatenate([part[0] for part in parts]),
        shape=np.concatenate([part[1] for part in parts]),
        bag=np.concatenate([part[2] for part in parts]),
    )
    return made if losses is None else replace(made, loss=_summarize_losses(losses, rule))


def _count(bins: FrozenBins, rows: Floats) -> Counts:
    """Counts of rows of codes, or of scores when the bins hold nothing else."""
    if bins.score is None:
        return bins.count(rows)
    return bins.count(np.empty((len(rows), 0)), rows)


def _summarize(bins: FrozenBins, rows: Floats, *, block_rows: int) -> tuple[Counts, Floats, Counts]:
    """Totals, shape and bag of one group of columns."""
    totals = _count(bins, rows)
    bag = np.zeros((len(bins.columns), SCORE_CELLS), dtype=np.int64)
    if not bins.columns:
        return totals, totals.astype(np.float64), bag
    blocks = [
        _count(bins, rows[start : start + block_rows])
        for start in range(0, len(rows) - block_rows + 1, block_rows)
    ]
    if len(blocks) < SHAPE_EVERY:
        return totals, _shares(bins, totals), bag
    shaping: Sequence[Counts] = blocks[::SHAPE_EVERY]
    shape = _shares(bins, np.sum(shaping, axis=0))
    for index, block in enumerate(blocks):
        if index % SHAPE_EVERY:
            cells = score_cell(block_scores(bins, block, shape), block_rows=block_rows)
            bag[np.arange(len(bag)), cells] += 1
    return totals, shape, bag


def _shares(bins: FrozenBins, counts: Counts) -> Floats:
    """Counts as shares; the cells of each column sum to 1."""
    rows = np.maximum(np.add.reduceat(counts, bins.offsets), 1)
    return np.asarray(counts / np.repeat(rows, [column.n_cells for column in bins.columns]))


def _summarize_losses(losses: npt.ArrayLike, rule: LossRule | None) -> LossReference:
    values = np.asarray(losses, dtype=np.float64)
    if rule is None:
        raise ValueError("losses need the rule that made them")
    if not len(values) or not np.all((values >= 0.0) & (values <= 1.0)):
        raise ValueError("losses must be numbers in [0, 1], at least one; make them with LossRule")
    variance = float(values.var(ddof=1)) if len(values) > 1 else 0.0
    return LossReference(rule, len(values), float(values.mean()), variance)


def _read_loss(value: dict[str, Any] | None) -> LossReference | None:
    if value is None:
        return None
    mean, variance = float(value["mean"]), float(value["variance"])
    if not (0.0 <= mean <= 1.0 and math.isfinite(variance)):
        raise ValueError(f"a mean loss of {mean} is not in [0, 1]")
    return LossReference(LossRule.from_dict(value["rule"]), int(value["n"]), mean, variance)
