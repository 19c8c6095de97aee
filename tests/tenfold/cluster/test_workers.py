from __future__ import annotations

import pytest

from tenfold.cluster.inventory import GIB, Inventory, Node
from tenfold.cluster.workers import size_workers


@pytest.mark.parametrize(
    ("nodes", "n_workers", "share"),
    [
        ((64,), 1, 16.0),
        ((40, 40), 5, 13.0),
        ((2,), 2, 0.25),
        ((1,), 1, 0.5),
        ((1, 1, 1), 3, 0.5),
        ((64, 2), 2, 16.0),
    ],
)
def test_shares_are_what_nodes_can_hold(
    nodes: tuple[int, ...], n_workers: int, share: float
) -> None:
    inventory = Inventory(tuple(Node(f"n{i}", cpus, GIB) for i, cpus in enumerate(nodes)))
    assert size_workers(inventory, n_workers, reserve=1.5) == share
