"""What cleaning has passed over, mended or set aside: told, so that nobody is surprised by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tenfold.profile.finding import Finding, Law, Level

__all__ = ["cleaning_findings"]

MANY_EQUAL = 0.1
"""Share of rows equal to another from which something is wrong with the export, or with the idea
that a row is a case."""
NEAR_SHARE, NEAR_ROWS = 0.05, 100
"""Rows nearly equal to another, as a share and as a number, from which they can tilt a score; fewer
meet by chance in a table of few columns."""
NAMED = 4
"""Columns that a message names."""


def cleaning_findings(
    cleaning: Mapping[str, Any] | None,
    *,
    snapshot: Mapping[str, Any],
    quarantine: Mapping[str, int],
) -> Iterator[Finding]:
    """Findings of the passes that came before the profile.

    Args:
        cleaning: ``trim``, and by column the counts of cells ``padded`` with blanks, ``dressed``
            numbers and ``missing`` by marker; None where the source was not scanned.
        snapshot: of these, where known: ``n_records``, ``n_rows``, ``n_duplicates``
            (equal to an earlier row and dropped), ``n_equal`` (and kept), ``n_quarantined``,
            ``ordered``, ``drop_duplicates`` (asked for; else equal versions of a key were),
            ``near_duplicates`` (``n_rows`` nearly equal to another, ``n_groups`` of them,
            ``n_torn_from_test`` of these groups, ``differ_in`` columns).
        quarantine: bad cells, by column and reason.

    >>> cleaning = {"trim": True, "columns": {"a": {"missing": {" ?": 3}, "padded": 0,
    ...                                             "dressed": 0}}}
    >>> for found in cleaning_findings(cleaning, snapshot={"n_records": 9}, quarantine={}):
    ...     print(found.law, found.message)
    missing-markers column 'a' has the missing marker ' ?' in 3 of 9 rows: read as missing
    """
    yield from _set_aside(snapshot, quarantine)
    yield from _equal(snapshot)
    yield from _nearly_equal(snapshot)
    if cleaning is None:
        return
    yield from _markers(cleaning["columns"], snapshot.get("n_records"))
    yield from _padded(cleaning)
    yield from _dressed(cleaning["columns"])


def _set_aside(snapshot: Mapping[str, Any], quarantine: Mapping[str, int]) -> Iterator[Finding]:
    n_bad = snapshot.get("n_quarantined") or 0
    if not n_bad:
        return
    reason, times = max(quarantine.items(), key=lambda item: item[1], default=("", 0))
    why = f", most often: {reason} ({times})" if reason else ""
    yield Finding(
        Level.WARNING,
        None,
        Law.QUARANTINE,
        f"{n_bad} of {snapshot.get('n_records', '?')} rows could not be mended and were set "
        f"aside{why}; `tenfold quarantine` shows them",
    )


def _equal(snapshot: Mapping[str, Any]) -> Iterator[Finding]:
    n_dropped, n_kept = snapshot.get("n_duplicates") or 0, snapshot.get("n_equal") or 0
    total = n_dropped + (snapshot.get("n_rows") or 0)
    kept = "stay, each with its equals on one side of every split"
    copies = "if they are copies of one case, set prepare.drop_duplicates: true"
    cases = "if two cases may well be alike, set prepare.drop_duplicates: false"
    for n_equal, done, advice in (
        (n_kept, "stay where they are in order" if snapshot.get("ordered") else kept, copies),
        (n_dropped, "were dropped", cases if snapshot.get("drop_duplicates", True) else ""),
    ):
        if not n_equal:
            continue
        many = n_equal >= MANY_EQUAL * total
        yield Finding(
            Level.WARNING if many else Level.NOTE,
            None,
            Law.DUPLICATES,
            f"{n_equal} of {total} rows are equal to an earlier one in every column and {done}"
            f"{f': {advice}' if many and advice else ''}",
        )


def _nearly_equal(snapshot: Mapping[str, Any]) -> Iterator[Finding]:
    near, total = snapshot.get("near_duplicates"), snapshot.get("n_rows") or 0
    if not near or near.get("n_rows", 0) < max(NEAR_ROWS, NEAR_SHARE * total):
        return
    most = max(near["differ_in"], key=lambda one: one["n_rows"], default=None)
    how = "" if most is None else f", most of them but for {_columns(most['columns'])}"
    torn = near["n_torn_from_test"]
    harm = (
        f"; {torn} of {near['n_groups']} groups have rows on both sides of the sealed test set, "
        "where prepare.near_duplicates: group keeps them on one"
        if torn
        else ""
    )
    yield Finding(
        Level.NOTE,
        None,
        Law.NEAR_DUPLICATES,
        f"{near['n_rows']} of {total} rows are nearly equal to another{how}{harm}",
    )


def _markers(columns: Mapping[str, Any], n_records: int | None) -> Iterator[Finding]:
    of = "" if n_records is None else f" of {n_records}"
    for name, facts in columns.items():
        for form, n in sorted(facts["missing"].items(), key=lambda item: (-item[1], item[0])):
            if form == "":
                continue  # an empty cell surprises nobody
            what = "only blanks" if not form.strip() else f"the missing marker {form!r}"
            yield Finding(
                Level.NOTE,
                name,
                Law.MARKERS,
                f"column {name!r} has {what} in {n}{of} rows: read as missing",
            )


def _padded(cleaning: Mapping[str, Any]) -> Iterator[Finding]:
    found = {n: c["padded"] for n, c in cleaning["columns"].items() if c["padded"]}
    if not found:
        return
    verb = "they were trimmed" if cleaning["trim"] else "they were kept (prepare.trim is off)"
    yield Finding(
        Level.NOTE if cleaning["trim"] else Level.WARNING,
        None,
        Law.BLANKS,
        f"{sum(found.values())} cells in {_columns(list(found))} have blanks before or behind "
        f"the value: {verb}, so ' a' and 'a' are {'one' if cleaning['trim'] else 'two'}",
    )


def _dressed(columns: Mapping[str, Any]) -> Iterator[Finding]:
    for name, facts in columns.items():
        if facts["dressed"]:
            yield Finding(
                Level.NOTE,
                name,
                Law.NUMBERS_IN_TEXT,
                f"column {name!r} has {facts['dressed']} numbers with signs of text in them, such "
                "as commas between thousands: read as numbers",
            )


def _columns(names: list[str]) -> str:
    if len(names) == 1:
        return f"column {names[0]!r}"
    shown = ", ".join(repr(name) for name in names[:NAMED])
    return f"{len(names)} columns ({shown}{', ...' if len(names) > NAMED else ''})"
