from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from tenfold.evaluation.run_page import Candidate, Curve, RunPage, Trial, render_run
from tests.chromium import open_page, overflow_px

EVIL = "<script>alert(1)</script>"
PAGE = RunPage(
    project="churn & <b>more</b>",
    metric="roc_auc",
    maximize=True,
    answer="boosting x 4 seeds (0.7) + linear (0.3)",
    reason="the fastest within 1 standard error of the best of 3",
    seconds=61.4,
    facts=[("calibration", "temperature 1.1"), ("1. boosting: eta", "0.05")],
    front=[
        Candidate("linear 1", 0.84, 2.2, 12.0, 3_000, is_picked=False),
        Candidate("boosting 2 (0.70) + linear 1 (0.30)", 0.86, 0.0, 48.0, 900_000, is_picked=True),
        Candidate("network 3", 0.85, 1.2, None, None, is_picked=False),
    ],
    trials=[
        Trial(0, "dummy", 0.5, 0.1, "scored", ""),
        Trial(1, "linear", 0.84, 0.4, "scored", "c 1"),
        Trial(2, "boosting", 0.85, 3.0, "scored", "eta 0.1, max_depth 6"),
        Trial(3, "network", math.nan, 9.0, "failed", f"lr {EVIL}", f"ValueError: {EVIL}"),
    ],
    curves=[Curve(2, "boosting", [(1, 0.6), (10, 0.4), (20, 0.39)])],
    importance={"boosting": [("eta", 0.7), ("max_depth", 0.2)]},
)


def test_every_trial_is_there_with_its_reason_and_nothing_is_markup() -> None:
    text = render_run(PAGE)
    assert EVIL not in text
    assert "ValueError: &lt;script&gt;" in text
    assert "churn &amp; &lt;b&gt;more" in text
    assert text.count("<svg") == 3
    assert "not fitted" in text
    assert text.count(">answers</span>") == 1
    front = text[text.index("<svg") : text.index("</svg>")]
    assert all(f">{tick}</text>" in front for tick in (10, 20, 50))
    assert "\\math" not in text
    for trial in PAGE.trials:
        assert f"<td>{trial.family}</td>" in text


def test_the_same_facts_give_the_same_bytes() -> None:
    assert render_run(PAGE) == render_run(PAGE)


@pytest.mark.parametrize("maximize", [True, False])
def test_a_training_without_a_choice_has_a_page_too(maximize: bool) -> None:
    bare = replace(PAGE, front=[], curves=[], importance={}, trials=PAGE.trials[:1])
    text = render_run(replace(bare, maximize=maximize))
    assert "<svg" not in text
    assert 'id="front"' not in text


def test_the_page_opens_whole_in_a_browser(tmp_path: Path) -> None:
    page = tmp_path / "run.html"
    page.write_text(render_run(PAGE))
    opened = open_page(page)
    assert opened.console == []
    assert opened.requests == []
    for section in ("answer", "front", "importance", "curves", "trials"):
        assert f'id="{section}"' in opened.dom
    assert overflow_px(page, width_px=390) == 0
