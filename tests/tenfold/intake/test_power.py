from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tenfold.intake.power import Z_95, proof_of
from tenfold.project.gates import Gate

ROWS = st.lists(st.integers(1, 100_000), min_size=2, max_size=5)


def wilson_lower(right: int, total: int) -> float:
    share, z2 = right / total, Z_95**2
    middle = share + z2 / (2 * total)
    width = Z_95 * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2))
    return (middle - width) / (1 + z2 / total)


@given(st.integers(20, 5000), st.floats(0.05, 0.99))
def test_the_needed_accuracy_is_where_wilson_s_interval_clears_the_gate(
    total: int, threshold: float
) -> None:
    proof = proof_of(Gate("accuracy", ">=", threshold), [total - 1, 1])
    assert proof is not None
    right = proof.needed * total
    above, below = math.ceil(right + 1e-6), math.floor(right - 1e-6)
    assume(above <= total)
    assert wilson_lower(above, total) >= threshold - 1e-9
    assert wilson_lower(below, total) <= threshold + 1e-9


def test_hanley_and_mcneil_s_own_figure() -> None:
    """Their table II: an area of 0.893 with 51 and 58 cases has a standard error near 0.032."""
    proof = proof_of(Gate("roc_auc", ">=", 0.893), [51, 58])
    assert proof is not None
    assert proof.half_width / Z_95 == pytest.approx(0.032, abs=0.0015)


@given(ROWS, st.floats(0.5, 0.99))
def test_more_rows_never_widen(rows: list[int], threshold: float) -> None:
    gate = Gate("balanced_accuracy", ">=", threshold)
    few, many = proof_of(gate, rows), proof_of(gate, [4 * n for n in rows])
    assert few is not None and many is not None
    assert many.half_width == pytest.approx(few.half_width / 2)


def test_an_impossible_gate_says_how_many_rows_it_needs() -> None:
    gate = Gate.parse("accuracy >= 0.99")
    proof = proof_of(gate, [50, 50])
    assert proof is not None and not proof.possible
    enough = proof_of(gate, [proof.n_rows_at_least, 0 + 1])
    assert enough is not None and enough.possible


@pytest.mark.parametrize(
    ("gate", "rows"),
    [
        ("log_loss <= 0.5", [50, 50]),
        ("latency_p99_ms <= 20", [50, 50]),
        ("f1 >= 0.5", [50, 50]),
        ("recall >= 0.5", [10, 10, 10]),
        ("accuracy >= 0.5", []),
        ("accuracy >= 0.5", [5, 0]),
    ],
)
def test_what_rows_alone_do_not_tell(gate: str, rows: list[int]) -> None:
    assert proof_of(Gate.parse(gate), rows) is None


def test_a_gate_of_one_is_proved_by_perfection_only() -> None:
    proof = proof_of(Gate.parse("accuracy >= 1"), [50, 50])
    assert proof is not None
    assert (proof.needed, proof.half_width, proof.n_rows_at_least) == (1.0, 0.0, 0)
