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


A100, L4, T4 = (Accelerator(k, m * GIB) for k, m in (("A100", 40), ("L4", 24), ("T4", 16)))


@pytest.mark.parametrize(
    ("nodes", "n_rows", "share", "threads", "at_once", "kind"),
    [
        pytest.param(((16, (T4,)),), 1_000_000, 0.25, 2, 4, None, id="four to one GPU"),
        pytest.param(((2, (T4,)),), 1_000_000, 0.5, 1, 2, None, id="cores bound it"),
        pytest.param(((4, (T4,) * 4),), 1_000_000, 1.0, 1, 4, None, id="a core for each GPU"),
        pytest.param(((32, (A100, *(L4,) * 4)),), 1_000_000, 0.3333, 2, 15, None, id="five GPUs"),
        pytest.param(
            ((32, (A100,) * 4), (32, (T4,) * 4)), 1_000_000, 0.5, 4, 16, None, id="two types"
        ),
        pytest.param(
            ((32, (A100,) * 4), (32, (T4,) * 4)), 20_000_000, 0.5, 4, 8, "A100", id="one too small"
        ),
        pytest.param(((64, ()), (8, (L4,) * 4)), 1_000_000, 0.5, 1, 8, None, id="beside CPU nodes"),
    ],
)
def test_sessions_share_gpus(
    nodes: tuple[tuple[int, tuple[Accelerator, ...]], ...],
    n_rows: int,
    share: float,
    threads: int,
    at_once: int,
    kind: str | None,
) -> None:
    inventory = Inventory(
        tuple(Node(f"n{i}", cpus, 256 * GIB, gpus) for i, (cpus, gpus) in enumerate(nodes))
    )
    work = Work(n_rows=n_rows, n_columns=15, size_bytes=1)
    trials = plan_trials(PROJECT, inventory, work, free_cpus=inventory.cpus - 0.5)
    assert trials.devices == {"linear": "cpu", "boosting": "cuda", "network": "cuda"}
    assert (trials.gpus, trials.threads, trials.at_once) == (share, threads, at_once)
    assert trials.gpu_type == kind


def test_little_host_memory_bounds_sessions_on_a_gpu() -> None:
    inventory = Inventory((Node("n", 32, 8 * GIB, (A100,)),))
    work = Work(n_rows=1_000_000, n_columns=20, size_bytes=1)
    trials = plan_trials(PROJECT, inventory, work, free_cpus=30.0)
    assert (trials.gpus, trials.at_once) == (0.3333, 3)


@given(st.integers(1, 256), st.floats(0.25, 256), st.integers(0, 10**9))
def test_what_runs_beside_serving_fits(cpus: int, free: float, n_rows: int) -> None:
    inventory = Inventory((Node("n", cpus, 64 * GIB),))
    work = Work(n_rows=n_rows, n_columns=20, size_bytes=1)
    trials = plan_trials(PROJECT, inventory, work, free_cpus=min(free, cpus))
    assert trials.cpus * trials.at_once_beside_serving <= min(free, cpus) + 1e-9
    assert trials.threads * trials.at_once <= max(cpus, trials.threads)
