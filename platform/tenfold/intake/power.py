"""Whether the sealed test rows can prove a gate, asked before any model exists.

A gate is proved when the 95 % interval of the measured value lies above the threshold. The width
at the threshold says what must be measured for that; if that is more than the measure can reach,
no model can ever prove the gate on so few rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tenfold.project.gates import Gate

__all__ = ["Proof", "proof_of"]

Z_95 = 1.959963984540054
"""Two-sided 95 % of the normal distribution."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What a gate needs.

    Attributes:
        needed: smallest measured value whose interval lies above the threshold.
        half_width: half the width of the 95 % interval at the threshold.
        n_rows_at_least: test rows from which a perfect score would prove it.
    """

    needed: float
    half_width: float
    n_rows_at_least: int

    @property
    def possible(self) -> bool:
        """Whether any score can prove the gate."""
        return self.needed <= 1.0


def proof_of(gate: Gate, class_rows: Sequence[int]) -> Proof | None:
    """What must be measured to prove a gate.

    Args:
        gate: the gate.
        class_rows: test rows of each class, the positive class first; from 1 each.

    Returns:
        The proof, or None where the rows alone do not tell (errors in the target's unit, log
        loss, latency, which is timed with as many calls as it takes).

    Source: Wilson 1927 (shares, by inverting the score test); Hanley and McNeil 1982, eq. 2
    (roc_auc); Boyd, Eng and Page 2013 (average_precision as a share of the positives).

    >>> proof = proof_of(Gate.parse("accuracy >= 0.99"), [50, 50])
    >>> proof.possible, proof.n_rows_at_least
    (False, 381)
    """
    total = sum(class_rows)
    if total == 0 or min(class_rows) < 1 or gate.op not in (">=", ">"):
        return None
    error = _standard_error(gate.metric, gate.threshold, class_rows)
    if error is None:
        return None
    half_width = Z_95 * error
    room = 1.0 - gate.threshold
    rows = total * (half_width / room) ** 2 if room > 0 else math.inf
    least = math.ceil(rows - 1e-9) if math.isfinite(rows) else 0
    return Proof(gate.threshold + half_width, half_width, least)


def _standard_error(metric: str, value: float, class_rows: Sequence[int]) -> float | None:
    spread = value * (1.0 - value)
    binary = len(class_rows) == 2
    if metric == "accuracy":
        return math.sqrt(spread / sum(class_rows))
    if metric == "balanced_accuracy":
        return math.sqrt(sum(spread / rows for rows in class_rows)) / len(class_rows)
    if binary and metric in ("recall", "precision", "average_precision"):
        return math.sqrt(spread / class_rows[0])
    if binary and metric == "roc_auc" and value > 0.0:
        return _auc_error(value, class_rows[0], class_rows[1])
    return None


def _auc_error(auc: float, n_positive: int, n_negative: int) -> float:
    two_positives = auc / (2.0 - auc)
    two_negatives = 2.0 * auc * auc / (1.0 + auc)
    variance = (
        auc * (1.0 - auc)
        + (n_positive - 1) * (two_positives - auc * auc)
        + (n_negative - 1) * (two_negatives - auc * auc)
    ) / (n_positive * n_negative)
    return math.sqrt(max(0.0, variance))
