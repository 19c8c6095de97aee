"""From a source of the project file to what reads it: files in place, all else pulled."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from tenfold.data.pull import Pullable
from tenfold.errors import UserError
from tenfold.project.sources import PLUGIN_GROUP, PluginSource, Source

__all__ = ["PLACES", "place_of"]

PLACES: dict[str, str] = {
    "delta": "tenfold.data.lake.delta:DeltaPlace",
    "http": "tenfold.data.http:HttpPlace",
    "iceberg": "tenfold.data.lake.iceberg:IcebergPlace",
    "sql": "tenfold.data.sql:SqlPlace",
}
"""Type of source to ``module:class``; the class has ``of(spec, folder=…) -> Pullable``.

Imported when it is asked for: drivers of databases and lakes are heavy.
"""


def place_of(spec: Source, *, folder: Path) -> Pullable:
    """The place that a source of the project file names.

    Args:
        spec: of any type but local files.
        folder: where relative paths start.

    Raises:
        UserError: a plug-in's package does not give a place.
    """
    if isinstance(spec, PluginSource):
        return _plugin(spec)
    module, name = PLACES[spec.type].split(":")
    made: Pullable = getattr(import_module(module), name).of(spec, folder=folder)
    return made


def _plugin(spec: PluginSource) -> Pullable:
    (point,) = entry_points(group=PLUGIN_GROUP, name=spec.type)
    make: Any = point.load()
    made = make(name=spec.name, **spec.options)
    wanted = ("identity", "plan", "streams", "sample", "size_hint", "watermark", "name")
    lacking = [word for word in wanted if not hasattr(made, word)]
    if lacking:
        raise UserError(
            f"the plug-in {spec.type!r} ({point.value}) must give a tenfold.data.pull.Pullable, "
            f"and what it gave lacks {', '.join(lacking)}; upgrade its package"
        )
    return made  # type: ignore[no-any-return]
