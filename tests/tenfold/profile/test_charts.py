from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pytest

from tenfold.profile import CategoryAssociation, NumberAssociation, NumberProfile
from tenfold.profile.association import Target
from tenfold.profile.charts import bars, heatmap, histogram, target_along
from tenfold.profile.shapes import number_facts, target_facts
from tenfold.schema import Kind

VALUES = np.arange(60.0)
CODES = (np.arange(60) % 3).astype(np.intp)
TARGETS = {
    "two classes": (Target(("no", "yes"), np.minimum(CODES, 1)), "yes"),
    "three classes": (Target(("a", "b", "c"), CODES), None),
    "number": (Target((), VALUES * 2.0 - 7), None),
}


def drawn(picture: str) -> ElementTree.Element:
    """The picture, proved to be XML with finite coordinates inside its box."""
    assert "nan" not in picture and "inf" not in picture
    tree = ElementTree.fromstring(picture)  # noqa: S314
    _, _, width, height = (float(part) for part in (tree.get("viewBox") or "").split())
    for shape in tree.iter("rect"):
        x, y, w, h = (float(shape.get(key) or "nan") for key in ("x", "y", "width", "height"))
        assert -0.1 <= x <= x + w <= width + 0.1
        assert -0.1 <= y <= y + h <= height + 0.1
    return tree


def test_a_histogram_has_a_bar_per_bin_as_high_as_its_share() -> None:
    number = NumberProfile.from_values(np.array([0.0, 0.0, 1.0, 2.0]))
    facts = number_facts(number, number, kind=Kind.INTEGER)["histogram"]
    tree = drawn(histogram(facts, kind="integer"))
    heights = [float(r.get("height") or 0) for r in tree.iter("rect")]
    assert heights == pytest.approx([124.0, 62.0, 62.0])
    assert [t.text for t in tree.iter("text")] == ["0", "2"]
    assert len([p for p in tree.iter("path") if p.get("class") == "t"]) == 3


def test_bars_show_label_share_and_test_tick() -> None:
    tree = drawn(bars([("<b>", 0.75, 0.5), (" ", 0.25, None)]))
    assert [t.text for t in tree.iter("text")] == ["<b>", "75%", "' '", "25%"]
    widths = [float(r.get("width") or 0) for r in tree.iter("rect")]
    assert widths[0] == pytest.approx(3 * widths[1], abs=0.2)


@pytest.mark.parametrize("name", TARGETS)
def test_the_target_is_drawn_along_numbers_and_categories(name: str) -> None:
    target, positive = TARGETS[name]
    number = target_facts(NumberAssociation.from_values(VALUES, target), positive=positive)
    tree = drawn(target_along(number, kind="number"))
    marks = "rect" if name == "three classes" else "circle"
    assert len(list(tree.iter(marks))) >= 10
    cities = pa.array(["x", "y"] * 30)
    facts = target_facts(CategoryAssociation.from_array(cities, target), positive=positive)
    tree = drawn(target_along(facts, kind="category"))
    assert {"x", "y"} <= {t.text for t in tree.iter("text")}


def test_without_rows_nothing_is_drawn() -> None:
    target = Target(("no", "yes"), np.zeros(3, dtype=np.intp))
    facts = target_facts(NumberAssociation.from_values(np.full(3, np.nan), target), positive="yes")
    assert target_along(facts, kind="number") == ""


def test_a_heat_map_shows_the_lower_triangle() -> None:
    tree = drawn(heatmap(["a", "b"], [[1.0, -0.5], [-0.5, None]]))
    assert len(list(tree.iter("rect"))) == 3
    assert {"1.00", "-0.50"} <= {t.text for t in tree.iter("text")}
    many = [f"c{i}" for i in range(20)]
    tree = drawn(heatmap(many, np.eye(20).tolist()))
    assert "1.00" not in {t.text for t in tree.iter("text")}
