"""The portfolio starts with the baseline and each family's best bet; the table orders the rest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tenfold.models import FAMILIES, Fit, Traits
from tenfold.project.measures import Task
from tenfold.training.evaluate import Config, Outcome
from tenfold.training.portfolio import Entry, portfolio
from tenfold.training.proposals import Proposals
from tenfold.training.question import Question


def question(*families: str, task: Task = Task.BINARY, traits: Traits | None = None) -> Question:
    classes = ("no", "yes") if task is Task.BINARY else ()
    metric = "roc_auc" if task is Task.BINARY else "rmse"
    return Question(task, classes, metric, False, 3, 0, families, traits=traits or Traits())


def test_the_first_bets_come_first_cheapest_family_first() -> None:
    entries = portfolio(question("linear", "boosting", "network"))
    firsts = [entry.family for entry in entries if entry.first]
    assert firsts == ["dummy", "linear", "boosting", "network"]
    assert [entry.first for entry in entries] == [True] * 4 + [False] * (len(entries) - 4)


def test_other_preparations_are_tried_one_at_a_time() -> None:
    asked = question("linear", "boosting", traits=Traits(70, skewed=True))
    entries = portfolio(asked)
    ways = [(e.family, e.params.get("many"), e.params.get("numbers")) for e in entries]
    assert ways[1:3] == [("linear", "onehot", "standard"), ("boosting", "target", None)]
    for way in (
        ("linear", "target", "standard"),
        ("linear", "onehot", "power"),
        ("boosting", "ordinal", None),
    ):
        assert ways.count(way) == 1


def test_a_family_that_is_not_asked_for_adds_nothing() -> None:
    assert {entry.family for entry in portfolio(question("linear"))} == {"dummy", "linear"}
    clusters = Question(Task.CLUSTERING, (), "silhouette", False, 3, 0, ("kmeans",))
    assert {entry.family for entry in portfolio(clusters)} == {"kmeans"}


@pytest.mark.parametrize(
    ("traits", "eta"),
    [(Traits(n_rows=100_000, n_columns=20), 0.02), (Traits(n_rows=500, n_columns=20), 0.09)],
)
def test_the_table_decides_the_order(traits: Traits, eta: float) -> None:
    def place(value: float) -> int:
        entries = portfolio(question("boosting", traits=traits))
        return next(i for i, e in enumerate(entries) if e.params.get("eta") == value)

    others = {0.02, 0.09} - {eta}
    assert all(place(eta) < place(other) for other in others)


@pytest.mark.parametrize("task", [Task.BINARY, Task.REGRESSION])
def test_most_of_boosting_lies_in_its_space(task: Task) -> None:
    """So its sampler learns from them; both ways to grow a tree are among them."""
    asked = question("boosting", task=task)
    proposals = Proposals(asked)
    for number, entry in enumerate(portfolio(asked)):
        proposals.learn(Config(number, entry.family, entry.params), Outcome(number, 0.5))
    known = [trial.params["boosting.grow_policy"] for trial in proposals.study("boosting").trials]
    assert len(known) >= 5
    assert set(known) == {"depthwise", "lossguide"}


@pytest.mark.parametrize("task", [Task.BINARY, Task.REGRESSION])
def test_every_entry_can_be_fitted_converted_and_cut(task: Task) -> None:
    """Also those with leaf-wise growth and several trees a round."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int64) if task is Task.BINARY else np.exp(x[:, 0].astype(float))
    asked = question("linear", "boosting", task=task)

    def fit(entry: Entry) -> None:
        params = dict(entry.params)
        if "rounds" in params or entry.family == "boosting":
            params["rounds"] = 4
        k = len(asked.classes)
        model = FAMILIES[entry.family].fit(
            Fit(x[:250], y[:250], task.value, k, params, 0, 1, valid=(x[250:], y[250:]))
        )
        assert np.isfinite(model.predict(x)).all()
        assert model.to_onnx() is not None

    for entry in portfolio(replace(asked, traits=Traits(n_rows=300))):
        if entry.family != "dummy":
            fit(entry)
