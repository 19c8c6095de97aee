from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.cluster.inventory import GIB, Accelerator, Inventory, Node
from tenfold.cluster.trials import plan_trials
from tenfold.cluster.work import Work
from tenfold.project import Project

PROJECT = Project.from_dict(
    {
        "problem": {"task": "regression", "target": "y"},
        "data": {"sources": [{"path": "a.csv"}]},
    }
)


@pytest.mark.parametrize(
    ("cpus", "n_rows", "threads", "at_once"),
    [(8, 1_000, 1, 8), (8, 1_000_000, 2, 4), (8, 10_000_000, 4, 2), (1, 10_000_000, 1, 1)],
)
def test_larger_tables_get_more_threads(cpus: int, n_rows: int, threads: int, at_once: int) -> None:
    inventory = Inventory((Node("n", cpus, 256 * GIB),))
    work = Work(n_rows=n_rows, n_columns=10, size_bytes=1)
    trials = plan_trials(PROJECT, inventory, work, free_cpus=cpus - 0.5)
    assert (trials.threads, trials.at_once) == (threads, at_once)


def test_a_trial_never_spans_two_nodes() -> None:
    inventory = Inventory(tuple(Node(f"n{i}", 3, 256 * GIB) for i in range(4)))
    work = Work(n_rows=10_000_000, n_columns=10, size_bytes=1)
    trials = plan_trials(PROJECT, inventory, work, free_cpus=11.0)
    assert (trials.threads, trials.at_once) == (3, 4)


def test_gpus_are_told_and_not_used() -> None:
    gpus = (Accelerator("A100", 40 * GIB), *(Accelerator("L4", 24 * GIB),) * 4)
    inventory = Inventory((Node("n", 32, 256 * GIB, gpus),))
    work = Work(n_rows=1_000_000, n_columns=20, size_bytes=1)
    trials = plan_trials(PROJECT, inventory, work, free_cpus=30.0)
    assert (trials.threads, trials.at_once) == (2, 16)
    assert trials.reasons[0].endswith("GPUs are left to later (1 x A100, 4 x L4)")


@given(st.integers(1, 256), st.floats(0.25, 256), st.integers(0, 10**9))
def test_what_runs_beside_serving_fits(cpus: int, free: float, n_rows: int) -> None:
    inventory = Inventory((Node("n", cpus, 64 * GIB),))
    work = Work(n_rows=n_rows, n_columns=20, size_bytes=1)
    trials = plan_trials(PROJECT, inventory, work, free_cpus=min(free, cpus))
    assert trials.cpus * trials.at_once_beside_serving <= min(free, cpus) + 1e-9
    assert trials.threads * trials.at_once <= max(cpus, trials.threads)
