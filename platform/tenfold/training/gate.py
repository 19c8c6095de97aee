"""The gate before a search: columns that seem to know the answer.

A model on a leaked column scores well in every fold and is worth nothing in production, so the gate
stands before anything is fitted. It reads the profile of the training rows; no row is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from tenfold.errors import DataError
from tenfold.profile import Profile, merge_profiles
from tenfold.profile.finding import Finding, Level
from tenfold.profile.leakage import leaks, sums
from tenfold.schema import Schema
from tenfold.training.folds import TEST_FOLD

__all__ = ["leakage_gate"]

MAX_NAMED = 3
"""Findings that one message tells in full; the report has them all."""


def leakage_gate(
    schema: Schema, profiles: Mapping[int, Profile], policy: Literal["warn", "stop"]
) -> list[Finding]:
    """What leaks, by the grave findings of the training rows.

    Args:
        schema: of the table.
        profiles: one a fold; the sealed rows' is left alone.
        policy: ``train.on_leakage`` of the project file.

    Returns:
        The findings; () where nothing leaks, or there is no target.

    Raises:
        DataError: something leaks and the policy is to stop.
    """
    known = [profile for fold, profile in sorted(profiles.items()) if fold != TEST_FOLD]
    if schema.target is None or not known:
        return []
    whole = merge_profiles(known)
    found = [
        one for one in (*leaks(schema, whole), *sums(schema, whole)) if one.level is Level.ERROR
    ]
    if found and policy == "stop":
        more = f" (and {len(found) - MAX_NAMED} more)" if len(found) > MAX_NAMED else ""
        raise DataError(
            "no column may know the answer: "
            + "; ".join(one.message for one in found[:MAX_NAMED])
            + f"{more}. Declare it with role: ignored, or set train.on_leakage to warn"
        )
    return found
