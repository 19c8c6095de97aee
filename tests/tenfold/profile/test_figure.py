"""Pictures are small, repeatable, and say nothing but what was drawn."""

from __future__ import annotations

import re

from tenfold.profile.figure import draw


def _wave(axes: object) -> None:
    axes.plot([i / 100 for i in range(100)], [(i * i % 17) / 17 for i in range(100)])  # type: ignore[attr-defined]
    axes.set_xticks([0.0, 1.0], ["$x_1$", "1 < 2 & 3"])  # type: ignore[attr-defined]


def test_the_same_picture_has_the_same_bytes() -> None:
    assert draw("wave", _wave) == draw("wave", _wave)


def test_it_is_slim_and_reaches_for_nothing() -> None:
    picture = draw("wave", _wave)
    assert len(picture) < 5_000
    assert "http" not in picture and "<style" not in picture and "<metadata" not in picture
    assert not re.search(r" d=\"[^\"]*\d\.\d\d", picture)
    assert picture.startswith('<svg role="img" aria-label="wave" viewBox="0 0 244.8 108"')
    assert picture.rstrip().endswith("</svg>")


def test_text_is_text_and_escaped() -> None:
    picture = draw('<b> "wave"', _wave)
    assert "$x_1$" in picture and "1 &lt; 2 &amp; 3" in picture
    assert 'aria-label="&lt;b&gt; &#34;wave&#34;"' in picture
