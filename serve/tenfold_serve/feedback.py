"""Judging labels: each item of a request on its own, before anything is written."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from tenfold.errors import RequestError
from tenfold.features.readers import shown
from tenfold.schema import Column, Kind
from tenfold_serve.ids import IdMaker

__all__ = ["MAX_LABELS", "LabelVerdict", "check_labels", "label_text", "labelled"]

MAX_LABELS: Final = 10_000
"""Labels in one request; more are sent in several."""
_LARGEST: Final = 3.4028234663852886e38
"""The largest float32, which fits and losses count in; a larger label is a slip of its sender."""

_MAX_SOURCE: Final = 100
_FIELDS: Final = frozenset({"id", "label", "observed_at", "source"})


@dataclass(frozen=True, slots=True)
class LabelVerdict:
    """What is known about one label before it is joined.

    Attributes:
        status: ``accepted``, ``duplicate`` (the same words of the same source twice in a request),
            ``unknown`` (this installation never gave out the id for this project) or ``malformed``.
        reason: in words, for all but ``accepted``.
        record: what goes to the journal; None unless accepted.
    """

    id: str
    status: str
    reason: str = ""
    record: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, str]:
        """The item of the answer."""
        item = {"id": self.id, "status": self.status}
        if self.reason:
            item["reason"] = self.reason
        return item


def labelled(targets: Sequence[Column | None]) -> Column | None:
    """What labels may be: the champion's column, with the classes of all models that answer.

    >>> labelled([Column("y", Kind.CATEGORY, domain=("no", "yes")),
    ...           Column("y", Kind.CATEGORY, domain=("maybe", "no"))]).domain
    ('no', 'yes', 'maybe')
    """
    first, *others = targets
    if first is None or first.domain is None:
        return first
    domains = [first.domain, *(one.domain for one in others if one is not None and one.domain)]
    return replace(first, domain=tuple(dict.fromkeys(itertools.chain.from_iterable(domains))))


def check_labels(body: object, *, ids: IdMaker, target: Column | None) -> list[LabelVerdict]:
    """Judge each label of a request on its own.

    Args:
        body: ``{"labels": [{"id", "label", "observed_at"?, "source"?}]}``, parsed.
        ids: knows which ids are ours.
        target: the column that was predicted; None (clustering) takes no labels.

    Raises:
        RequestError: the request as a whole has not this form.
    """
    if target is None:
        raise RequestError("this project has no target, so there is nothing to label")
    if (
        not isinstance(body, dict)
        or set(body) != {"labels"}
        or not isinstance(body["labels"], list)
    ):
        raise RequestError('the body must be {"labels": [{"id": …, "label": …}, …]}')
    labels = body["labels"]
    if not labels or len(labels) > MAX_LABELS:
        raise RequestError(
            f"a request holds 1 to {MAX_LABELS} labels, not {len(labels)}; send several requests"
        )
    now = datetime.now(UTC)
    seen: set[tuple[str, ...]] = set()
    return [_judge(item, ids=ids, target=target, now=now, seen=seen) for item in labels]


def _judge(
    item: object, *, ids: IdMaker, target: Column, now: datetime, seen: set[tuple[str, ...]]
) -> LabelVerdict:
    if not isinstance(item, Mapping):
        return LabelVerdict("", "malformed", "a label is an object with id and label")
    sent = item.get("id")
    name = sent[:64] if isinstance(sent, str) else ""
    try:
        extra = sorted(str(field)[:40] for field in set(item) - _FIELDS)
        if extra:
            raise ValueError(f"unknown fields {extra[:5]}; a label has {sorted(_FIELDS)}")
        if not isinstance(sent, str):
            raise ValueError("id is missing or is no string; it is in the answer of /predict")
        if not ids.check(sent):
            return LabelVerdict(name, "unknown", "this endpoint gave out no such prediction id")
        label = label_text(item.get("label"), target=target)
        record = {
            "id": sent,
            "label": label,
            "observed_at": _observed_at(item.get("observed_at"), now=now),
            "received_at": now.isoformat(),
            "source": _source(item.get("source")),
        }
    except ValueError as error:
        return LabelVerdict(name, "malformed", str(error))
    said = (sent, label, record["observed_at"], record["source"])
    if said in seen:
        return LabelVerdict(name, "duplicate", "the same label for this id is in this request")
    seen.add(said)
    return LabelVerdict(name, "accepted", record=record)


def label_text(label: object, *, target: Column) -> str:
    """The label as the log keeps it: a class, or a number's shortest exact text.

    Raises:
        ValueError: it is not a value of the target.

    >>> number = Column("y", Kind.NUMBER)
    >>> label_text(3, target=number), label_text("no", target=Column("y", Kind.CATEGORY,
    ...                                                              domain=("no", "yes")))
    ('3.0', 'no')
    """
    if target.kind in (Kind.NUMBER, Kind.INTEGER):
        if isinstance(label, bool) or not isinstance(label, (int, float)):
            raise ValueError(f"label must be a number, not {shown(label)}")
        try:
            number = float(label)
        except OverflowError:
            number = math.inf
        if not abs(number) <= _LARGEST:
            raise ValueError(f"label must be a finite number of at most {_LARGEST:.3g} in size")
        return repr(number)
    if isinstance(label, bool) or not isinstance(label, (str, int)):
        raise ValueError(f"label must be one of the classes, as a string, not {shown(label)}")
    text = str(label)
    if target.domain is not None and text not in target.domain:
        known = ", ".join(target.domain[:10])
        raise ValueError(f"label {shown(text)} is none of the classes {known}")
    return text


def _observed_at(value: object, *, now: datetime) -> str:
    if value is None:
        return now.isoformat()
    if not isinstance(value, str) or len(value) > 40:
        raise ValueError("observed_at must be an ISO 8601 time such as 2026-01-31T12:00:00Z")
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC).isoformat()
    except ValueError as error:
        raise ValueError(f"observed_at {shown(value)} is no ISO 8601 time") from error
    except OverflowError as error:  # its zone moves it out of the years 1 to 9999
        raise ValueError(f"observed_at {shown(value)} must lie in the years 1 to 9999") from error


def _source(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > _MAX_SOURCE or not value.isprintable():
        raise ValueError(f"source must be a printable string of at most {_MAX_SOURCE} characters")
    return value
