from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from tenfold.data.causes import CAUSES, Tally, cause_of
from tenfold.data.clean import PROBLEMS
from tenfold.data.convert import UNDECIDED


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        ("cannot be read: truncated", "unreadable_file"),
        ("is below the minimum 0", "out_of_range"),
        ("the target is missing", "missing"),
        ("is not one of the classes", "unknown_class"),
        ("has 3 cells, the header names 2", "malformed_record"),
        ("is not a JSON object but a list", "malformed_record"),
        ("is not JSON (Expecting value)", "malformed_record"),
        ("is not a date or time", "unreadable_value"),
        ("a plug-in did not like it", "other"),
        *((reason, "ambiguous") for reason in UNDECIDED.values()),
    ],
)
def test_every_reason_has_a_cause_of_the_closed_list(reason: str, cause: str) -> None:
    assert cause_of(reason) == cause
    assert cause in CAUSES


def problem(position: int, reason: str, **more: Any) -> dict[str, Any]:
    return {
        "source": "s",
        "position": position,
        "column": "x",
        "value": "v",
        "reason": reason,
    } | more


def test_a_record_counts_once_a_cause_and_a_file_once() -> None:
    tally = Tally()
    tally.add(PROBLEMS.empty_table())
    for rows in (
        [
            problem(1, "is not a number"),
            problem(1, "is not a date or time", column="y"),
            problem(1, "is above the maximum 3", column="z"),
            problem(1, "is not a number", source="t"),
        ],
        [problem(2, "cannot be read: a", value="f1"), problem(3, "cannot be read: b", value="f1")],
        [problem(4, "cannot be read: c", value="f2")],
    ):
        tally.add(pa.Table.from_pylist(rows, schema=PROBLEMS))
    assert tally.to_dict() == {
        "n_quarantined_files": 2,
        "quarantine_causes": {"unreadable_value": 2, "out_of_range": 1, "unreadable_file": 3},
    }
