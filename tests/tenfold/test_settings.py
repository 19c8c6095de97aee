from __future__ import annotations

import pytest

from tenfold.errors import UserError
from tenfold.settings import DEFAULT_LOCAL_BYTES, Settings


def test_each_part_moves_by_its_own_variable() -> None:
    settings = Settings.from_env(
        {
            "TENFOLD_HOME": "/h",
            "TENFOLD_STORE": "/s",
            "TENFOLD_STATE": "postgresql://db/t",
            "MLFLOW_TRACKING_URI": "http://127.0.0.1:5000",
            "RAY_ADDRESS": "auto",
        }
    )
    assert settings.artifacts.as_posix() == "/s/artifacts"
    assert settings.keeper.as_posix() == "/h/keeper"
    assert settings.state_url == "postgresql://db/t"
    assert settings.mlflow_uri == "http://127.0.0.1:5000"
    assert settings.ray_address == "auto"
    assert settings.local_bytes == DEFAULT_LOCAL_BYTES


def test_wrong_values_are_refused() -> None:
    with pytest.raises(UserError, match="TENFOLD_LOCAL_BYTES is a whole number of bytes"):
        Settings.from_env({"TENFOLD_LOCAL_BYTES": "1GB"})
    with pytest.raises(UserError, match="is a folder so far, not an object store"):
        Settings.from_env({"TENFOLD_STORE": "s3://bucket/x"})
