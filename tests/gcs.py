"""A real server of the protocol of Google's store on loopback; it asks for no credentials."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pyarrow.fs as pafs

from tests.cloud import Cloud

_SERVE = """
from gcp_storage_emulator.server import create_server
server = create_server("127.0.0.1", 0, in_memory=True)
server.start()
print(server._api._httpd.server_port, flush=True)
"""
"""Its command line tells no port that the system chose."""


@contextmanager
def running_gcs() -> Iterator[Cloud]:
    """Start the server on a free port; it is stopped and ended afterwards."""
    command = [sys.executable, "-c", _SERVE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = process.stdout.readline().strip()
            assert port, "the server of Google's protocol ended before it was ready"
            endpoint = f"127.0.0.1:{port}"
            client = pafs.GcsFileSystem(
                anonymous=True,
                project_id="tenfold",
                scheme="http",
                endpoint_override=endpoint,
                retry_time_limit=timedelta(seconds=20),
            )
            yield Cloud("gs", endpoint, client, "anonymous=true&scheme=http", "")
        finally:
            process.terminate()
            process.communicate(timeout=30)
