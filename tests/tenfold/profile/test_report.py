from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tenfold.profile import Profile
from tenfold.profile.course import Axis
from tenfold.profile.distinct import hash_numbers
from tenfold.profile.numbers import Moments
from tenfold.profile.report import render_report, report_numbers, write_report
from tenfold.profile.survey import Survey
from tenfold.schema import Column, Kind, Role, Schema

MakeTable = Callable[..., pa.Table]
EVIL = "<script>alert('x')</script>\"&{{7*7}}"
LARGEST_BYTES = 1_000_000
"""Of fifty columns; measured: 0.53 MB."""


class Page(HTMLParser):
    """The elements, attributes and words of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def survey_of(table: pa.Table, schema: Schema) -> Survey:
    positions = np.arange(table.num_rows)
    return Survey.from_table(
        table,
        schema,
        axis=Axis.of_rows(table.num_rows),
        hashes=hash_numbers(positions.astype(np.float64)),
        positions=positions,
    )


def write(path: Path, schema: Schema, table: pa.Table, **more: object) -> Page:
    cut = table.num_rows // 4
    profiles = {
        -1: Profile.from_table(table.slice(0, cut), schema),
        0: Profile.from_table(table.slice(cut), schema),
    }
    survey = survey_of(table.slice(cut), schema)
    numbers = write_report(
        path, project="p", task="binary", schema=schema, profiles=profiles, survey=survey, **more
    )  # type: ignore[arg-type]
    assert json.loads(path.with_suffix(".json").read_bytes()) == json.loads(json.dumps(numbers))
    return Page(path.read_text())


@pytest.mark.parametrize("which", ["class_schema", "number_schema", "bare_schema"])
@pytest.mark.parametrize("n_rows", [4, 400])
def test_a_page_for_every_kind_of_table(
    request: pytest.FixtureRequest, make_table: MakeTable, tmp_path: Path, which: str, n_rows: int
) -> None:
    schema: Schema = request.getfixturevalue(which)
    table = make_table(schema, n_rows)
    page = write(tmp_path / "new" / "report.html", schema, table, snapshot={"n_duplicates": 3})
    text = " ".join(page.words)
    for name in ("Findings", "Associations", "Missing values", "Duplicates", "File order",
                 "Splits", "Quarantine", "Cleaning", "city", "No row was set"):  # fmt: skip
        assert name in text


def test_no_text_of_the_data_becomes_markup(tmp_path: Path) -> None:
    schema = Schema((
        Column(EVIL, Kind.CATEGORY),
        Column("n" + EVIL, Kind.NUMBER),
        Column("gone", Kind.TEXT, Role.IGNORED, evidence=EVIL),
        Column("y", Kind.CATEGORY, Role.TARGET, domain=(EVIL, "no")),
    ))  # fmt: skip
    table = pa.table({
        EVIL: [EVIL, "b", None, "c"] * 30,
        "n" + EVIL: pa.array([1.0, None, 2.0, 3.0] * 30),
        "y": [EVIL, "no"] * 60,
    })  # fmt: skip
    path = tmp_path / "r.html"
    page = write(
        path, schema, table,
        quarantine={EVIL: 2}, snapshot={EVIL: EVIL}, positive_class=EVIL,
        cleaning={"trim": True, "columns": {EVIL: {"padded": 1, "dressed": 1,
                                                   "missing": {EVIL: 1}}}},
    )  # fmt: skip
    assert "script" not in page.tags
    assert not any(name.startswith("on") for name, _ in page.attributes)
    assert "<script" not in path.read_text() and "7*7" in path.read_text()
    assert sum(EVIL in words for words in page.words) >= 5


def test_a_page_reaches_for_nothing_outside(
    class_schema: Schema, make_table: MakeTable, tmp_path: Path
) -> None:
    page = write(tmp_path / "r.html", class_schema, make_table(class_schema, 100))
    assert not {"script", "link", "iframe", "img", "object"} & set(page.tags)
    reaching = [v for n, v in page.attributes if n in ("href", "src") and not v.startswith("#")]
    assert reaching == []
    assert "http" not in (tmp_path / "r.html").read_text().replace("http-equiv", "")
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'; img-src data:") in (
        page.attributes
    )


def test_every_inner_link_has_its_place(
    class_schema: Schema, make_table: MakeTable, tmp_path: Path
) -> None:
    page = write(tmp_path / "r.html", class_schema, make_table(class_schema, 300))
    places = {value for name, value in page.attributes if name == "id"}
    links = {value[1:] for name, value in page.attributes if name == "href"}
    assert links <= places and "findings" in links


def test_fifty_columns_are_less_than_a_megabyte(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    numbers = {f"number {i}": rng.lognormal(size=2000) for i in range(25)}
    cities = np.array([f"a rather long category name {i}" for i in range(40)])
    categories = {f"category {i}": cities[rng.integers(0, 40, 2000)] for i in range(24)}
    classes = tuple(f"class {i}" for i in range(6))
    target = {"y": np.array(classes)[rng.integers(0, 6, 2000)]}
    schema = Schema((
        *(Column(name, Kind.NUMBER) for name in numbers),
        *(Column(name, Kind.CATEGORY) for name in categories),
        Column("y", Kind.CATEGORY, Role.TARGET, domain=classes),
    ))  # fmt: skip
    write(tmp_path / "r.html", schema, pa.table(numbers | categories | target))
    assert (tmp_path / "r.html").stat().st_size < LARGEST_BYTES


def test_extreme_numbers_are_drawn(tmp_path: Path) -> None:
    schema = Schema((
        Column("huge", Kind.NUMBER), Column("tiny", Kind.NUMBER), Column("one", Kind.NUMBER),
        Column("never", Kind.DATETIME), Column("y", Kind.NUMBER, Role.TARGET),
    ))  # fmt: skip
    table = pa.table({
        "huge": [1e308, -1e308, 1.7e308, None] * 30, "tiny": [5e-324, 0.0, -5e-324, None] * 30,
        "one": [7.0] * 120, "y": [1e308, -1e308, 0.0, 1.0] * 30,
        "never": pa.array([2**62, -(2**62), 0, None] * 30).cast(pa.timestamp("us", tz="UTC")),
    })  # fmt: skip
    write(tmp_path / "r.html", schema, table)
    text = (tmp_path / "r.html").read_text()
    assert not re.search(r"[\" ](nan|inf|-inf)[\" ,]", text)


def test_the_same_numbers_give_the_same_bytes(
    class_schema: Schema, make_table: MakeTable, tmp_path: Path
) -> None:
    table = make_table(class_schema, 300)
    for name in ("a.html", "b.html"):
        write(tmp_path / name, class_schema, table)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_columns_are_drawn_along_the_file_only_if_they_go_with_its_order(
    tmp_path: Path,
) -> None:
    schema = Schema((Column("walk", Kind.NUMBER), Column("noise", Kind.NUMBER)))
    rng = np.random.default_rng(0)
    noise = rng.normal(size=800)
    write(tmp_path / "r.html", schema, pa.table({"walk": np.cumsum(noise), "noise": noise}))
    cards = (tmp_path / "r.html").read_text().split('<section class="card"')[1:]
    assert ["along the file" in card for card in cards] == [True, False]


def test_columns_without_a_card_are_counted_too(
    class_schema: Schema, make_table: MakeTable, tmp_path: Path
) -> None:
    seen = {"rows": 400, "missing_share": 0.25, "distinct": 1234, "exact": False,
            "top": {"value": EVIL, "count": 77}}  # fmt: skip
    cleaning = {"trim": True, "columns": {}, "left_out": {"row": seen}}
    page = write(tmp_path / "r.html", class_schema, make_table(class_schema, 80), cleaning=cleaning)
    numbers = json.loads((tmp_path / "r.json").read_bytes())
    (row,) = numbers["left_out"]
    assert (row["name"], row["seen"]) == ("row", seen)
    assert numbers["cleaning"] == {"trim": True, "columns": {}}
    text = re.sub(r"\s+", " ", " ".join(page.words))
    assert "row ignored; 100 % unique strings 25% ≈ 1,234 <script>alert('x')</script>" in text
    assert "(77)" in text
    page = write(tmp_path / "s.html", class_schema, make_table(class_schema, 80))
    assert "100 % unique strings - - -" in re.sub(r"\s+", " ", " ".join(page.words))


def test_a_long_column_of_numbers_shows_the_values_of_its_sample(
    class_schema: Schema, make_table: MakeTable
) -> None:
    table = make_table(class_schema, 400)
    profile = Profile.from_table(table, class_schema)
    pay = profile.numbers["pay"]
    cells = replace(pay, moments=Moments(pay.count, pay.mean, pay.variance * pay.count))
    long = replace(profile, numbers={**profile.numbers, "pay": cells})
    spiked = table.set_column(
        table.column_names.index("pay"), "pay", pa.array([999.0] * 40 + [None] * 360)
    )
    numbers = report_numbers(
        project="p", task="binary", schema=class_schema, profiles={0: long},
        survey=survey_of(spiked, class_schema),
    )  # fmt: skip
    by_name = {column["name"]: column for column in numbers["columns"]}
    assert by_name["pay"]["top"] is None
    assert by_name["pay"]["top_sampled"] == {
        "rows": 40, "values": [{"value": 999.0, "count": 40, "share": 1.0}],
    }  # fmt: skip
    assert by_name["age"]["top_sampled"] is None and len(by_name["age"]["top"]) == 10
    page = render_report(numbers)
    assert "999 (100%), of 40 sampled rows" in page
    top = by_name["age"]["top"][0]
    assert f"{top['value']:.0f} ({100 * top['share']:.1f}%)" in page


def test_the_page_shows_the_numbers_it_is_given(
    class_schema: Schema, make_table: MakeTable
) -> None:
    profile = Profile.from_table(make_table(class_schema, 321), class_schema)
    numbers = report_numbers(project="p", task="binary", schema=class_schema, profiles={0: profile})
    numbers["rows"]["train"] = 987_654
    numbers["findings"] = [
        {"level": "error", "column": "age", "law": "leakage", "message": "said by the numbers"}
    ]
    text = re.sub(r"\s+", " ", " ".join(Page(render_report(numbers)).words))
    assert "987,654" in text and "error: leakage said by the numbers" in text
