"""Which columns of the schema each column of the matrix is made of.

What a model says of its matrix, such as contributions, is told to people by the columns that they
sent: one-hot features are added up, and what is made of two columns counts half for each.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tenfold.features.codes import code_width, text_places
from tenfold.features.joined import Joined
from tenfold.features.preprocessor import Prepares, Preprocessor
from tenfold.profile.texts import N_TEXT_SLOTS
from tenfold.schema import Schema

__all__ = ["code_groups", "feature_shares", "feature_sources"]


def feature_sources(preprocessor: Prepares) -> tuple[tuple[int, ...], ...]:
    """Per column of the matrix, the places of its columns among the schema's features, rising.

    Raises:
        TypeError: another kind of preprocessor.
    """
    if isinstance(preprocessor, Joined):
        return tuple(
            tuple(sorted({_owners(preprocessor.schema)[places[k]] for k in sources}))
            for part, places in zip(preprocessor.parts, preprocessor.places, strict=True)
            for sources in feature_sources(part)
        )
    if not isinstance(preprocessor, Preprocessor):
        raise TypeError(f"sources are known of our own preprocessors, not of {preprocessor!r}")
    seen = _seen(preprocessor)
    return tuple(
        tuple(sorted({source for place in op.inputs(output) for source in seen[place]}))
        for op in preprocessor.ops
        for output in range(op.n_outputs)
    )


def feature_shares(preprocessor: Prepares) -> npt.NDArray[np.float64]:
    """What a feature is worth to each column, (n_features, n_columns); rows sum to 1.

    >>> from tenfold.profile import Profile
    >>> from tenfold.features.recipe import Recipe
    >>> from tenfold.testing.mixed import mixed_schema, mixed_table
    >>> schema = mixed_schema()
    >>> recipe = Recipe(numbers="standard", categories="onehot")
    >>> profile = Profile.from_table(mixed_table(50), schema)
    >>> shares = feature_shares(Preprocessor.fit(schema, profile, recipe=recipe))
    >>> bool((shares.sum(axis=1) == 1.0).all()), shares.shape[1] == len(schema.features)
    (True, True)
    """
    sources = feature_sources(preprocessor)
    shares = np.zeros((len(sources), len(preprocessor.schema.features)))
    for feature, columns in enumerate(sources):
        shares[feature, list(columns)] = 1.0 / len(columns)
    return shares


def code_groups(schema: Schema) -> tuple[npt.NDArray[np.intp], ...]:
    """Per feature of the schema, the places of its codes: its own, and the counts of a text."""
    owners = np.array(_owners(schema))
    return tuple(np.flatnonzero(owners == k) for k in range(len(schema.features)))


def _owners(schema: Schema) -> list[int]:
    """Per place in the codes, the feature that it belongs to."""
    names = [column.name for column in schema.features]
    owners = list(range(len(names)))
    for column, _first in text_places(schema):
        owners += [names.index(column.name)] * N_TEXT_SLOTS
    assert len(owners) == code_width(schema)  # noqa: S101  (texts follow in their order)
    return owners


def _seen(preprocessor: Preprocessor) -> list[tuple[int, ...]]:
    """Per place in the codes that the operations read, the features behind it."""
    owners = _owners(preprocessor.schema)
    made = preprocessor.construction
    if made is None:
        return [(owner,) for owner in owners]
    return [
        *((owners[place],) for place in made.direct),
        *(maker.inputs(k) for maker in made.makers for k in range(maker.n_outputs)),
        *((owners[place],) for place in made.counts),
    ]
