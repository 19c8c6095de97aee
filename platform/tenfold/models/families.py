"""The one table of model families."""

from __future__ import annotations

from collections.abc import Mapping

from tenfold.errors import ArtifactError
from tenfold.models.base import Family, Model
from tenfold.models.blend import BLEND, load_blend
from tenfold.models.boosting import BOOSTING
from tenfold.models.clusters import KMEANS
from tenfold.models.dummy import DUMMY
from tenfold.models.linear import LINEAR
from tenfold.models.network import NETWORK

__all__ = ["FAMILIES", "load_model"]

FAMILIES: dict[str, Family] = {
    family.name: family for family in (DUMMY, LINEAR, BOOSTING, NETWORK, KMEANS)
}


def load_model(family: str, files: Mapping[str, bytes]) -> Model:
    """A model from its native files; ``ArtifactError`` for an unknown family or broken files.

    The caller verifies digests first: XGBoost does not validate what it loads.
    """
    if family == BLEND:
        return load_blend(files, load_model)
    if family not in FAMILIES:
        raise ArtifactError(
            f"a model's family must be one of {sorted([*FAMILIES, BLEND])}, not {family!r}; "
            "upgrade tenfold or publish it again"
        )
    return FAMILIES[family].load(files)
