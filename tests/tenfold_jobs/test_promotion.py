"""A version answers only for a reason, and the journal has it, whatever was decided."""

from __future__ import annotations

from typing import Any

import pytest

from tenfold.registry import Registry
from tenfold.settings import Settings
from tenfold_jobs.packing import Packed
from tenfold_jobs.promotion import Promotion, promote_if_better
from tests.tenfold_jobs.conftest import PublishSmall
from tests.tenfold_jobs.support import Case


def promote(case: Case, settings: Settings, packed: Packed, family: str = "linear") -> Promotion:
    return promote_if_better(
        settings,
        packed,
        snapshot=case.snapshot,
        question=case.question,
        finished=case.finished[family],
        test=case.test,
    )


def auc(case: Case, family: str) -> float:
    return case.finished[family].metrics["roc_auc"].value


def champion(settings: Settings) -> int | None:
    return Registry(settings).alias("churn", "champion")


def last(settings: Settings) -> tuple[str, dict[str, Any]]:
    row = Registry(settings).state.journal.tail("churn", 1)[0]
    return row.kind, row.body


def test_the_first_version_that_keeps_its_gates_is_the_champion(
    case: Case, settings: Settings
) -> None:
    made = promote(case, settings, case.pack(settings))
    assert made == Promotion("champion", "first champion", auc(case, "linear"))
    assert champion(settings) == 1
    assert last(settings) == (
        "promote",
        {
            "version": 1,
            "previous": None,
            "reason": "first champion",
            "metric": "roc_auc",
            "value": auc(case, "linear"),
            "champion_value": None,
        },
    )


def test_a_missed_gate_is_no_champion_even_where_there_is_none(
    case: Case, settings: Settings
) -> None:
    packed = case.pack(settings, project=case.with_gates("roc_auc >= 0.999"))
    made = promote(case, settings, packed)
    assert made.alias is None
    value = auc(case, "linear")
    assert made.reason == f"gate missed: roc_auc >= 0.999 (it is {value:.4g})"
    assert champion(settings) is None
    kind, body = last(settings)
    assert (kind, body["action"], body["reason"]) == ("decision", "hold", made.reason)


def test_an_equal_model_that_is_newer_answers(case: Case, settings: Settings) -> None:
    first, second = case.pack(settings), case.pack(settings)
    promote(case, settings, first)
    made = promote(case, settings, second)
    assert (made.alias, made.previous) == ("champion", 1)
    assert made.value == made.champion_value == auc(case, "linear")
    again = promote(case, settings, second)
    assert again.reason == "version 2 is the champion already"
    assert [move.to_version for move in Registry(settings).history("churn")] == [1, 2]


def test_a_worse_model_is_registered_and_does_not_answer(case: Case, settings: Settings) -> None:
    good = case.pack(settings)
    promote(case, settings, good)
    worse = case.pack(settings, "dummy", project=case.with_gates())
    made = promote(case, settings, worse, "dummy")
    assert (made.alias, made.previous) == (None, 1)
    assert made.value == 0.5
    assert made.champion_value == pytest.approx(auc(case, "linear"))
    assert made.reason.startswith("not promoted: version 1 is better: roc_auc ")
    assert made.reason.endswith(f" against 0.5 on the same {case.test.n_rows} sealed rows")
    assert champion(settings) == 1
    (good.version.path / "model.onnx").write_bytes(b"damaged")
    # A champion that cannot answer is worse than any that can.
    made = promote(case, settings, worse, "dummy")
    assert made.reason.startswith("version 1 cannot be judged on these rows and is replaced: ")
    assert champion(settings) == 2


def test_a_better_model_replaces_a_worse_one(case: Case, settings: Settings) -> None:
    promote(case, settings, case.pack(settings, "dummy", project=case.with_gates()), "dummy")
    made = promote(case, settings, case.pack(settings))
    assert (made.alias, made.champion_value) == ("champion", 0.5)
    assert made.reason.endswith(
        f"is not below 0.5 of version 1 on the same {case.test.n_rows} sealed rows"
    )
    assert champion(settings) == 2


def test_a_champion_that_answers_another_question_is_replaced(
    case: Case, settings: Settings, publish_small: PublishSmall
) -> None:
    publish_small("churn", family="linear", promote=True)
    packed = case.pack(settings, "dummy", project=case.with_gates())
    made = promote(case, settings, packed, "dummy")
    assert made.reason == (
        "version 1 cannot be judged on these rows and is replaced: "
        "its target is 'label', not 'left'"
    )
    assert champion(settings) == 2
