"""Which nodes of a cluster the fits of a project may run on, by the labels of the nodes."""

from __future__ import annotations

from collections.abc import Mapping

from tenfold.cluster.inventory import Inventory, Node
from tenfold.errors import ProjectError
from tenfold.project import Project
from tenfold.project.labels import in_selector_words, selects

__all__ = ["nodes_for_fits"]

MAX_NAMED = 5
"""Nodes or labels that one sentence names."""


def nodes_for_fits(project: Project, inventory: Inventory) -> tuple[Inventory, tuple[str, ...]]:
    """The part of a cluster that ``train.nodes`` means, and a sentence on it.

    Args:
        project: its ``train.nodes``.
        inventory: all nodes.

    Returns:
        The whole inventory and no sentence where the project names none.

    Raises:
        ProjectError: no node has such labels.
    """
    selector = project.train.nodes
    if selector is None:
        return inventory, ()
    meant = tuple(node for node in inventory.nodes if selects(selector, node.labels))
    if not meant:
        raise ProjectError(_none(selector, inventory))
    of = f"{len(meant)} of {_count(len(inventory.nodes))}"
    names = _few([node.name for node in meant])
    return Inventory(meant), (
        f"fits run on {of} ({names}), as train.nodes says ({in_selector_words(selector)})",
    )


def _none(selector: Mapping[str, str], inventory: Inventory) -> str:
    found = "; ".join(_found(key, inventory.nodes) for key in selector)
    return (
        f"train.nodes: must mean a node that is up ({in_selector_words(selector)}); {found}; start "
        "a node with such labels (ray start --labels), or change or remove train.nodes"
    )


def _found(key: str, nodes: tuple[Node, ...]) -> str:
    """What the nodes have at one label."""
    values = sorted({node.labels[key] for node in nodes if key in node.labels})
    without = sum(key not in node.labels for node in nodes)
    if not values:
        return f"no label {key} on {_count(len(nodes))}"
    rest = f", none on {_count(without)}" if without else ""
    return f"found {key}: {_few(values)}{rest}"


def _few(names: list[str]) -> str:
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return f"{', '.join(names[:MAX_NAMED])}{more}"


def _count(nodes: int) -> str:
    return f"{nodes} node{'s' if nodes != 1 else ''}"
