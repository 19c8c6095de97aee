from __future__ import annotations

from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from tenfold.profile.svg import horizontal, join, picture, rect, short, text, title, vertical

words = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"],
                              exclude_characters="\ufffe\uffff"))  # fmt: skip


@given(words)
def test_text_of_the_data_stays_text(data: str) -> None:
    body = join([text(1, 2, data, says=data), rect(0, 0, 1, 1, says=data, fill=data)])
    tree = ElementTree.fromstring(picture(data, body, width=10, height=5))  # noqa: S314
    assert tree.get("aria-label") == data
    assert [child.tag for child in tree] == ["text", "rect"]
    assert tree[0].text == (data or None)
    assert title(data) == Markup("<title>{}</title>").format(data)


def test_coordinates_are_short() -> None:
    assert horizontal(0.04, 1.26, 3, style="a") == '<path class="a" d="M0 1.3H3"/>'
    assert vertical(1, 2.0, 3.55, style="b") == '<path class="b" d="M1 2V3.5"/>'
    assert [short(v) for v in (10.0, 0.25)] == ["10", "0.2"]
