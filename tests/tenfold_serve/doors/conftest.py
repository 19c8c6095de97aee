"""One endpoint for a whole module: nothing in it changes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tenfold.registry import Registry
from tenfold.settings import Settings
from tests.tenfold_serve.support import Rig, board_with, make_artifact


@pytest.fixture(scope="module", params=["narrow"])
def door_rig(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Rig]:
    """An endpoint of the mixed table; of the wide one where a module asks for it."""
    folder = tmp_path_factory.mktemp("door")
    make_artifact(folder / "artifact", wide=request.param == "wide")
    registry = Registry(Settings.from_env({"TENFOLD_HOME": str(folder / "home")}))
    made = Rig(folder / "live", board_with(registry.publish("mixed", folder / "artifact")))
    yield made
    made.labels.close()
