"""Units, decimal marks and orders of dates: decided from the whole column, kept in the schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tenfold.data import Snapshot, clean_table, prepare
from tenfold.data.infer import Declared, Hints, infer_schema
from tenfold.errors import DataError
from tenfold.schema import Column, Form, Kind, Schema
from tenfold.settings import Settings


def _column(values: list[str], **declared: Any) -> Column:
    hints = Hints(declared={"a": Declared(**declared)})
    return infer_schema(pa.table({"a": pa.array(values)}), hints).columns[0]


@pytest.mark.parametrize(
    ("values", "kind", "form", "evidence"),
    [
        (
            ["5%", "12.5 %", "0", "?"],
            Kind.NUMBER,
            Form("%"),
            "percentages as fractions (12% is 0.12) from 0 to 0.125, 1 of 4 missing",
        ),
        (["$5", "$1,234"], Kind.NUMBER, Form("$"), "amounts in $ from 5 to 1234"),
        (
            ["€ 1.234,50", "€ 3,20"],
            Kind.NUMBER,
            Form("€", "comma"),
            "amounts in € with a decimal comma from 3.2 to 1234.5",
        ),
        (["(1,234)", "5"], Kind.NUMBER, Form(), "numbers from -1234 to 5"),
        (
            ["$1.234", "$5"],
            Kind.NUMBER,
            Form("$", "undecided"),
            "amounts in $ from 1.234 to 5, 1 may be fractions or thousands: declare decimal",
        ),
        (
            ["3/4/2021", "25/12/2021", "2021-01-01", "5. Mai"],
            Kind.CATEGORY,
            Form(),
            "4 different texts in 4 values",
        ),
        (
            ["3/4/2021", "25/12/2021", "2021-01-01", "7 Oct 2020"],
            Kind.DATETIME,
            Form(dates="day_first"),
            "dates and times, day before month as 1 of 1 tell",
        ),
        (
            ["3/4/2021", "2021-01-01"],
            Kind.DATETIME,
            Form(),
            "dates and times, 1 may have day or month first: declare dates",
        ),
        (
            ["1.5", "#DIV/0!", "#N/A", "2", "#N/A"],
            Kind.NUMBER,
            Form(),
            "numbers from 1.5 to 2, 3 of 5 missing (#N/A 2, #DIV/0! 1)",
        ),
    ],
)
def test_what_was_found_is_kept_and_said(
    values: list[str], kind: Kind, form: Form, evidence: str
) -> None:
    column = _column(values)
    assert (column.kind, column.form, column.evidence) == (kind, form, evidence)
    assert Schema.from_dict(Schema((column,)).to_dict()).columns[0] == column


def test_what_the_project_declares_wins() -> None:
    assert _column(["$1.234", "$5"], decimal="comma").form == Form("$", "comma")
    assert _column(["$1.234", "$5"], decimal="comma").maximum == 1234.0
    assert _column(["3/4/2021"] * 2, dates="month_first").form == Form(dates="month_first")
    serial = _column(["44197", "44198.5", "2021-02-01"], dates="excel")
    assert (serial.kind, serial.form) == (Kind.DATETIME, Form(dates="excel"))
    assert (serial.minimum, serial.maximum) == (1609459200.0, 1612137600.0)
    table, problems = clean_table(pa.table({"a": ["44197", "2021-02-01", "3"]}), Schema((serial,)))
    assert [str(value) for value in table["a"].to_pylist()] == [
        "2021-01-01 00:00:00+00:00",
        "2021-02-01 00:00:00+00:00",
        "None",
    ]
    assert problems["reason"].to_pylist() == ["is not a date or time"]
    typed, _ = clean_table(pa.table({"a": [44197.0, None, 3.0]}), Schema((serial,)))
    assert typed["a"].to_pylist()[0].isoformat() == "2021-01-01T00:00:00+00:00"
    assert typed["a"].null_count == 2


def test_a_plain_form_leaves_no_trace_so_old_digests_hold() -> None:
    plain = Schema((Column("a", Kind.NUMBER),))
    assert "form" not in plain.to_dict()["columns"][0]
    assert plain.digest() != Schema((Column("a", Kind.NUMBER, form=Form("%")),)).digest()


def test_cells_that_read_in_two_ways_have_a_reason_of_their_own() -> None:
    schema = Schema(
        (
            Column("cost", Kind.NUMBER, form=Form("$", "undecided")),
            Column("day", Kind.DATETIME),
        )
    )
    raw = pa.table({"cost": ["$1.234", "five", "$5"], "day": ["2021-01-01", "3/4/2021", "x"]})
    _, problems = clean_table(raw, schema)
    assert problems.select(["position", "value", "reason"]).to_pylist() == [
        {"position": 2, "value": "five", "reason": "is not a number"},
        {
            "position": 1,
            "value": "$1.234",
            "reason": "may be a fraction or thousands; declare decimal for the column",
        },
        {"position": 3, "value": "x", "reason": "is not a date or time"},
        {
            "position": 2,
            "value": "3/4/2021",
            "reason": "may have its day or its month first; declare dates for the column",
        },
    ]


@pytest.fixture
def sales(tmp_path: Path) -> Path:
    """60,000 sales in three pieces; only the last row tells that months come first."""
    random = np.random.default_rng(5)
    rows = ["when,rate,cost,y"]
    for row in range(60_000):
        when = f"{1 + row % 12}/{1 + row % 11}/2021"
        rate = f"{row % 100}%"
        cost = f'"${random.integers(1000, 9999):,}.50"'
        rows.append(f"{when},{rate},{cost} , {'yes' if row % 3 else 'no'} in the year of sale")
    rows.append('12/31/2021,(5%),"($7.25)",yes in the year of sale')
    path = tmp_path / "sales.csv"
    path.write_text("\n".join(rows))
    return path


def test_the_last_row_decides_for_the_first(
    sales: Path, settings: Settings, make_project: Any
) -> None:
    snapshot = prepare(make_project(sales), settings=settings)
    assert len(snapshot.manifest["blocks"]) >= 3
    forms = {column.name: column.form for column in snapshot.schema.columns}
    assert forms == {
        "when": Form(dates="month_first"),
        "rate": Form("%"),
        "cost": Form("$"),
        "y": Form(),
    }
    table = snapshot.table()
    assert snapshot.n_quarantined == 0
    assert table["when"][1].as_py().isoformat() == "2021-02-02T00:00:00+00:00"
    assert table["when"][-1].as_py().isoformat() == "2021-12-31T00:00:00+00:00"
    assert table["rate"][7].as_py() == 0.07
    assert (table["rate"][-1].as_py(), table["cost"][-1].as_py()) == (-0.05, -7.25)
    raw = pa.table({"when": ["3/4/2021"], "rate": ["8%"], "cost": ["9"], "y": [None]})
    again, problems = clean_table(raw, Snapshot.open(snapshot.path).schema)
    assert problems.num_rows == 0
    assert (again["rate"][0].as_py(), again["when"][0].as_py().month) == (0.08, 3)


def test_dates_that_nothing_tells_stop_with_the_remedy_and_declared_they_go_on(
    tmp_path: Path, settings: Settings, make_project: Any
) -> None:
    path = tmp_path / "t.csv"
    rows = [f"{1 + n % 12}/{1 + n % 11}/2021,{n},{'no' if n % 3 else 'yes'}" for n in range(300)]
    path.write_text("\n".join(["when,x,y", *rows]))
    with pytest.raises(DataError) as caught:
        prepare(make_project(path), settings=settings)
    assert "column 'when' may have its day or its month first; declare dates for the column" in str(
        caught.value
    )
    declared = make_project(path, data={"columns": {"when": {"dates": "day_first"}}})
    when = prepare(declared, settings=settings).table()["when"]
    assert (when[2].as_py().day, when[2].as_py().month) == (3, 3)
    assert (when[11].as_py().day, when[11].as_py().month) == (12, 1)


def test_what_an_endpoint_recorded_is_read_as_programs_write(tmp_path: Path) -> None:
    schema = Schema(
        (
            Column("rate", Kind.NUMBER, form=Form("%")),
            Column("cost", Kind.NUMBER, form=Form("€", "comma")),
            Column("day", Kind.DATETIME, form=Form(dates="day_first")),
        )
    )
    recorded = pa.table({"rate": ["0.12"], "cost": ["1.234"], "day": ["2021-03-04T00:00:00Z"]})
    table, problems = clean_table(recorded, schema.as_machines_write())
    assert problems.num_rows == 0
    assert (table["rate"][0].as_py(), table["cost"][0].as_py()) == (0.12, 1.234)
    assert table["day"][0].as_py().month == 3
    assert clean_table(recorded, schema)[1]["value"].to_pylist() == ["0.12"]
