from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pytest

from tenfold.canonical import canonical_json
from tenfold.errors import DataError
from tenfold.profile import Profile, merge_profiles
from tenfold.profile.facts import report_numbers
from tenfold.schema import Schema

MakeTable = Callable[..., pa.Table]


@pytest.fixture(scope="module")
def folds(class_schema: Schema, make_table: MakeTable) -> dict[int, Profile]:
    return {
        fold: Profile.from_table(make_table(class_schema, 120, seed=fold + 1), class_schema)
        for fold in (-1, 0, 1)
    }


def test_the_numbers_are_those_of_the_training_rows(
    class_schema: Schema, folds: dict[int, Profile]
) -> None:
    numbers = report_numbers(
        project="p", task="binary", schema=class_schema, profiles=folds,
        quarantine={"a": 1, "b": 2}, snapshot={"digest": "d"},
    )  # fmt: skip
    train = merge_profiles([folds[0], folds[1]])
    assert numbers["rows"] == {"train": 240, "test": 120}
    assert [c["name"] for c in numbers["columns"]] == [
        "left", "age", "pay", "member", "since", "city",
    ]  # fmt: skip
    pay = numbers["columns"][2]
    assert pay["mean"] == train.numbers["pay"].mean
    assert pay["quantiles"]["0.5"] == train.numbers["pay"].quantile(0.5)
    assert sum(pay["histogram"]["test_counts"]) <= folds[-1].numbers["pay"].count
    assert numbers["quarantine"] == [{"reason": "b", "rows": 2}, {"reason": "a", "rows": 1}]
    assert numbers["left_out"][0]["name"] == "row"
    assert [f["fold"] for f in numbers["splits"]["folds"]] == [0, 1, -1]
    assert len(numbers["splits"]["distances"]) == 6
    r = numbers["correlations"]
    assert r["names"] == ["age", "pay", "member", "since"]
    assert all(abs(a["r"]) >= abs(b["r"]) for a, b in zip(r["strongest"], r["strongest"][1:],
                                                          strict=False))  # fmt: skip
    canonical_json(numbers)


def test_the_positive_class_is_the_wanted_or_the_rarer(
    class_schema: Schema, folds: dict[int, Profile]
) -> None:
    def positive(wanted: str | None) -> str:
        return str(
            report_numbers(
                project="p",
                task="binary",
                schema=class_schema,
                profiles=folds,
                positive_class=wanted,
            )["positive_class"]
        )

    counts = merge_profiles([folds[0], folds[1]]).categories["left"].counts
    rarer = min(counts, key=lambda name: counts[name])
    assert positive(None) == positive("unknown") == rarer
    assert {positive("yes"), positive("no")} == {"yes", "no"}


@pytest.mark.parametrize("which", ["number_schema", "bare_schema"])
def test_other_tasks_without_test_rows(
    request: pytest.FixtureRequest, make_table: MakeTable, which: str
) -> None:
    schema: Schema = request.getfixturevalue(which)
    profile = Profile.from_table(make_table(schema, 50), schema)
    numbers = report_numbers(project="p", task="t", schema=schema, profiles={0: profile})
    assert numbers["positive_class"] is None
    assert numbers["splits"]["distances"] == []
    assert numbers["splits"]["folds"][0]["share"] == 1.0


def test_no_training_rows_is_refused(class_schema: Schema, folds: dict[int, Profile]) -> None:
    with pytest.raises(DataError, match=r"at least one training fold, got \[-1\]"):
        report_numbers(project="p", task="t", schema=class_schema, profiles={-1: folds[-1]})
