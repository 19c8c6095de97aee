from __future__ import annotations

import copy
import json

from hypothesis import find, given
from hypothesis import strategies as st

from tenfold.testing.fuzz import damaged

VALUE = {"a": [1, 2, {"b": "x"}], "c": None}


@given(data=st.data())
def test_the_original_is_not_touched(data: st.DataObject) -> None:
    value = copy.deepcopy(VALUE)
    json.dumps(data.draw(damaged(value)), default=str)
    assert value == VALUE


def test_deep_places_are_reached() -> None:
    assert find(damaged(VALUE), lambda v: v == {"a": [1, 2, {}], "c": None}) is not None
    assert find(damaged(VALUE), lambda v: v == {"a": [1, 2, {"b": "x"}]}) is not None
