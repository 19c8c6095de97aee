"""The fit of texts: the weight of each place, from the rows that hit it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenfold.errors import DataError
from tenfold.features.codes import text_places
from tenfold.features.ops import Op, Tfidf

if TYPE_CHECKING:
    from tenfold.profile import Profile
    from tenfold.schema import Schema

__all__ = ["fit_texts"]


def fit_texts(schema: Schema, profile: Profile) -> list[tuple[Op, list[str]]]:
    """The operation and the names of its features, or none without a text among the features.

    Args:
        schema: its features are numbered as in the codes.
        profile: summary of the training rows only.

    Raises:
        DataError: the profile was made before texts were counted.
    """
    texts = text_places(schema)
    if not texts:
        return []
    lost = [column.name for column, _ in texts if column.name not in profile.texts]
    if lost:
        raise DataError(
            f"columns {lost} are texts and the profile has not counted their words; "
            "prepare the data again"
        )
    weights = tuple(tuple(profile.texts[column.name].idf().tolist()) for column, _ in texts)
    op = Tfidf(tuple(place for _, place in texts), weights)
    return [
        (
            op,
            [
                f"{c.name}~{k}"
                for (c, _), w in zip(texts, weights, strict=True)
                for k in range(len(w))
            ],
        )
    ]
