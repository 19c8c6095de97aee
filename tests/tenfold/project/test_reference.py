from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from tenfold.project import Project
from tenfold.project.reference import reference_page

PAGE = Path(__file__).resolve().parents[3] / "docs" / "project-file.md"


def test_the_committed_page_is_what_the_models_say() -> None:
    assert PAGE.read_text() == reference_page()


def test_every_field_of_every_section_is_explained() -> None:
    def fields(model: type[BaseModel]) -> list[str]:
        return [name for name, field in model.model_fields.items() if not field.description]

    assert fields(Project) == []
    page = reference_page()
    for section in Project.model_fields:
        assert f"`{section}`" in page
    assert "|  |" not in page
