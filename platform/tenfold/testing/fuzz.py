"""Ways to damage a JSON value, for decoders that must refuse and never break."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

__all__ = ["damaged", "json_values"]

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from([-1, 0, 1, 10**9, "os.system", "../x"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=4,
)
"""Any small JSON value, with the ones that decoders like least."""


@st.composite
def damaged(draw: st.DrawFn, value: Any) -> Any:
    """A copy of a JSON value with one place replaced, removed, or doubled."""
    root = {"": copy.deepcopy(value)}
    parent: Any = root
    key: Any = ""
    while isinstance(parent[key], (dict, list)) and parent[key] and draw(st.integers(0, 4)):
        parent = parent[key]
        key = draw(
            st.sampled_from(sorted(parent) if isinstance(parent, dict) else range(len(parent)))
        )
    match draw(st.sampled_from(["replace", "replace", "remove", "double"])):
        case "remove" if parent is not root:
            del parent[key]
        case "double" if isinstance(parent, list):
            parent.append(copy.deepcopy(parent[key]))
        case _:
            parent[key] = draw(json_values)
    return root[""]
