"""The cluster: what it has, how a project would use it, and the processes we started on it."""

from __future__ import annotations

from tenfold.cluster.inventory import (
    Accelerator,
    Inventory,
    Node,
    inventory_local,
    inventory_ray,
)
from tenfold.cluster.placement import Placement
from tenfold.cluster.plan import Plan, make_plan

__all__ = [
    "Accelerator",
    "Inventory",
    "Node",
    "Placement",
    "Plan",
    "inventory_local",
    "inventory_ray",
    "make_plan",
]
