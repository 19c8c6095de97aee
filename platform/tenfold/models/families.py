"""The one table of model families: our own, and those that installed packages bring.

A package brings a family by an entry point of the group ``tenfold.families``, named as the family
and leading to a `Family`. It is imported when its name is asked for, not before. Its models are
data like ours: they convert to ONNX, or their files are those of `tenfold.models.arrays`.
"""

from __future__ import annotations

from collections.abc import Mapping

from tenfold.errors import ArtifactError, UserError
from tenfold.models.base import Family, Model
from tenfold.models.blend import BLEND, load_blend
from tenfold.models.boosting import BOOSTING
from tenfold.models.clusters import KMEANS
from tenfold.models.dummy import DUMMY
from tenfold.models.linear import LINEAR
from tenfold.models.network import NETWORK
from tenfold.project.work import load_plugin, plugin_families

__all__ = ["FAMILIES", "load_model"]


class _Families(dict[str, Family]):
    """Families by name. Iterating gives our own and the plug-ins asked for so far; asking for a
    name, or whether it is there, also looks among the installed packages."""

    def __missing__(self, name: str) -> Family:
        if name not in plugin_families():
            raise KeyError(name)
        self[name] = _plugin(name)
        return self[name]

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or name in plugin_families()


def _plugin(name: str) -> Family:
    """The family of an installed package.

    Raises:
        UserError: its entry point does not lead to a family of that name.
    """
    found = load_plugin(name)
    if not isinstance(found, Family) or found.name != name:
        told = f"the family {found.name!r}" if isinstance(found, Family) else repr(found)
        raise UserError(
            f"the plug-in {name!r} must lead to a tenfold.models.Family named {name!r}, and it "
            f"leads to {told}; upgrade its package"
        )
    return found


FAMILIES: dict[str, Family] = _Families(
    {family.name: family for family in (DUMMY, LINEAR, BOOSTING, NETWORK, KMEANS)}
)


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
