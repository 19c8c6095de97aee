"""Rows come in hash order whatever the blocks; a sample by hash is the same sample."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from tenfold.data import prepare
from tenfold.errors import DataError
from tenfold.profile import Profile
from tenfold.project import Project
from tenfold.project.measures import Task
from tenfold.schema import Column, Kind, Role, Schema
from tenfold.settings import Settings
from tenfold.training.question import make_question, rarer_class
from tenfold.training.rows import load_rows, stream_rows


def project_of(**problem: object) -> Project:
    body = {
        "problem": {"task": "binary", "target": "y", **problem},
        "data": {"sources": [{"path": "t.csv"}]},
    }
    return Project.from_dict(body)


def schema_of(*classes: str) -> Schema:
    y = Column("y", Kind.CATEGORY, Role.TARGET, domain=classes)
    return Schema((Column("x", Kind.NUMBER), y))


def test_the_positive_class_is_always_the_last_column() -> None:
    first = make_question(project_of(positive_class="a"), schema_of("a", "b"), ordered=False)
    assert first.classes == ("b", "a")
    other = make_question(project_of(positive_class="b"), schema_of("a", "b"), ordered=False)
    assert other.classes == ("a", "b")


def test_without_a_named_class_the_rarer_one_is_positive() -> None:
    schema = schema_of("a", "b")
    table = pa.table({"x": [1.0, 2.0, 3.0], "y": ["b", "b", "a"]})
    profiles = {0: Profile.from_table(table, schema)}
    assert rarer_class(schema, profiles) == "a"
    question = make_question(project_of(), schema, ordered=False, positive="a")
    assert question.classes == ("b", "a")


@pytest.mark.parametrize("classes", [("a",), ("a", "b", "c")])
def test_a_binary_task_needs_two_classes(classes: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match="needs exactly two classes"):
        make_question(project_of(), schema_of(*classes), ordered=False)


def test_loading_is_in_hash_order_and_samples_are_nested(settings: Settings) -> None:
    settings.home.mkdir(parents=True)
    rng = np.random.default_rng(0)
    lines = [f"{v:.9f},{'ab'[int(v > 0)]}" for v in rng.normal(size=2000)]
    (settings.home / "t.csv").write_text("x,y\n" + "\n".join(lines) + "\n")
    project = project_of().at(settings.home)
    snapshot = prepare(project, settings=settings)
    question = make_question(project, snapshot.schema, ordered=False)
    assert question.task is Task.BINARY
    rows = load_rows(snapshot, question)
    assert rows.n_rows == 2000
    assert list(rows.hashes) == sorted(rows.hashes)
    assert rows.training.n_rows + rows.test.n_rows == 2000
    assert set(np.unique(rows.training.fold)) == set(range(snapshot.n_folds))
    sample = load_rows(snapshot, question, max_rows=500)
    assert 400 < sample.n_rows < 600
    assert np.array_equal(sample.position, rows.position[: sample.n_rows])
    assert sum(part.n_rows for part in stream_rows(snapshot, question)) == 2000
    table = snapshot.table()
    by_place = dict(zip(table["__row"].to_pylist(), table["x"].to_pylist(), strict=True))
    assert [by_place[p] for p in rows.position.tolist()] == rows.codes[:, 0].tolist()
    assert isinstance(table, pa.Table)
