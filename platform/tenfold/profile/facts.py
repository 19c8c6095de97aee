"""Everything that the exploration report says, as JSON numbers; the page shows these and no others.

Statistics, pictures and findings are of the training rows; of the sealed test rows only what
compares the two splits is told, so that reading the report teaches nobody the test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from tenfold.canonical import finite_or_none
from tenfold.errors import DataError
from tenfold.profile.absence import absence_facts, absence_findings
from tenfold.profile.columns import column_values, one_array
from tenfold.profile.compare import distances, joint_distance, shift_findings
from tenfold.profile.dates import dated_after, undeclared_time
from tenfold.profile.finding import Finding, Level
from tenfold.profile.findings import findings
from tenfold.profile.order import order_findings, order_of
from tenfold.profile.pairs import pairs_of, twin_findings
from tenfold.profile.profile import Profile, merge_profiles, profiled_columns
from tenfold.profile.quality import cleaning_findings
from tenfold.profile.shapes import category_facts, number_facts, sampled_top, target_facts
from tenfold.profile.survey import Survey
from tenfold.profile.surveyed import (
    association_facts,
    axis_facts,
    course_facts,
    order_facts,
)
from tenfold.schema import Column, Kind, Role, Schema

__all__ = ["FORMAT", "TEST_FOLD", "report_numbers"]

FORMAT = 1
"""Of the JSON document; raised when a name in it changes its meaning."""
TEST_FOLD = -1
"""The label of the sealed test set among the folds."""
STRONGEST_PAIRS = 20


def report_numbers(
    *,
    project: str,
    task: str,
    schema: Schema,
    profiles: Mapping[int, Profile],
    quarantine: Mapping[str, int] | None = None,
    snapshot: Mapping[str, Any] | None = None,
    positive_class: str | None = None,
    survey: Survey | None = None,
    cleaning: Mapping[str, Any] | None = None,
    quarantined: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """The report as one JSON document.

    Args:
        project: its name.
        task: binary, multiclass, regression or clustering.
        schema: of the table.
        profiles: fold to profile; -1 is the sealed test set and may be absent.
        quarantine: rows set aside, by reason.
        snapshot: more facts to show, e.g. digest, n_duplicates, ordered; JSON values.
        positive_class: the class whose share is shown, for two classes; by default the rarer.
        survey: of the training rows; without it nothing is said of time, order and pairs.
        cleaning: what reading the source passed over, see `tenfold.profile.quality`.
        quarantined: the first bad cells: ``source, position, column, value, reason``.

    Returns:
        ``format, project, task, target, positive_class, snapshot, rows, findings, columns,
        left_out, over, correlations, associations, missing, order, cleaning, quarantine,
        quarantined, splits``; what needs a survey is null without one; date-times are epoch
        seconds, and what has no value is null.

    Raises:
        DataError: there is no profile of training rows.
    """
    folds = [profiles[fold] for fold in sorted(profiles) if fold != TEST_FOLD]
    if not folds:
        raise DataError(
            f"a report needs the profile of at least one training fold, got {sorted(profiles)}; "
            "prepare the data again"
        )
    train, test = merge_profiles(folds), profiles.get(TEST_FOLD)
    if test is not None and test.n_rows == 0:
        test = None
    positive = _positive(schema, train, positive_class)
    pairs = None if survey is None else pairs_of(survey)
    alike = [] if survey is None else order_of(survey)
    ordered = bool((snapshot or {}).get("ordered"))
    found = [
        *findings(schema, train),
        *undeclared_time(schema, train, ordered=ordered),
        *([] if test is None else shift_findings(train, test, ordered=ordered)),
        *([] if survey is None else dated_after(survey)),
        *([] if survey is None else order_findings(survey, alike, ordered=ordered)),
        *([] if survey is None else absence_findings(survey)),
        *([] if pairs is None else twin_findings(pairs)),
        *cleaning_findings(cleaning, snapshot=snapshot or {}, quarantine=quarantine or {}),
    ]
    seen = (cleaning or {}).get("left_out", {})
    covered = {column.name for column in profiled_columns(schema)}
    return {
        "format": FORMAT,
        "project": project,
        "task": task,
        "target": None if schema.target is None else schema.target.name,
        "positive_class": positive,
        "snapshot": dict(snapshot or {}),
        "rows": {"train": train.n_rows, "test": 0 if test is None else test.n_rows},
        "findings": [f.to_dict() for f in _ranked(found)],
        "columns": [_column(c, train, test, positive, survey) for c in _target_first(schema)],
        "left_out": [
            {
                "name": c.name,
                "kind": c.kind.value,
                "role": c.role.value,
                "why": c.evidence,
                "seen": seen.get(c.name),
            }
            for c in schema.columns
            if c.name not in covered
        ],
        "over": None if survey is None else axis_facts(survey),
        "correlations": _correlations(train),
        "associations": None if pairs is None else association_facts(pairs),
        "missing": None if survey is None else absence_facts(survey),
        "order": order_facts(alike),
        "cleaning": None
        if cleaning is None
        else {key: value for key, value in cleaning.items() if key != "left_out"},
        "quarantine": [
            {"reason": reason, "rows": n}
            for reason, n in sorted((quarantine or {}).items(), key=lambda item: -item[1])
        ],
        "quarantined": [dict(cell) for cell in quarantined],
        "splits": _splits(schema, profiles, train, test, positive),
    }


def _ranked(found: list[Finding]) -> list[Finding]:
    return sorted(found, key=lambda f: list(Level).index(f.level))


def _target_first(schema: Schema) -> tuple[Column, ...]:
    target = () if schema.target is None else (schema.target,)
    return (*target, *schema.features)


def _positive(schema: Schema, train: Profile, wanted: str | None) -> str | None:
    target = schema.target
    if target is None or target.domain is None or len(target.domain) != 2:
        return None
    if wanted in target.domain:
        return wanted
    counts = train.categories[target.name].counts
    return min(target.domain, key=lambda name: (counts.get(name, 0), name))


def _column(
    column: Column,
    train: Profile,
    test: Profile | None,
    positive: str | None,
    survey: Survey | None,
) -> dict[str, Any]:
    name = column.name
    if name in train.numbers:
        facts = number_facts(
            train.numbers[name], None if test is None else test.numbers[name], kind=column.kind
        )
        facts["top_sampled"] = None if facts["top"] is not None else _sampled(column, survey)
    else:
        facts = category_facts(
            train.categories[name], None if test is None else test.categories[name]
        )
    association = train.associations.get(name)
    against = None if association is None else target_facts(association, positive=positive)
    rows = facts["count"] + facts["nulls"]
    return {
        "name": name,
        "kind": column.kind.value,
        "role": column.role.value,
        "evidence": column.evidence,
        "missing_share": facts["nulls"] / rows if rows else 0.0,
        **facts,
        "target": against,
        "course": None if survey is None else _course(column, survey, positive),
    }


def _sampled(column: Column, survey: Survey | None) -> dict[str, Any] | None:
    """Of a column with more values than are kept: the most frequent ones of the sampled rows."""
    if survey is None or column.name not in survey.sample.table.column_names:
        return None
    values = column_values(one_array(survey.sample.table, column.name))
    return {"rows": int(np.isfinite(values).sum()), "values": sampled_top(values)}


def _course(column: Column, survey: Survey, positive: str | None) -> dict[str, Any] | None:
    followed = positive if column.role is Role.TARGET else None
    return course_facts(survey, column.name, positive=followed)


def _correlations(train: Profile) -> dict[str, Any]:
    names, r = train.comoments.names, train.comoments.pearson()
    upper = np.triu(np.abs(np.nan_to_num(r)), k=1)
    order = np.argsort(-upper, axis=None, kind="stable")[:STRONGEST_PAIRS]
    pairs = [divmod(int(at), len(names)) for at in order]
    return {
        "names": list(names),
        "pearson": [[finite_or_none(value) for value in row] for row in r.tolist()],
        "strongest": [
            {"left": names[i], "right": names[j], "r": float(r[i, j])}
            for i, j in pairs
            if upper[i, j] > 0.0
        ],
    }


def _splits(
    schema: Schema,
    profiles: Mapping[int, Profile],
    train: Profile,
    test: Profile | None,
    positive: str | None,
) -> dict[str, Any]:
    total = max(1, sum(profile.n_rows for profile in profiles.values()))
    order = sorted(profiles, key=lambda fold: (fold == TEST_FOLD, fold))
    return {
        "folds": [
            {
                "fold": fold,
                "rows": profiles[fold].n_rows,
                "share": profiles[fold].n_rows / total,
                "target": _target_of(schema.target, profiles[fold], positive),
            }
            for fold in order
        ],
        "distances": [
            {
                "column": d.column,
                "measure": d.measure,
                "value": d.value,
                "chance": d.chance,
                "p": d.p,
            }
            for d in ([] if test is None else distances(train, test))
        ],
        "joint": _joint(train, test),
    }


def _joint(train: Profile, test: Profile | None) -> dict[str, Any] | None:
    joint = None if test is None else joint_distance(train, test)
    return None if joint is None else asdict(joint)


def _target_of(
    target: Column | None, profile: Profile, positive: str | None
) -> dict[str, float | None]:
    if target is None:
        return {}
    if target.name in profile.numbers:
        number = profile.numbers[target.name]
        key = "median (epoch s)" if target.kind is Kind.DATETIME else "median"
        return {"mean": finite_or_none(number.mean), key: finite_or_none(number.quantile(0.5))}
    category = profile.categories[target.name]
    shown = [positive] if positive is not None else [name for name, _ in category.top(6)]
    return dict(zip(shown, category.frequencies(shown), strict=True))
