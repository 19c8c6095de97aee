from __future__ import annotations

from typing import Any

import pytest

from tenfold.errors import ArtifactError
from tenfold.features import Recipe


@pytest.mark.parametrize(
    "wrong",
    [
        {"numbers": "log"},
        {"categories": "target"},
        {"dates": "moon"},
        {"clip": 0.0},
        {"clip": float("inf")},
        {"max_onehot": 0},
        {"rare_min_count": 1.5},
        {"missing_indicator": 1},
    ],
)
def test_a_value_outside_its_list_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"recipe\.{next(iter(wrong))} is "):
        Recipe(**wrong)
    with pytest.raises(ArtifactError, match="publish the model again"):
        Recipe.from_dict(Recipe().to_dict() | wrong)


def test_unknown_and_missing_fields_are_refused() -> None:
    for value in ({}, Recipe().to_dict() | {"import": "os"}, [], "raw"):
        with pytest.raises(ArtifactError, match="a recipe has the fields"):
            Recipe.from_dict(value)  # type: ignore[arg-type]


def test_only_raw_leaves_numbers_missing() -> None:
    assert not Recipe().scales
    assert Recipe(numbers="quantile").scales
