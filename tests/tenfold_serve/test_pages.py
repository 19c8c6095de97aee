"""The pages say what this model takes and answers, whatever its columns are called."""

from __future__ import annotations

import dataclasses
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from tenfold.artifact import Manifest, file_entries
from tenfold.schema import Column, Kind, Role, Schema
from tenfold.testing.artifacts import small_files
from tenfold_serve.openapi import openapi
from tenfold_serve.pages import docs_page


def manifest_of(family: str = "boosting") -> Manifest:
    files, draft = small_files(family)
    return draft.sealed(file_entries(files))


@pytest.fixture(scope="module")
def manifests() -> dict[str, Manifest]:
    return {family: manifest_of(family) for family in ("boosting", "dummy", "kmeans")}


def document_of(manifest: Manifest) -> dict[str, Any]:
    return openapi(manifest, project="mixed", version=3, max_rows=50)


def references(value: Any) -> set[str]:
    return set(re.findall(r'"\$ref": "#/components/schemas/(\w+)"', json.dumps(value)))


@pytest.mark.parametrize("family", ["boosting", "dummy", "kmeans"])
def test_every_reference_leads_somewhere_and_every_schema_is_used(
    manifests: dict[str, Manifest], family: str
) -> None:
    document = json.loads(json.dumps(document_of(manifests[family])))
    assert references(document) == set(document["components"]["schemas"])


def test_the_document_names_model_version_digest_and_limit(
    manifests: dict[str, Manifest],
) -> None:
    manifest = manifests["boosting"]
    document = document_of(manifest)
    assert document["openapi"] == "3.1.0"
    assert document["info"] == {
        "title": "mixed",
        "version": "3",
        "description": f"Version 3, model digest {manifest.model_digest}.",
    }
    assert document["servers"] == [{"url": "/mixed"}]
    rows = document["components"]["schemas"]["PredictRequest"]["properties"]["rows"]
    assert rows["maxItems"] == 50


def test_paths_are_those_of_the_endpoint(manifests: dict[str, Manifest]) -> None:
    found = {
        (path, method)
        for path, methods in document_of(manifests["boosting"])["paths"].items()
        for method in methods
    }
    assert found == {
        ("/predict", "post"), ("/feedback", "post"), ("/healthz", "get"), ("/readyz", "get"),
        ("/metrics", "get"), ("/v2", "get"), ("/v2/health/live", "get"),
        ("/v2/health/ready", "get"), ("/v2/models/mixed", "get"),
        ("/v2/models/mixed/ready", "get"), ("/v2/models/mixed/infer", "post"),
        ("/v2/models/mixed/versions/{version}", "get"),
        ("/v2/models/mixed/versions/{version}/ready", "get"),
        ("/v2/models/mixed/versions/{version}/infer", "post"),
    }  # fmt: skip
    assert "/feedback" not in document_of(manifests["kmeans"])["paths"]


def test_answers_and_refusals_are_told_with_their_forms(manifests: dict[str, Manifest]) -> None:
    paths = document_of(manifests["boosting"])["paths"]
    predict, feedback = paths["/predict"]["post"], paths["/feedback"]["post"]
    assert (predict["operationId"], feedback["operationId"]) == ("predict", "feedback")
    assert {"200", "400", "401", "403", "406", "413", "415", "429", "503"} <= set(
        predict["responses"]
    )
    assert {"202", "400", "401", "403", "413", "415", "503", "507"} <= set(feedback["responses"])
    assert references(predict["responses"]["200"]) == {"PredictResponse", "PredictColumnsResponse"}
    assert references(feedback["responses"]["202"]) == {"FeedbackResponse"}
    assert references(feedback["requestBody"]) == {"FeedbackRequest"}
    for code in ("400", "413", "503"):
        assert references(predict["responses"][code]) == {"Error"}


@pytest.mark.parametrize(
    ("family", "label"),
    [("boosting", {"type": "string", "enum": ["no", "yes"]}), ("dummy", {"type": "number"})],
)
def test_a_label_is_what_the_model_answers(
    manifests: dict[str, Manifest], family: str, label: dict[str, object]
) -> None:
    schemas = document_of(manifests[family])["components"]["schemas"]
    assert schemas["Label"]["properties"]["label"] == label
    assert schemas["Label"]["required"] == ["id", "label"]
    statuses = schemas["FeedbackResponse"]["properties"]["items"]["items"]["properties"]["status"]
    assert statuses == {"enum": ["accepted", "duplicate", "unknown", "malformed"]}


class Page(HTMLParser):
    """The texts of a page by tag, the tags it holds and what it asks from elsewhere."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._open.append(tag)
        self.links += [str(value) for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts.setdefault(self._open[-1], []).append(data)


def test_the_page_shows_columns_kinds_and_an_example(manifests: dict[str, Manifest]) -> None:
    document = document_of(manifests["boosting"])
    page = Page(docs_page(document))
    row = document["components"]["schemas"]["Row"]
    assert page.texts["code"][: len(row["properties"])] == list(row["properties"])
    cells = [text for text in page.texts["td"] if text.strip()]
    for kind in ("number", "integer", "boolean", "string"):
        assert kind in cells
    assert cells.count("optional") == len(row["properties"]) - len(row["required"]) == 1
    (example,) = page.texts["textarea"]
    assert json.loads(example) == document["components"]["schemas"]["PredictRequest"]["example"]
    assert document["info"]["description"] in "".join(page.texts["p"])


def test_the_page_asks_nothing_from_elsewhere(manifests: dict[str, Manifest]) -> None:
    text = docs_page(document_of(manifests["boosting"]))
    assert Page(text).links == ["openapi.json", "readyz", "metrics"]
    assert b"//" not in re.sub(rb"<!doctype[^>]*>", b"", text)


@pytest.mark.parametrize(("family", "shown"), [("boosting", "no"), ("dummy", 1.0)])
def test_the_page_shows_how_to_send_a_label(
    manifests: dict[str, Manifest], family: str, shown: object
) -> None:
    page = Page(docs_page(document_of(manifests[family])))
    bodies = [text for text in page.texts["pre"] if '"labels"' in text]
    assert [json.loads(body) for body in bodies] == [{"labels": [{"id": "…", "label": shown}]}]


def test_segments_take_no_labels(manifests: dict[str, Manifest]) -> None:
    assert b"feedback" not in docs_page(document_of(manifests["kmeans"]))


def test_hostile_names_are_text(manifests: dict[str, Manifest]) -> None:
    evil = '</textarea><script>alert("{x}")</script>'
    schema = Schema(
        (
            Column(evil, Kind.CATEGORY, domain=(evil, "b")),
            Column("y", Kind.CATEGORY, Role.TARGET, domain=(evil, "ok")),
        )
    )
    manifest = dataclasses.replace(manifests["boosting"], schema=schema, classes=(evil, "ok"))
    document = openapi(manifest, project=evil, version=1, max_rows=1)
    page = Page(docs_page(document))
    plain = Page(docs_page(document_of(manifests["boosting"])))
    assert page.tags.count("script") == plain.tags.count("script") == 1
    assert page.texts["title"] == [evil]
    assert page.texts["code"][0] == evil
    (example,) = page.texts["textarea"]
    assert json.loads(example) == {"rows": [{evil: evil}]}
