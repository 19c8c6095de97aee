from __future__ import annotations

from typing import Any

import pytest

from tenfold.errors import ArtifactError
from tenfold.features import Recipe


@pytest.mark.parametrize(
    "wrong",
    [
        {"numbers": "log"},
        {"categories": "guess"},
        {"many": "guess"},
        {"many_from": 0},
        {"smoothing": 0.0},
        {"slots": 0},
        {"slots": 1025},
        {"impute": "guess"},
        {"fill": float("nan")},
        {"fill": 1e39},
        {"winsorize": 0.5},
        {"winsorize": 0.0},
        {"smoothing": float("nan")},
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


def test_a_recipe_of_the_first_format_is_read_and_written_as_it_was() -> None:
    first = {
        "numbers": "standard",
        "categories": "onehot",
        "dates": "calendar",
        "missing_indicator": True,
        "clip": None,
        "max_onehot": 64,
        "rare_min_count": 1,
    }
    recipe = Recipe.from_dict(first)
    assert recipe == Recipe(numbers="standard", categories="onehot", missing_indicator=True)
    assert recipe.to_dict() == first
    newer = Recipe(many="target")
    assert newer.to_dict() == Recipe().to_dict() | {"many": "target"}
    assert Recipe.from_dict(newer.to_dict()) == newer


def test_many_categories_have_a_coding_of_their_own() -> None:
    recipe = Recipe(categories="onehot", many="target", many_from=10)
    assert [recipe.coding_of(n) for n in (1, 9, 10)] == ["onehot", "onehot", "target"]
    assert Recipe(categories="onehot").coding_of(10**4) == "onehot"


def test_only_raw_leaves_numbers_missing() -> None:
    assert not Recipe().scales
    assert Recipe(numbers="quantile").scales
    assert Recipe().leaves_missing
    assert not Recipe(impute="mode").leaves_missing
    assert not Recipe(numbers="power").leaves_missing
