"""Which stores have pages here; the running server is looked at with the keeper, end to end."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tenfold.errors import ClusterError, UserError
from tenfold_serve.mlflow_pages import MlflowPages, require_database


@pytest.mark.parametrize(
    "uri", ["sqlite:///m.db", "postgresql+psycopg://u:p@host/db", "/data/mlruns", "file:///data/m"]
)
def test_databases_and_folders_have_pages(uri: str) -> None:
    assert require_database(uri) is None


@pytest.mark.parametrize("uri", ["http://u:secret@host", "HTTPS://u:secret@host", "databricks"])
def test_servers_have_their_own(uri: str) -> None:
    with pytest.raises(UserError) as caught:
        require_database(uri)
    assert "leave --mlflow-port out" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_server_that_ended_says_so_and_one_that_is_silent_waits() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    pages = MlflowPages(child, port=1)
    assert pages.trouble().startswith("MLflow's pages do not answer yet")
    child.communicate(b"\n")
    with pytest.raises(ClusterError, match="MLflow's pages ended with 0"):
        pages.trouble()
