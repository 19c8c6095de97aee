"""The first filter: how strongly each column goes with the target, from the profile alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenfold.profile.strength import predicts_alone

if TYPE_CHECKING:
    from tenfold.profile import Profile
    from tenfold.schema import Schema

__all__ = ["MAX_COMPARED", "strongest"]

MAX_COMPARED = 300
"""Columns that are compared on rows. Of more, the strongest alone go on: a booster over thousands
of columns costs minutes, and a column that says nothing alone rarely says much in company."""

DIGITS = 9


def strongest(schema: Schema, profile: Profile, *, most: int = MAX_COMPARED) -> tuple[int, ...]:
    """Places of the features that predict the target best alone, increasing.

    Args:
        schema: of the columns.
        profile: of the training rows, with an association for each feature.
        most: how many at most; of equals the first.
    """
    features = schema.features
    if len(features) <= most:
        return tuple(range(len(features)))
    scores = [
        (-round(predicts_alone(profile.associations[column.name]).value, DIGITS), place)
        for place, column in enumerate(features)
    ]
    return tuple(sorted(place for _, place in sorted(scores)[:most]))
