"""What ``tenfold prepare`` finds in nine real tables: everything that is so, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tenfold.project import Project
from tenfold.settings import Settings
from tenfold_jobs.prepare import run_prepare

Pinned = set[tuple[str, str, str | None]]

ROWS = {"time": {"order": "rows"}}
WITH_OUTLIERS = (
    "Bathrooms", "Bedrooms", "Grade", "Long", "Sqft_above", "Sqft_basement", "Sqft_living",
    "Sqft_living15",
)  # fmt: skip
WITH_TAIL = ("Price", "Sqft_lot", "Sqft_lot15", "Yr_renovated")
KING_COUNTY_TAILS: Pinned = {
    *(("note", "outliers", name) for name in WITH_OUTLIERS),
    *(("note", "skew", name) for name in WITH_TAIL),
}
BIKE_DRIFT: Pinned = {
    ("warning", "shift", name)
    for name in ("mnth", "yr", "season", "cnt", "hum", "temp", "windspeed", "atemp", None)
}
ELEC2_DRIFT: Pinned = {
    ("warning", "shift", name)
    for name in ("vicprice", "vicdemand", "transfer", "nswprice", "nswdemand", None)
}

TABLES: dict[str, tuple[str, dict[str, Any], Pinned]] = {
    "adult": (
        "adult.csv",
        {"problem": {"task": "binary", "target": "salary", "positive_class": ">50K"}},
        {
            ("note", "blanks", None),
            ("note", "missing-markers", "workclass"),
            ("note", "missing-markers", "occupation"),
            ("note", "missing-markers", "country"),
            ("note", "missing", "workclass"),
            ("note", "missing", "occupation"),
            ("note", "missing-together", "occupation"),
            ("note", "duplicates", None),
            ("note", "near-duplicates", None),
            ("note", "twins", "education-num"),
            ("note", "outliers", "fnlwgt"),
            ("note", "skew", "capital-gain"),
            ("note", "skew", "capital-loss"),
        },
    ),
    "telco-churn": (
        "telco-churn.csv",
        {"problem": {"task": "binary", "target": "Churn"}},
        {("note", "identifier", "customerID"), ("note", "missing-markers", "TotalCharges")},
    ),
    "german-credit": (
        "german-credit.csv",
        {"problem": {"task": "binary", "target": "class-label"}},
        {("note", "outliers", "duration"), ("note", "blanks", None)},
    ),
    "elec2": (
        "elec2.csv",
        {"problem": {"task": "binary", "target": "class"}},
        {
            ("warning", "row-order", "class"),
            ("note", "near-duplicates", None),
            ("note", "duplicates", None),
            ("note", "skew", "nswprice"),
            ("note", "skew", "vicprice"),
            ("note", "outliers", "vicdemand"),
        },
    ),
    "elec2 by rows": (
        "elec2.csv",
        {"problem": {"task": "binary", "target": "class"}, "data": ROWS},
        {
            *ELEC2_DRIFT,
            ("note", "near-duplicates", None),
            ("note", "row-order", None),
            ("note", "duplicates", None),
            ("note", "skew", "nswprice"),
            ("note", "skew", "vicprice"),
        },
    ),
    "king-county": (
        "king-county.csv",
        {"problem": {"task": "regression", "target": "Price"}},
        {
            *KING_COUNTY_TAILS,
            ("note", "identifier", "ID"),
            ("note", "undeclared-time", "Date"),
            ("warning", "row-order", "Price"),
        },
    ),
    "king-county by date": (
        "king-county.csv",
        {"problem": {"task": "regression", "target": "Price"}, "data": {"time": "Date"}},
        {*KING_COUNTY_TAILS, ("note", "identifier", "ID")},
    ),
    "bike": (
        "bike.csv",
        {"problem": {"task": "regression", "target": "cnt"}},
        {
            ("warning", "row-order", "cnt"),
            ("note", "duplicates", None),
            ("note", "outliers", "windspeed"),
        },
    ),
    "bike by rows": (
        "bike.csv",
        {"problem": {"task": "regression", "target": "cnt"}, "data": ROWS},
        {
            *BIKE_DRIFT,
            ("note", "row-order", None),
            ("note", "duplicates", None),
            ("note", "outliers", "windspeed"),
            ("note", "outliers", "cnt"),
        },
    ),
    "diamonds": (
        "diamonds.csv",
        {"problem": {"task": "regression", "target": "price"}},
        {("note", "outliers", name) for name in ("carat", "depth", "table", "price", "y", "z")}
        | {("note", "identifier", "rownames"), ("note", "row-order", None)},
    ),
    "penguins": (
        "penguins.csv",
        {"problem": {"task": "multiclass", "target": "species"}},
        {("note", "identifier", "rownames"), ("note", "row-order", None)},
    ),
    "mall-customers": (
        "mall-customers.csv",
        {"problem": {"task": "clustering"}, "prepare": {"drop_duplicates": False}},
        {("note", "row-order", None), ("note", "twins", "Gender")},
    ),
}

MESSAGES = {
    "adult": [
        "column 'workclass' has the missing marker ' ?' in 1836 of 32561 rows: read as missing",
        "288787 cells in 9 columns ('country', 'education', 'marital-status', 'occupation', ...) "
        "have blanks before or behind the value: they were trimmed, so ' a' and 'a' are one",
        "columns 'workclass' and 'occupation' are missing together in 1499 rows (99.7% of those "
        "that miss either): they share a cause",
        "columns 'education' and 'education-num' say the same (their values go one to one): one "
        "is enough",
        "24 of 32561 rows are equal to an earlier one in every column and stay, each with its "
        "equals on one side of every split",
        "5705 of 32561 rows are nearly equal to another, most of them but for column 'fnlwgt'; 771 "
        "of 1940 groups have rows on both sides of the sealed test set",
    ],
    "telco-churn": [
        "column 'TotalCharges' has only blanks in 11 of 7043 rows: read as missing",
        "column 'customerID' is left out (",
    ],
    "elec2": ["file order carries time: rows that stand together are alike in 'class' (0.43 of 1"],
    "elec2 by rows": ["file order carries time, as declared: rows that stand together are alike"],
    "bike": ["file order carries time: rows that stand together are alike in 'cnt' (0.75 of 1"],
    "bike by rows": ["file order carries time, as declared", "(ROC AUC 0.97, 0.5 is alike)"],
    "king-county": [
        "column 'Date' holds dates from 2014-05-02 to 2015-05-24 and no time is declared",
        "column 'ID' is left out (whole numbers, all different, named like an identifier)",
        "file order carries groups: rows that stand together are alike in 'Price'",
        "it does not go with the dates in 'Date'",
    ],
    "diamonds": ["the file is sorted by 'price': folds are dealt by hash"],
    "penguins": ["the file is sorted by 'species': folds are dealt by hash"],
    "mall-customers": ["the file is sorted by 'Annual Income(1,000s)'", "'Sex' and 'Gender'"],
}


@pytest.mark.parametrize("name", TABLES)
def test_the_findings_of_a_real_table(name: str, data_folder: Path, settings: Settings) -> None:
    file, sections, pinned = TABLES[name]
    data = {"sources": [{"path": str(data_folder / file)}], **sections.get("data", {})}
    record = run_prepare(Project.from_dict({**sections, "data": data}), settings)
    found = {(f["level"], f["law"], f["column"]) for f in record.findings}
    assert found == pinned
    said = "\n".join(f["message"] for f in record.findings)
    for words in MESSAGES.get(name, []):
        assert words in said
