"""A real server of the protocol of Azure's blobs on loopback: Azurite, as `.ci/run` installs it."""

from __future__ import annotations

import os
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.fs as pafs
import pytest

from tests.cloud import Cloud
from tests.command import forget

ACCOUNT, ACCOUNT_KEY = "tenfold", b64encode(b"s3cr3t of tests").decode()
_PROGRAM = Path(__file__).parents[1] / ".npm" / "node_modules" / "azurite"


@contextmanager
def running_azure() -> Iterator[Cloud]:
    """Start Azurite on a free port, in memory; it is stopped and ended afterwards."""
    main = _PROGRAM / "dist" / "src" / "blob" / "main.js"
    if not main.is_file():
        if os.environ.get("CI"):
            pytest.fail("in CI Azurite must be installed (`make azurite`)")
        pytest.skip("Azurite is not installed (`make azurite`, which needs npm)")
    options = ["--blobPort", "0", "--inMemoryPersistence", "--disableTelemetry"]
    command = ["node", str(main), *options, "--skipApiVersionCheck"]
    environ = {**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{ACCOUNT_KEY}"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environ
    ) as process:
        try:
            endpoint = _endpoint(process)
            client = pafs.AzureFileSystem(
                ACCOUNT,
                account_key=ACCOUNT_KEY,
                blob_storage_authority=endpoint,
                dfs_storage_authority=endpoint,
                blob_storage_scheme="http",
                dfs_storage_scheme="http",
            )
            options_of = f"account={ACCOUNT}&account_key=${{env:CLOUD_SECRET}}&scheme=http"
            yield Cloud("az", endpoint, client, options_of, ACCOUNT_KEY)
        finally:
            process.terminate()
            process.wait(timeout=30)


def _endpoint(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        _, found, url = line.partition("successfully listens on http://")
        if found:
            forget(process.stdout)
            return url.strip()
    raise AssertionError("Azurite ended before it was ready")
