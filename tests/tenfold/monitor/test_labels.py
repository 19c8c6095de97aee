from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from tenfold.monitor import Joined, Label, LabelJoiner, LabelStatus, Predicted, Predictions
from tenfold.monitor.labels import MAX_SOURCES, standing

DAY = 86_400.0


def predicted(name: str, at_s: float = 0.0) -> Predicted:
    return Predicted(name, 1, "yes", 0.9, at_s)


def take(joiner: LabelJoiner, *rows: Predicted) -> list[Joined]:
    return joiner.predicted(Predictions.of(rows))


def statuses(joiner: LabelJoiner, *labels: Label) -> list[str]:
    return [joiner.label(label).status.value for label in labels]


def test_a_table_of_labels_for_one_prediction() -> None:
    joiner = LabelJoiner()
    take(joiner, predicted("a"))
    assert statuses(
        joiner,
        Label("a", "yes", 10.0, "shop", 100.0),
        Label("a", "yes", 99.0, "bank", 101.0),  # the same word, whoever says it
        Label("a", "no", 20.0, "shop", 102.0),  # the same source, later
        Label("a", "yes", 15.0, "shop", 103.0),  # the same source, observed before
        Label("a", "yes", 30.0, "bank", 104.0),  # another source
        Label("a", "no", 40.0, "bank", 105.0),
    ) == ["accepted", "duplicate", "revised", "contradicting", "contradicting", "duplicate"]
    assert joiner.counts["shop", "accepted"] == 1
    assert joiner.counts["bank", "contradicting"] == 1


SAID = st.lists(
    st.builds(
        Label,
        id=st.just("a"),
        value=st.sampled_from(["yes", "no", "maybe"]),
        observed_s=st.integers(0, 4).map(float),
        source=st.sampled_from(["bank", "post", "shop"]),
        received_s=st.integers(0, 4).map(float),
    ),
    min_size=1,
    max_size=7,
)


@given(said=SAID, order=st.randoms(use_true_random=False), early=st.integers(0, 7))
def test_what_counts_is_the_same_in_every_order_of_arrival(
    said: list[Label], order: Random, early: int
) -> None:
    """Live quality holds the word that training takes, whether labels overtook predictions or not;
    and each word that counted on the way was told: accepted once, then revised.
    """
    arrived = list(said)
    order.shuffle(arrived)
    joiner = LabelJoiner()
    for label in arrived[:early]:
        joiner.label(label)
    joined = take(joiner, predicted("a"))
    joined += [joiner.label(label) for label in arrived[early:]]
    assert joined[-1].value == standing(said).value == standing(arrived).value
    told = [j for j in joined if j.status in (LabelStatus.ACCEPTED, LabelStatus.REVISED)]
    assert told[-1].value == standing(said).value
    assert [j.status for j in told] == [LabelStatus.ACCEPTED] + [LabelStatus.REVISED] * (
        len(told) - 1
    )


@given(said=SAID)
def test_only_the_source_that_spoke_first_counts_and_its_newest_observation(
    said: list[Label],
) -> None:
    found = standing(said)
    first = min(said, key=lambda label: (label.received_s, label.source))
    assert found.source == first.source
    assert all(
        label.observed_s <= found.observed_s for label in said if label.source == found.source
    )


def test_a_crowd_of_sources_is_not_kept() -> None:
    joiner = LabelJoiner()
    take(joiner, predicted("a"))
    for number in range(1000):
        joiner.label(Label("a", "yes", 1.0, f"s{number:04}", float(number)))
    assert statuses(joiner, Label("a", "no", 2.0, "s0000", 2000.0)) == ["revised"]
    assert len(joiner._labels["a"]) <= 2 * MAX_SOURCES


def test_a_joined_label_carries_its_prediction() -> None:
    joiner = LabelJoiner()
    take(joiner, predicted("a", 5.0))
    joined = joiner.label(Label("a", "no", 6.0))
    assert joined.predicted == predicted("a", 5.0) and joined.label.value == "no"


def test_a_label_that_overtakes_its_prediction_waits() -> None:
    joiner = LabelJoiner()
    early = joiner.label(Label("a", "yes", 1.0))
    assert early.status is LabelStatus.UNKNOWN and early.predicted is None
    assert joiner.n_waiting == 1 and not joiner.counts
    settled = take(joiner, predicted("b"), predicted("a"))
    assert [(j.status, j.label.id) for j in settled] == [(LabelStatus.ACCEPTED, "a")]
    assert joiner.n_waiting == 0


def test_an_old_prediction_gets_a_late_label() -> None:
    joiner = LabelJoiner(late_s=DAY)
    take(joiner, predicted("a"))
    assert statuses(joiner, Label("a", "yes", DAY), Label("a", "yes", 0.0)) == [
        "accepted",
        "duplicate",
    ]
    take(joiner, predicted("b"))
    assert statuses(joiner, Label("b", "yes", DAY + 1)) == ["late"]


def test_the_index_is_bounded() -> None:
    joiner = LabelJoiner(max_predictions=3, max_waiting=2)
    take(joiner, *(predicted(f"p{i}") for i in range(5)))
    assert joiner.n_predictions == 3
    assert statuses(joiner, Label("p4", "yes", 0.0)) == ["accepted"]
    for name in ("x", "y", "z"):
        joiner.label(Label(name, "yes", 0.0, "shop"))
    assert joiner.n_waiting == 2
    assert joiner.counts["shop", "unknown"] == 1  # a counted loss, not a silent one
    assert take(joiner, predicted("x")) == []
    assert len(take(joiner, predicted("z"))) == 1


def test_a_prediction_heard_twice_changes_nothing() -> None:
    joiner = LabelJoiner()
    take(joiner, predicted("a", 1.0))
    joiner.label(Label("a", "yes", 2.0))
    assert take(joiner, predicted("a", 9.0)) == []
    assert statuses(joiner, Label("a", "yes", 2.0)) == ["duplicate"]


def test_a_forgotten_prediction_forgets_its_label() -> None:
    joiner = LabelJoiner(max_predictions=1)
    take(joiner, predicted("a"))
    joiner.label(Label("a", "yes", 0.0))
    take(joiner, predicted("b"))
    take(joiner, predicted("a"))
    assert statuses(joiner, Label("a", "no", 0.0)) == ["accepted"]


@given(
    st.lists(st.lists(st.integers(0, 12), max_size=6), max_size=12),
    st.integers(1, 8),
)
def test_the_newest_distinct_predictions_are_known_however_they_come(
    batches: list[list[int]], bound: int
) -> None:
    joiner, known = LabelJoiner(max_predictions=bound), dict[str, Predicted]()
    for number, batch in enumerate(batches):
        rows = [predicted(f"p{one}", at_s=float(100 * number + k)) for k, one in enumerate(batch)]
        assert take(joiner, *rows) == []
        for row in rows:
            known.setdefault(row.id, row)
        for gone in list(known)[: max(0, len(known) - bound)]:
            del known[gone]
        assert joiner.n_predictions == len(known)
        assert {one: joiner._find(f"p{one}") for one in range(13)} == {
            one: known.get(f"p{one}") for one in range(13)
        }


def test_rows_that_come_one_by_one_are_kept_together_and_none_leave_nothing() -> None:
    joiner = LabelJoiner()
    for number in range(1000):
        take(joiner, predicted(f"p{number}"))
        take(joiner)
    assert joiner.n_predictions == 1000
    assert len(joiner._batches) == 4
