"""Success gates against measured values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tenfold.canonical import finite_or_none
from tenfold.project.gates import Gate

__all__ = ["GateResult", "evaluate_gates"]


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate as written, the value on the sealed test rows, and whether it holds."""

    text: str
    value: float
    holds: bool

    def to_dict(self) -> dict[str, Any]:
        """JSON form, as `tenfold train --json` prints it; a value that is not known is null."""
        return {"gate": self.text, "value": finite_or_none(self.value), "holds": self.holds}


def evaluate_gates(gates: Sequence[Gate], values: Mapping[str, float]) -> tuple[GateResult, ...]:
    """Each gate with its value; a value that was not measured is NaN, and NaN never holds.

    >>> evaluate_gates([Gate.parse("roc_auc >= 0.9")], {"roc_auc": 0.95})
    (GateResult(text='roc_auc >= 0.9', value=0.95, holds=True),)
    """
    out = []
    for gate in gates:
        value = float(values.get(gate.metric, float("nan")))
        out.append(GateResult(str(gate), value, gate.holds(value)))
    return tuple(out)
