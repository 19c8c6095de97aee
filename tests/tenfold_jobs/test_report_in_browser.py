"""Reports of real tables in a real browser: nothing refused, nothing fetched, nothing cut off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tenfold.project import Project
from tenfold.settings import Settings
from tenfold_jobs.prepare import run_prepare
from tests.chromium import open_page, overflow_px, print_pages

SECTIONS = (
    "findings", "columns", "each", "associations", "missing", "duplicates", "order", "splits",
    "quarantine", "cleaning", "snapshot",
)  # fmt: skip
PHONE_PX = 390
Table = tuple[dict[str, Any], dict[str, Any]]
TABLES: dict[str, Table] = {
    "adult.csv": ({"task": "binary", "target": "salary", "positive_class": ">50K"}, {}),
    "king-county.csv": ({"task": "regression", "target": "Price"}, {"time": "Date"}),
    "penguins.csv": ({"task": "multiclass", "target": "species"}, {}),
    "mall-customers.csv": ({"task": "clustering"}, {}),
}
MORE: dict[str, Table] = {
    "telco-churn.csv": ({"task": "binary", "target": "Churn"}, {}),
    "german-credit.csv": ({"task": "binary", "target": "class-label"}, {}),
    "elec2.csv": ({"task": "binary", "target": "class"}, {"time": {"order": "rows"}}),
    "bike.csv": ({"task": "regression", "target": "cnt"}, {"time": {"order": "rows"}}),
    "diamonds.csv": ({"task": "regression", "target": "price"}, {}),
}
"""The other real tables: three starts of the browser each, so with the slow tests."""


@pytest.mark.parametrize(
    "file", [*TABLES, *(pytest.param(file, marks=pytest.mark.slow) for file in MORE)]
)
def test_a_report_opens_whole(file: str, data_folder: Path, settings: Settings) -> None:
    problem, data = (TABLES | MORE)[file]
    sources = [{"path": str(data_folder / file)}]
    project = Project.from_dict({"problem": problem, "data": {"sources": sources, **data}})
    page = Path(run_prepare(project, settings).report)

    opened = open_page(page)
    assert opened.console == []
    assert opened.requests == []
    targeted = () if problem["task"] == "clustering" else ("target",)
    for section in (*SECTIONS, *targeted):
        assert f'id="{section}"' in opened.dom
    assert opened.dom.count('<section class="card"') == opened.dom.count("<h3>") > 3
    assert opened.dom.count("<svg") >= 3

    assert overflow_px(page, width_px=PHONE_PX) == 0
    assert print_pages(page) >= 2


def test_the_browser_would_have_told(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(
        "<div style='width:500px'>wide</div><img src='http://192.0.2.1/x.png'>"
        "<script>console.error('boo')</script>"
    )
    opened = open_page(page)
    assert len(opened.console) == 1 and '"boo"' in opened.console[0]
    assert opened.requests == ["http://192.0.2.1/x.png"]
    assert overflow_px(page, width_px=PHONE_PX) > 100
