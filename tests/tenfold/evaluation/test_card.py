"""Gates and card: what is said is what was measured, and nothing escapes its cell."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys

import pytest

from tenfold.evaluation import (
    CalibrationBin,
    CardFacts,
    Estimate,
    card_html,
    card_markdown,
    evaluate_gates,
)
from tenfold.project.gates import Gate

FACTS = CardFacts(
    project="churn",
    task="binary",
    target="<b>left</b>",
    family="boosting",
    engine="onnx",
    params={"eta": 0.1},
    metrics={"roc_auc": Estimate(0.912345, 0.9, 0.92)},
    cross_validation={"roc_auc": 0.91},
    baseline={"roc_auc": 0.5},
    gates=evaluate_gates([Gate.parse("roc_auc >= 0.95")], {"roc_auc": 0.912345}),
    rows={"train": 8000, "test": 2000},
    lineage={"snapshot": "abc"},
    classes=("no", "yes|maybe"),
    threshold=0.31,
    calibration=(CalibrationBin(0.2, 0.25, 100), CalibrationBin(0.8, 0.7, 100)),
    tried=(("linear", 1, 0.88), ("boosting", 4, 0.91)),
)


@pytest.mark.parametrize("form", [card_html, card_markdown])
def test_card_tells_the_facts(form: object) -> None:
    text = form(FACTS)  # type: ignore[operator]
    for piece in ("0.9123", "0.9000 to 0.9200", "0.5000", "missed", "8,000", "abc", "0.3100"):
        assert piece in text


def test_html_is_escaped_and_needs_nothing_from_outside() -> None:
    page = card_html(FACTS)
    assert "<b>left</b>" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert "<svg" in page
    assert "<svg" not in card_html(dataclasses.replace(FACTS, calibration=()))


def test_a_family_of_which_nothing_ended_has_no_score() -> None:
    text = card_markdown(dataclasses.replace(FACTS, tried=(("boosting", 1, math.nan),)))
    assert "| boosting | 1 | none |" in text


def test_a_gate_without_a_value_is_missed() -> None:
    (result,) = evaluate_gates([Gate.parse("latency_p99_ms <= 20")], {})
    assert math.isnan(result.value)
    assert not result.holds
    assert result.to_dict()["gate"] == "latency_p99_ms <= 20"


def test_importing_evaluation_pulls_in_no_heavy_library() -> None:
    code = (
        "import sys, tenfold.evaluation, tenfold.models; "
        "heavy = {'ray','torch','xgboost','pandas','sklearn','mlflow'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
