from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tenfold.project.inputs import ColumnRule, Data, Prepare
from tenfold.schema import Role


def test_roles_that_have_no_place_of_their_own() -> None:
    assert ColumnRule.model_validate({"role": "weight"}).role is Role.WEIGHT
    with pytest.raises(ValidationError, match=r"the group is named in data\.group"):
        ColumnRule.model_validate({"role": "group"})


@pytest.mark.parametrize(
    "wrong",
    [
        {"test_fraction": 0},
        {"test_fraction": 0.6},
        {"max_bad_fraction": 1},
        {"max_bad_fraction": -0.1},
        {"missing_markers": [1]},
    ],
)
def test_bounds_of_preparing(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Prepare.model_validate(wrong)


def test_no_order_is_the_default() -> None:
    data = Data.model_validate({"sources": [{"path": "a.csv"}]})
    assert (data.ordered, data.time_column, data.key, data.group) == (False, None, (), None)
