from __future__ import annotations

from tenfold.monitor import Label, LabelJoiner, LabelStatus, Predicted

DAY = 86_400.0


def predicted(name: str, at_s: float = 0.0) -> Predicted:
    return Predicted(name, 1, "yes", 0.9, at_s)


def statuses(joiner: LabelJoiner, *labels: Label) -> list[str]:
    return [joiner.label(label).status.value for label in labels]


def test_a_table_of_labels_for_one_prediction() -> None:
    joiner = LabelJoiner()
    joiner.predicted([predicted("a")])
    assert statuses(
        joiner,
        Label("a", "yes", 10.0, "shop"),
        Label("a", "yes", 99.0, "bank"),  # the same word, whoever says it
        Label("a", "no", 20.0, "shop"),  # the same source, later
        Label("a", "yes", 15.0, "shop"),  # the same source, observed before
        Label("a", "yes", 30.0, "bank"),  # another source
        Label("a", "no", 40.0, "bank"),
    ) == ["accepted", "duplicate", "revised", "contradicting", "contradicting", "duplicate"]
    assert joiner.counts["shop", "accepted"] == 1
    assert joiner.counts["bank", "contradicting"] == 1


def test_a_joined_label_carries_its_prediction() -> None:
    joiner = LabelJoiner()
    joiner.predicted([predicted("a", 5.0)])
    joined = joiner.label(Label("a", "no", 6.0))
    assert joined.predicted == predicted("a", 5.0) and joined.label.value == "no"


def test_a_label_that_overtakes_its_prediction_waits() -> None:
    joiner = LabelJoiner()
    early = joiner.label(Label("a", "yes", 1.0))
    assert early.status is LabelStatus.UNKNOWN and early.predicted is None
    assert joiner.n_waiting == 1 and not joiner.counts
    settled = joiner.predicted([predicted("b"), predicted("a")])
    assert [(j.status, j.label.id) for j in settled] == [(LabelStatus.ACCEPTED, "a")]
    assert joiner.n_waiting == 0 and joiner.n_labelled == 1


def test_an_old_prediction_gets_a_late_label() -> None:
    joiner = LabelJoiner(late_s=DAY)
    joiner.predicted([predicted("a")])
    assert statuses(joiner, Label("a", "yes", DAY), Label("a", "yes", 0.0)) == [
        "accepted",
        "duplicate",
    ]
    joiner.predicted([predicted("b")])
    assert statuses(joiner, Label("b", "yes", DAY + 1)) == ["late"]


def test_the_index_is_bounded() -> None:
    joiner = LabelJoiner(max_predictions=3, max_waiting=2)
    joiner.predicted([predicted(f"p{i}") for i in range(5)])
    assert joiner.n_predictions == 3
    assert statuses(joiner, Label("p4", "yes", 0.0)) == ["accepted"]
    for name in ("x", "y", "z"):
        joiner.label(Label(name, "yes", 0.0, "shop"))
    assert joiner.n_waiting == 2
    assert joiner.counts["shop", "unknown"] == 1  # a counted loss, not a silent one
    assert joiner.predicted([predicted("x")]) == []
    assert len(joiner.predicted([predicted("z")])) == 1


def test_a_prediction_heard_twice_changes_nothing() -> None:
    joiner = LabelJoiner()
    joiner.predicted([predicted("a", 1.0)])
    joiner.label(Label("a", "yes", 2.0))
    assert joiner.predicted([predicted("a", 9.0)]) == []
    assert statuses(joiner, Label("a", "yes", 2.0)) == ["duplicate"]


def test_a_forgotten_prediction_forgets_its_label() -> None:
    joiner = LabelJoiner(max_predictions=1)
    joiner.predicted([predicted("a")])
    joiner.label(Label("a", "yes", 0.0))
    joiner.predicted([predicted("b")])
    assert joiner.n_labelled == 0
