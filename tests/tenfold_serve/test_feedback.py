from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.errors import RequestError
from tenfold.schema import Column, Kind, Role
from tenfold_serve.feedback import MAX_LABELS, check_labels, label_text
from tenfold_serve.ids import IdMaker

IDS = IdMaker(b"s" * 32, project="adult")
CLASSES = Column("salary", Kind.CATEGORY, Role.TARGET, domain=("<=50K", ">50K"))
NUMBER = Column("cnt", Kind.NUMBER, Role.TARGET)


def judge(*labels: object, target: Column = CLASSES) -> list[tuple[str, str]]:
    verdicts = check_labels({"labels": list(labels)}, ids=IDS, target=target)
    return [(verdict.status, verdict.reason) for verdict in verdicts]


def test_a_good_label_is_accepted_with_its_record() -> None:
    one = IDS.make(1)[0]
    body = {
        "labels": [
            {"id": one, "label": ">50K", "observed_at": "2026-01-02T03:04:05+01:00", "source": "a"}
        ]
    }
    (verdict,) = check_labels(body, ids=IDS, target=CLASSES)
    assert verdict.to_dict() == {"id": one, "status": "accepted"}
    assert verdict.record is not None
    assert verdict.record["label"] == ">50K"
    assert verdict.record["observed_at"] == "2026-01-02T02:04:05+00:00"


def test_each_label_is_judged_on_its_own() -> None:
    good = IDS.make(1)[0]
    forged = good[:-1] + ("0" if good[-1] != "0" else "1")
    found = judge(
        {"id": good, "label": ">50K"},
        {"id": good, "label": ">50K"},
        {"id": forged, "label": ">50K"},
        {"id": good, "label": "rich"},
        {"id": good},
        "text",
        {"id": good, "label": ">50K", "colour": 1},
        {"id": good, "label": ">50K", "observed_at": "yesterday"},
        {"id": good, "label": ">50K", "source": "a\nb"},
        {"label": ">50K"},
    )
    assert [status for status, _ in found] == ["accepted", "duplicate", "unknown"] + [
        "malformed"
    ] * 7
    assert found[3][1] == "label 'rich' is none of the classes <=50K, >50K"
    assert all(reason for _, reason in found[1:])


@pytest.mark.parametrize(
    "moment",
    ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-13-01", "1" * 41, "", 7, []],
)
def test_a_time_that_is_none_is_that_items_own_fault(moment: object) -> None:
    bad, good = IDS.make(2)
    found = judge(
        {"id": bad, "label": ">50K", "observed_at": moment}, {"id": good, "label": ">50K"}
    )
    assert [status for status, _ in found] == ["malformed", "accepted"]
    assert "observed_at" in found[0][1]


def test_a_source_may_change_its_mind_and_back_in_one_request() -> None:
    one = IDS.make(1)[0]
    said = [
        (">50K", 1, "a"),
        ("<=50K", 2, "a"),
        (">50K", 3, "a"),
        (">50K", 3, "b"),
        (">50K", 3, "a"),
    ]
    found = judge(
        *(
            {"id": one, "label": text, "observed_at": f"2026-01-0{day}", "source": source}
            for text, day, source in said
        )
    )
    assert [status for status, _ in found] == ["accepted"] * 4 + ["duplicate"]


def test_numbers_are_kept_exactly_and_must_be_finite() -> None:
    one = IDS.make(1)[0]
    assert label_text(0.1, target=NUMBER) == "0.1"
    for bad in ("3", True, None, float("inf"), 10**400, [1]):
        assert judge({"id": one, "label": bad}, target=NUMBER)[0][0] == "malformed", bad


@pytest.mark.parametrize(
    "body",
    [None, [], {}, {"labels": {}}, {"labels": []}, {"labels": [{}] * (MAX_LABELS + 1)},
     {"labels": [{}], "more": 1}],
)  # fmt: skip
def test_a_request_of_another_form_is_refused_whole(body: object) -> None:
    with pytest.raises(RequestError):
        check_labels(body, ids=IDS, target=CLASSES)


def test_clusters_take_no_labels() -> None:
    with pytest.raises(RequestError, match="nothing to label"):
        check_labels({"labels": [{}]}, ids=IDS, target=None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(item=JSON | st.fixed_dictionaries({"id": JSON, "label": JSON, "observed_at": JSON}))
def test_nothing_a_client_sends_raises_for_one_item(item: object) -> None:
    for target in (CLASSES, NUMBER):
        (verdict,) = check_labels({"labels": [item]}, ids=IDS, target=target)
        assert verdict.status in {"malformed", "unknown"}
