"""What cleaning passed over, said once and with its numbers."""

from __future__ import annotations

from typing import Any

from tenfold.profile.finding import Law, Level
from tenfold.profile.quality import cleaning_findings


def facts(**columns: dict[str, Any]) -> dict[str, Any]:
    empty = {"padded": 0, "dressed": 0, "missing": {}}
    return {"trim": True, "columns": {name: empty | given for name, given in columns.items()}}


def said(cleaning: Any, **snapshot: int) -> dict[Law, list[str]]:
    found: dict[Law, list[str]] = {}
    for finding in cleaning_findings(cleaning, snapshot=snapshot, quarantine={"age: bad": 3}):
        found.setdefault(finding.law, []).append(finding.message)
    return found


def test_nothing_passed_over_is_nothing_said() -> None:
    assert said(None) == said(facts(a={})) == {}
    assert said(facts(a={"missing": {"": 9}})) == {}  # an empty cell is what missing looks like


def test_markers_are_shown_as_they_stood() -> None:
    found = said(facts(a={"missing": {"?": 1, " ?": 5, " ": 2}}), n_records=99)
    assert found[Law.MARKERS] == [
        "column 'a' has the missing marker ' ?' in 5 of 99 rows: read as missing",
        "column 'a' has only blanks in 2 of 99 rows: read as missing",
        "column 'a' has the missing marker '?' in 1 of 99 rows: read as missing",
    ]


def test_blanks_are_one_finding_for_all_columns() -> None:
    many = facts(**{name: {"padded": 2} for name in "abcdef"})
    assert said(many)[Law.BLANKS] == [
        "12 cells in 6 columns ('a', 'b', 'c', 'd', ...) have blanks before or behind the value: "
        "they were trimmed, so ' a' and 'a' are one"
    ]
    kept = facts(a={"padded": 2}) | {"trim": False}
    (found,) = cleaning_findings(kept, snapshot={}, quarantine={})
    assert found.level is Level.WARNING and "so ' a' and 'a' are two" in found.message


def test_numbers_in_text_duplicates_and_quarantine() -> None:
    found = said(
        facts(pay={"dressed": 7}), n_records=100, n_rows=90, n_duplicates=7, n_quarantined=3
    )
    assert found[Law.NUMBERS_IN_TEXT][0].startswith("column 'pay' has 7 numbers with signs of text")
    assert found[Law.DUPLICATES] == [
        "7 of 97 rows are equal to an earlier one in every column and were dropped"
    ]
    assert found[Law.QUARANTINE] == [
        "3 of 100 rows could not be mended and were set aside, most often: age: bad (3); "
        "`tenfold quarantine` shows them"
    ]


def test_many_equal_rows_ask_whether_they_are_cases() -> None:
    (found,) = cleaning_findings(None, snapshot={"n_rows": 80, "n_duplicates": 20}, quarantine={})
    assert found.level is Level.WARNING and "prepare.drop_duplicates: false" in found.message
    (found,) = cleaning_findings(None, snapshot={"n_rows": 80, "n_equal": 20}, quarantine={})
    assert found.level is Level.WARNING
    assert found.message == (
        "20 of 80 rows are equal to an earlier one in every column and stay, each with its equals "
        "on one side of every split: if they are copies of one case, set "
        "prepare.drop_duplicates: true"
    )
    (found,) = cleaning_findings(None, snapshot={"n_rows": 800, "n_equal": 20}, quarantine={})
    assert found.level is Level.NOTE and "copies" not in found.message


def test_rows_nearly_equal_to_another_are_told_with_what_the_split_does_to_them() -> None:
    near = {
        "n_rows": 500, "n_groups": 200, "n_torn_from_test": 30,
        "differ_in": [{"columns": ["age"], "n_rows": 20}, {"columns": ["weight"], "n_rows": 480}],
    }  # fmt: skip
    (found,) = cleaning_findings(
        None, snapshot={"n_rows": 2000, "near_duplicates": near}, quarantine={}
    )
    assert found.message == (
        "500 of 2000 rows are nearly equal to another, most of them but for column 'weight'; 30 "
        "of 200 groups have rows on both sides of the sealed test set, where "
        "prepare.near_duplicates: group keeps them on one"
    )
    kept = near | {"n_torn_from_test": 0, "differ_in": []}
    (found,) = cleaning_findings(
        None, snapshot={"n_rows": 2000, "near_duplicates": kept}, quarantine={}
    )
    assert found.message == "500 of 2000 rows are nearly equal to another"
    for few in (near | {"n_rows": 99}, None):
        snapshot = {"n_rows": 1000, "near_duplicates": few}
        assert list(cleaning_findings(None, snapshot=snapshot, quarantine={})) == []
    rare = {"n_rows": 20_000, "near_duplicates": near}
    assert list(cleaning_findings(None, snapshot=rare, quarantine={})) == []
