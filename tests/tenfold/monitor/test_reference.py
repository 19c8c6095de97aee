from __future__ import annotations

import json

import numpy as np
import pytest

from tenfold.errors import ArtifactError
from tenfold.monitor import FrozenBins, LossRule, Reference, build_reference
from tenfold.monitor.reference import choose_block_rows
from tenfold.testing.streams import bins_of


def test_bytes_give_the_same_reference_back(reference: Reference) -> None:
    back = Reference.from_bytes(reference.to_bytes())
    assert back.to_bytes() == reference.to_bytes() and back.digest == reference.digest
    assert back.bins == reference.bins and back.loss == reference.loss


def test_shape_and_bag_come_from_different_blocks(reference: Reference) -> None:
    n_blocks = reference.n_rows // reference.block_rows
    assert reference.block_rows == 100 and n_blocks == 40
    assert reference.bag.sum(axis=1)[:-1].tolist() == [30] * 8
    assert reference.bag[-1].sum() == 7  # 1,000 scores are 10 blocks, three of them shape
    for part in reference.bins.split(reference.shape):
        assert part.sum() == pytest.approx(1.0)


def test_totals_count_every_row(reference: Reference) -> None:
    sums = [int(part.sum()) for part in reference.bins.split(reference.totals)]
    assert sums == [4000] * 8 + [1000]


def test_a_short_reference_still_works() -> None:
    rows = np.arange(150.0)[:, None]
    made = build_reference(bins_of(rows), rows)
    assert made.block_rows == 100 and made.bag.sum() == 0 and made.loss is None
    assert made.shape.sum() == pytest.approx(1.0)


def test_a_model_without_features_is_judged_by_its_scores() -> None:
    made = build_reference(FrozenBins(()), np.zeros((5, 0)), scores=np.linspace(0, 1, 900)[:, None])
    assert [column.name for column in made.bins.columns] == ["prediction"]


@pytest.mark.parametrize(
    ("n_rows", "wanted", "expected"),
    [(10, 500, 100), (4_000, 500, 100), (8_000, 500, 200), (40_000, 500, 500), (9, 50, 50)],
)
def test_blocks_shrink_for_short_references(n_rows: int, wanted: int, expected: int) -> None:
    assert choose_block_rows(n_rows, wanted=wanted) == expected


def test_limits_of_the_loss_shrink_with_rows() -> None:
    rows = np.zeros((10, 1))
    uppers = []
    for n in (100, 10_000):
        losses = (np.arange(n) % 10 == 0).astype(float)
        made = build_reference(bins_of(rows), rows, losses=losses, rule=LossRule("zero_one"))
        assert made.loss is not None
        uppers.append(made.loss.upper(delta=0.001))
    assert 0.1 < uppers[1] < 0.12 < uppers[0] < 0.3


def test_fractional_losses_get_a_bernstein_limit() -> None:
    rows = np.zeros((10, 1))
    losses = np.full(5000, 0.25)
    made = build_reference(bins_of(rows), rows, losses=losses, rule=LossRule("absolute", 2.0))
    assert made.loss is not None and 0.25 < made.loss.upper(delta=0.001) < 0.26


@pytest.mark.parametrize(
    ("losses", "rule", "words"),
    [([0.5], None, "rule"), ([2.0], LossRule("zero_one"), "in"), ([], LossRule("zero_one"), "in")],
)
def test_bad_losses_are_refused(losses: list[float], rule: LossRule | None, words: str) -> None:
    rows = np.zeros((10, 1))
    with pytest.raises(ValueError, match=words):
        build_reference(bins_of(rows), rows, losses=losses, rule=rule)


def test_no_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="with rows"):
        build_reference(bins_of(np.zeros((3, 1))), np.zeros((0, 1)))


@pytest.mark.parametrize(
    "change",
    [{"format_version": 99}, {"bins": {}}, {"block_rows": 0}, {"totals": {}}, {"loss": {}}],
)
def test_damage_is_named(reference: Reference, change: dict[str, object]) -> None:
    value = {**json.loads(reference.to_bytes()), **change}
    with pytest.raises(ArtifactError):
        Reference.from_bytes(json.dumps(value).encode())
    with pytest.raises(ArtifactError, match=r"reference\.json"):
        Reference.from_bytes(b"not json")
