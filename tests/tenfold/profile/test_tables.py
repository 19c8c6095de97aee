"""Categories and associations as tables."""

from __future__ import annotations

from typing import Any

import pytest

from tenfold.profile.tables import frequent_words, heats_of, levels_of, strongest_of

TOP = [
    {"value": "a", "count": 60, "share": 0.6, "test_share": 0.3},
    {"value": " ", "count": 30, "share": 0.3, "test_share": None},
]


def column(target: dict[str, Any] | None) -> dict[str, Any]:
    return {"top": TOP, "rest": 10, "count": 100, "target": target}


def test_levels_are_bars_relative_to_the_longest() -> None:
    found = levels_of(column(None))
    assert [(one["value"], one["width"], one["test"]) for one in found] == [
        ("a", "100.0", "50.0"), ("' '", "50.0", None), ("(all others)", "16.7", None),
    ]  # fmt: skip
    assert all(one["against"] == "" and one["parts"] == [] for one in found)
    assert levels_of({"histogram": None}) == levels_of({"top": []}) == []


SPIKES = [{"value": v, "count": n, "share": n / 100} for v, n in ((0.0, 40), (-999.25, 3), (7, 1))]
SAMPLED = {"rows": 10_000, "values": SPIKES[:1]}


@pytest.mark.parametrize(
    "more, words",
    [
        ({"top": SPIKES}, "0 (40%), -999.25 (3.0%)"),
        ({"top": SPIKES[2:]}, "every value occurs once"),
        ({"top": SPIKES, "kind": "datetime"}, "1970-01-01 (40%), 1969-12-31 23:43 (3.0%)"),
        ({"top": SPIKES, "kind": "boolean"}, ""),
        ({"top": [], "count": 0}, ""),
        ({"top": None, "top_sampled": SAMPLED}, "0 (40%), of 10,000 sampled rows"),
        ({"top": None, "top_sampled": {"rows": 9, "values": []}}, "none among 9 sampled rows"),
        ({"top": None}, "not known: there are more different values than are counted"),
    ],
)
def test_the_values_where_a_number_piles_up(more: dict[str, Any], words: str) -> None:
    number = {"kind": "number", "count": 100, "histogram": None, "top_sampled": None, **more}
    assert frequent_words(number) == words
    assert levels_of(number) == []


def test_a_category_has_bars_and_no_line() -> None:
    assert frequent_words({**column(None), "kind": "category"}) == ""


@pytest.mark.parametrize(
    "classes, group, words",
    [
        (["yes"], {"shares": [0.5]}, "50% ± 10.0"),
        ([], {"mean": 12.0, "std": 5.0}, "12 ± 1"),
        ([], {"mean": 3909.4, "std": 612.0}, "3909 ± 120"),
        ([], {"mean": 540_088.0, "std": 61_700.0}, "540,088 ± 12,000"),
    ],
)
def test_the_target_along_a_level_has_its_interval(
    classes: list[str], group: dict[str, Any], words: str
) -> None:
    groups = [{"value": "a", "n": 100, **group}, {"value": " ", "n": 0}]
    found = levels_of(column({"classes": classes, "groups": groups}))
    assert [one["against"] for one in found] == [words, "", ""]


def test_several_classes_are_parts_of_a_bar() -> None:
    groups = [{"value": "a", "n": 10, "shares": [0.5, 0.0, 0.25]}]
    (parts, *_) = [
        one["parts"] for one in levels_of(column({"classes": ["x", "y", "z"], "groups": groups}))
    ]
    assert [(part["name"], part["width"]) for part in parts] == [
        ("x", "50.0"), ("z", "25.0"), ("others", "25.0"),
    ]  # fmt: skip


def numbers(**more: Any) -> dict[str, Any]:
    names = ["p", "q", "r"]
    matrix = [[1.0, -0.9, None], [-0.9, 1.0, 0.1], [None, 0.1, 1.0]]
    return {
        "correlations": {
            "names": names,
            "pearson": matrix,
            "strongest": [{"left": "p", "right": "q", "r": -0.9}],
        },
        "associations": None,
        **more,
    }


def test_a_square_of_correlations_shows_its_lower_half() -> None:
    (heat,) = heats_of(numbers(), most=9)
    assert heat["columns"] == ["p", "q", "r"]
    assert [[cell["text"] for cell in row["cells"]] for row in heat["rows"]] == [
        ["1.00", "", ""], ["-0.90", "1.00", ""], ["", "0.10", "1.00"],
    ]  # fmt: skip
    strong = heat["rows"][1]["cells"][0]
    assert strong["dark"] and strong["color"] == "#1a6aa6"
    assert [row["name"] for row in heats_of(numbers(), most=2)[0]["rows"]] == ["p", "q"]


def test_categories_with_numbers_are_a_table_of_their_own() -> None:
    empty: dict[str, Any] = {"rows": [], "columns": [], "matrix": []}
    ratio = {"rows": ["city"], "columns": ["p", "q"], "matrix": [[None, -0.001]]}
    associations = {
        "spearman": empty, "cramers_v": {"rows": ["city"], "columns": ["city"], "matrix": [[1.0]]},
        "correlation_ratio": ratio,
        "strongest": [{"left": "p", "right": "q", "measure": "spearman", "value": 0.95},
                      {"left": "city", "right": "q", "measure": "correlation_ratio",
                       "value": 0.4}],
    }  # fmt: skip
    given = numbers(associations=associations)
    titles = [heat["title"].split(",")[0] for heat in heats_of(given, most=9)]
    assert titles == ["Pearson", "Correlation ratio"]
    assert heats_of(given, most=9)[1]["columns"] == ["q"]
    assert heats_of(given, most=9)[1]["rows"][0]["cells"][0]["text"] == "0.00"
    assert [(p["measure"], p["value"]) for p in strongest_of(given, most=9)] == [
        ("pearson", -0.9), ("correlation_ratio", 0.4),
    ]  # fmt: skip


def test_one_column_has_no_table() -> None:
    one = {"names": ["p"], "pearson": [[1.0]], "strongest": []}
    assert heats_of(numbers(correlations=one), most=9) == []
