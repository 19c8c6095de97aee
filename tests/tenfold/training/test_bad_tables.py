"""Tables that break careless trainers: every one ends with a model, the baseline, or a sentence."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from tenfold.errors import DataError
from tenfold.profile import Profile
from tenfold.project import Project
from tenfold.project.measures import Task, default_metric
from tenfold.schema import Column, Kind, Role, Schema
from tenfold.training.answer import Answer
from tenfold.training.evaluate import Fate
from tenfold.training.finish import Finished, finish
from tenfold.training.question import Question, make_question, traits_of
from tenfold.training.rows import encode_rows
from tenfold.training.search import Limits, Material, SearchResult, search_inline

FAMILIES = ("linear", "boosting")
N_FOLDS = 3

Table = dict[str, object]


def searched(
    columns: tuple[Column, ...],
    table: Table,
    task: Task,
    *,
    folds: np.ndarray,
    classes: tuple[str, ...] = (),
    trials: int = 2,
) -> tuple[SearchResult, Finished]:
    """The whole way in this process: profiles, search, last fit, test rows."""
    n_rows = len(folds)
    rng = np.random.default_rng(0)
    rows = pa.table({**table, "__row": np.arange(n_rows), "__fold": folds.astype(np.int8)})
    hashes = pa.array([rng.bytes(16) for _ in range(n_rows)], pa.binary(16))
    rows = rows.append_column("__hash", hashes)
    schema = Schema(columns)
    profiles = {
        int(fold): Profile.from_table(rows.filter(pa.array(folds == fold)), schema)
        for fold in np.unique(folds)
    }
    question = Question(
        task, classes, default_metric(task), False, N_FOLDS, 0, FAMILIES,
        traits=traits_of(schema, profiles),
    )  # fmt: skip
    encoded = encode_rows(question, schema, rows).in_hash_order()
    material = Material(encoded.training, profiles, schema, question, 1)
    found = search_inline(material, Limits(trials=trials, seconds=None))
    best = found.best
    finished = finish(
        material, encoded.test,
        Answer.single(best.config.family, best.config.params, rounds=best.outcome.rounds),
        oof=found.oof, block_rows=20,
    )  # fmt: skip
    return found, finished


def folds_of(n_rows: int, *, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(-1, N_FOLDS, n_rows)


def target(*classes: str) -> Column:
    if not classes:
        return Column("y", Kind.NUMBER, Role.TARGET)
    return Column("y", Kind.CATEGORY, Role.TARGET, domain=classes)


def numbers(n: int) -> tuple[Column, ...]:
    return tuple(Column(f"x{k}", Kind.NUMBER) for k in range(n))


def test_a_fold_of_one_class() -> None:
    """It cannot rank its rows; the others judge."""
    rng = np.random.default_rng(2)
    folds, x = folds_of(300), rng.normal(size=300)
    y = np.where((x > 0) & (folds != 1), "yes", "no")
    found, finished = searched(
        (*numbers(1), target("no", "yes")), {"x0": x, "y": y}, Task.BINARY,
        folds=folds, classes=("no", "yes"),
    )  # fmt: skip
    assert {t.outcome.fate for t in found.tried} == {Fate.SCORED}
    assert [np.isnan(score) for score in found.best.outcome.fold_scores] == [False, True, False]
    assert found.best.outcome.score > 0.8
    assert finished.metrics["roc_auc"].value > 0.8


@pytest.mark.parametrize("task", [Task.BINARY, Task.REGRESSION])
def test_thirty_rows(task: Task) -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=30)
    classes = ("no", "yes") if task is Task.BINARY else ()
    y: object = np.where(x > 0, "yes", "no") if classes else 3.0 * x
    found, finished = searched(
        (*numbers(1), target(*classes)), {"x0": x, "y": y}, task,
        folds=np.arange(30) % 4 - 1, classes=classes,
    )  # fmt: skip
    assert found.best.config.family in FAMILIES
    assert finished.n_test == 8


@pytest.mark.slow
def test_five_thousand_columns() -> None:
    """Wide and short: fitted, and with fewer columns where that is drawn."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(120, 5000)).astype(np.float32).astype(np.float64)
    y = np.where(x[:, 7] + 0.1 * rng.normal(size=120) > 0, "yes", "no")
    found, finished = searched(
        (*numbers(5000), target("no", "yes")),
        {**{f"x{k}": x[:, k] for k in range(5000)}, "y": y},
        Task.BINARY,
        folds=folds_of(120),
        classes=("no", "yes"),
    )
    assert found.best.config.family in FAMILIES
    assert found.best.outcome.score > 0.7
    assert len(finished.preprocessor.schema.features) == 5000


def test_a_constant_number_to_predict() -> None:
    """Nothing beats the baseline, which is right."""
    rng = np.random.default_rng(5)
    found, finished = searched(
        (*numbers(2), target()),
        {"x0": rng.normal(size=200), "x1": rng.normal(size=200), "y": np.full(200, 4.0)},
        Task.REGRESSION,
        folds=folds_of(200),
    )
    assert found.best.outcome.score == pytest.approx(0.0, abs=1e-6)
    assert finished.metrics["rmse"].value == pytest.approx(0.0, abs=1e-6)


def test_a_constant_class_to_predict() -> None:
    """One class is no question: it is told before anything is fitted."""
    project = Project.from_dict(
        {
            "problem": {"task": "binary", "target": "y"},
            "data": {"sources": [{"path": "a.csv"}]},
        }
    )
    with pytest.raises(DataError, match="exactly two classes, column 'y' has 1"):
        make_question(project, Schema((*numbers(1), target("no"))), ordered=False)


def test_ten_thousand_categories() -> None:
    rng = np.random.default_rng(6)
    names = tuple(f"shop {k:05d}" for k in range(10_000))
    worth = rng.normal(size=10_000)
    shop = np.r_[np.arange(10_000), rng.integers(0, 10_000, 20_000)]
    y = worth[shop] + 0.3 * rng.normal(size=30_000)
    found, finished = searched(
        (Column("shop", Kind.CATEGORY, domain=names), target()),
        {"shop": np.array(names)[shop], "y": y},
        Task.REGRESSION,
        folds=folds_of(30_000),
        trials=3,
    )
    assert found.best.outcome.score < 0.98 * found.tried[0].outcome.score
    assert finished.metrics["rmse"].value < found.tried[0].outcome.score


def test_one_positive_in_a_thousand() -> None:
    rng = np.random.default_rng(7)
    x = rng.normal(size=(12_000, 3))
    y = np.full(12_000, "no", dtype=object)
    y[np.argsort(x[:, 0] + 0.3 * rng.normal(size=12_000))[-12:]] = "yes"
    found, finished = searched(
        (*numbers(3), target("no", "yes")),
        {**{f"x{k}": x[:, k] for k in range(3)}, "y": y.astype(str)},
        Task.BINARY,
        folds=folds_of(12_000),
        classes=("no", "yes"),
    )
    assert found.best.outcome.score > 0.9
    assert finished.threshold is not None
    assert finished.threshold < 0.5


def test_so_few_positives_that_no_fold_has_both_classes() -> None:
    """All folds together are judged then."""
    rng = np.random.default_rng(8)
    folds = np.arange(400) % 4 - 1
    y = np.full(400, "no", dtype=object)
    y[[0, 4]] = "yes"  # in the sealed rows
    y[[1, 5]] = "yes"  # in fold 0
    found, _ = searched(
        (*numbers(1), target("no", "yes")),
        {"x0": np.where(y == "yes", 3.0, 0.0) + rng.normal(size=400), "y": y.astype(str)},
        Task.BINARY,
        folds=folds,
        classes=("no", "yes"),
    )
    assert len([s for s in found.best.outcome.fold_scores if np.isfinite(s)]) == 1
