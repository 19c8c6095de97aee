from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from markupsafe import Markup

from tenfold.profile import NumberAssociation, NumberProfile
from tenfold.profile.association import Target
from tenfold.profile.charts import course, histogram, target_along
from tenfold.profile.shapes import number_facts, target_facts
from tenfold.schema import Kind

VALUES = np.arange(60.0)
CODES = (np.arange(60) % 3).astype(np.intp)
TARGETS = {
    "two classes": (Target(("no", "yes"), np.minimum(CODES, 1)), "yes"),
    "three classes": (Target(("a", "b", "c"), CODES), None),
    "number": (Target((), VALUES * 2.0 - 7), None),
}


def drawn(picture: Markup) -> tuple[ElementTree.Element, list[str]]:
    """The picture, proved to be XML with finite coordinates, and its words."""
    assert "nan" not in picture and "inf" not in picture
    tree = ElementTree.fromstring(picture.replace("xlink:href", "href"))  # noqa: S314
    return tree, [t.text or "" for t in tree.iter("text")]


def heights(picture: Markup, *, fill: str) -> list[float]:
    """How high above the floor the outline of a filled shape goes, point by point."""
    tree, _ = drawn(picture)
    shapes = [p.get("d") or "" for p in tree.iter("path") if fill in (p.get("style") or "")]
    numbers = np.array([float(part) for part in shapes[0].replace("M", "").replace("L", "")
                        .replace("z", "").split()]).reshape(-1, 2)  # fmt: skip
    return list(numbers[:, 1].max() - numbers[:, 1])


def test_a_histogram_is_as_high_as_the_shares() -> None:
    number = NumberProfile.from_values(np.array([0.0, 0.0, 1.0, 2.0]))
    facts = number_facts(number, number, kind=Kind.INTEGER)["histogram"]
    picture = histogram(facts, kind="integer")
    found = sorted({round(h) for h in heights(picture, fill="#9cc7e4")})
    assert found[0] == 0 and found[2] == pytest.approx(2 * found[1], abs=1.0)
    assert drawn(picture)[1] == ["0", "2"]
    alone = number_facts(number, None, kind=Kind.INTEGER)["histogram"]
    assert "#1a1f24; stroke-width: 0.9" in picture
    assert "#1a1f24; stroke-width: 0.9" not in histogram(alone, kind="integer")


def test_dates_are_written_as_dates() -> None:
    number = NumberProfile.from_values(np.arange(100.0) * 86_400)
    facts = number_facts(number, None, kind=Kind.DATETIME)["histogram"]
    assert all(word.startswith("1970-") for word in drawn(histogram(facts, kind="datetime"))[1])


@pytest.mark.parametrize(
    "name, words",
    [
        ("two classes", ["33%", "100%"]),
        ("three classes", ["0%", "100%"]),
        ("number", ["-5.415", "109.4"]),
    ],
)
def test_the_target_is_drawn_along_a_number(name: str, words: list[str]) -> None:
    target, positive = TARGETS[name]
    facts = target_facts(NumberAssociation.from_values(VALUES, target), positive=positive)
    found = drawn(target_along(facts, kind="number"))[1]
    assert found[:2] == ["0", "59"]
    assert len(found) == 4 and all(found)
    if name == "three classes":
        assert found[2:] == words


def test_without_rows_nothing_is_drawn() -> None:
    target = Target(("no", "yes"), np.zeros(3, dtype=np.intp))
    facts = target_facts(NumberAssociation.from_values(np.full(3, np.nan), target), positive="yes")
    assert target_along(facts, kind="number") == ""


OVER: dict[str, Any] = {
    "column": None, "kind": "rows", "low": [0, 10, 20, None], "high": [9, 19, 29, None],
    "rows": [10, 10, 10, 0],
}  # fmt: skip


def test_a_course_goes_from_the_first_to_the_last_slice_with_rows() -> None:
    facts = {"mean": [1.0, 2.0, 5.0, None], "error": [0.0, 0.5, 0.0, None]}
    picture = course(facts, OVER, kind="number")
    assert drawn(picture)[1] == ["1", "30", "1", "5"]
    dated = OVER | {"column": "at", "kind": "datetime", "high": [1, 2, 86_400, None]}
    assert drawn(course(facts, dated, kind="number"))[1][:2] == ["1970-01-01", "1970-01-02"]


def test_a_course_of_one_class_is_a_line_and_of_several_an_area() -> None:
    one = {"classes": ["yes"], "shares": [[0.5], [0.25], [1.0], None]}
    words = drawn(course(one, OVER, kind="category"))[1]
    assert words[3] == "100%"
    two = {"classes": ["a", "b"], "shares": [[0.5, 0.5], [0.25, 0.5], [1.0, 0.0], None]}
    picture = course(two, OVER, kind="category")
    assert all(color in picture for color in ("#0072b2", "#d55e00", "#c3c9d0"))


@pytest.mark.parametrize(
    "facts",
    [
        {"mean": [None, 2.0, None, None], "error": [None, 0.5, None, None]},
        {"classes": [], "shares": [[], [], [], None]},
    ],
)
def test_one_slice_is_no_course(facts: dict[str, Any]) -> None:
    assert course(facts, OVER, kind="number") == ""


def test_a_course_that_does_not_move_is_a_straight_line() -> None:
    facts = {"mean": [3.0] * 3 + [None], "error": [0.0] * 3 + [None]}
    drawn(course(facts, OVER, kind="number"))
