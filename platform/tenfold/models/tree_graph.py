"""XGBoost's trees as the attributes of ONNX's ``TreeEnsembleRegressor``.

``x < condition`` goes left, NaN by ``default_left``. A split by a set becomes a chain of equalities
that share their target, over the set or over the column's other slots, whichever is less: exact,
since a feature names slots and nothing else. Node sharing is what LightGBM's converters write too;
ONNX Runtime folds small sets into one bit test. ``TreeEnsemble`` with ``BRANCH_MEMBER`` (ai.onnx.ml
opset 5) says the same, and the runtime refuses a graph that holds both operators, as a blend with
numeric trees would.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

__all__ = ["tree_attributes"]

_KEYS: Final = (
    "treeids",
    "nodeids",
    "featureids",
    "values",
    "modes",
    "truenodeids",
    "falsenodeids",
    "missing_value_tracks_true",
)
_NOBODY: Final = -1.0
"""A value that no slot has."""

_Row = tuple[int, int, float, str, int, int, int]
"""A node: id, feature, value, mode, next if true, next if not, whether missing counts as true."""


def tree_attributes(
    trees: Sequence[Any], tree_info: Sequence[int], slots: Sequence[int] = ()
) -> dict[str, list[Any]]:
    """The attributes of all nodes and leaves.

    Args:
        trees: of the booster's JSON.
        tree_info: per tree, the output that it adds to.
        slots: one a feature, see `tenfold.models.Fit.slots`; () for numbers only.
    """
    out: dict[str, list[Any]] = {f"nodes_{key}": [] for key in _KEYS}
    out |= {f"target_{key}": [] for key in ("treeids", "nodeids", "ids", "weights")}
    for number, tree in enumerate(trees):
        for row in _rows(tree, slots):
            for key, value in zip(_KEYS, (number, *row), strict=True):
                out[f"nodes_{key}"].append(value)
        for node, left in enumerate(tree["left_children"]):
            if left < 0:
                out["target_treeids"].append(number)
                out["target_nodeids"].append(node)
                out["target_ids"].append(tree_info[number])
                out["target_weights"].append(float(tree["split_conditions"][node]))
    return out


def _rows(tree: Any, slots: Sequence[int]) -> Iterator[_Row]:
    """The nodes as XGBoost numbers them, then those that chains add."""
    more: list[_Row] = []
    sets = _sets(tree)
    n_nodes = len(tree["left_children"])
    for node, left in enumerate(tree["left_children"]):
        feature = tree["split_indices"][node]
        right, to_left = tree["right_children"][node], int(tree["default_left"][node])
        if left < 0:
            yield (node, 0, 0.0, "LEAF", 0, 0, 0)
        elif tree["split_type"][node]:
            ids = (node, n_nodes + len(more))
            links = _chain(ids, feature, sets[node], slots[feature], (left, right, to_left))
            yield links[0]
            more += links[1:]
        else:
            value = float(tree["split_conditions"][node])
            yield (node, feature, value, "BRANCH_LT", left, right, to_left)
    yield from more


def _sets(tree: Any) -> dict[int, list[int]]:
    """By node, the categories that go right."""
    parts = (tree[f"categories_{name}"] for name in ("nodes", "segments", "sizes"))
    places = zip(*parts, strict=True)
    return {node: tree["categories"][start : start + size] for node, start, size in places}


def _chain(
    ids: tuple[int, int], feature: int, members: list[int], n_slots: int, ways: tuple[int, int, int]
) -> list[_Row]:
    """Equalities one after the other, the first of them in the place of the split.

    Args:
        ids: of the split, and the first free one for others.
        feature: that is asked.
        members: slots that go right.
        n_slots: of the feature.
        ways: left, right, and whether a missing value goes left.
    """
    left, right, to_left = ways
    others = sorted(set(range(n_slots)) - set(members))
    asked, then, otherwise, missing = members, right, left, 1 - to_left
    if len(others) < len(members):
        asked, then, otherwise, missing = others, left, right, to_left
    values = [float(slot) for slot in asked] or [_NOBODY]
    names = [ids[0], *range(ids[1], ids[1] + len(values) - 1)]
    return [
        (name, feature, value, "BRANCH_EQ", then, following, missing if name == ids[0] else 0)
        for name, value, following in zip(names, values, [*names[1:], otherwise], strict=True)
    ]
