from __future__ import annotations

from pathlib import Path

import pytest

from tenfold.testing.artifacts import small_artifact


@pytest.mark.parametrize("family", ["boosting", "linear", "dummy", "kmeans"])
def test_small_artifacts_are_the_same_every_time(tmp_path: Path, family: str) -> None:
    one = small_artifact(tmp_path / "a", family=family)
    other = small_artifact(tmp_path / "b", family=family)
    assert one.digest == other.digest
    assert small_artifact(tmp_path / "c", family=family, seed=1).digest != one.digest
