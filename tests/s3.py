"""A real server of the S3 protocol on loopback, for tests of clients."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from tests.command import forget

ACCESS_KEY, SECRET_KEY = "tenfold", "s3cr3t/of+tests"


@dataclass(frozen=True)
class S3:
    """A running server.

    Attributes:
        endpoint: ``127.0.0.1:PORT``.
        client: boto3's, to put things there.
    """

    endpoint: str
    client: Any

    def put(self, bucket: str, **objects: bytes) -> None:
        """Write objects by their keys, in a bucket that is made if it is not there."""
        self.client.create_bucket(Bucket=bucket)
        for key, data in objects.items():
            self.client.put_object(Bucket=bucket, Key=key, Body=data)


@contextmanager
def running_s3() -> Iterator[S3]:
    """Start moto's server on a free port; it is stopped and ended afterwards."""
    import boto3

    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    environ = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environ
    ) as process:
        try:
            yield from _serve(process, boto3)
        finally:
            process.terminate()
            process.wait(timeout=30)


def _serve(process: subprocess.Popen[str], boto3: Any) -> Iterator[S3]:
    assert process.stdout is not None
    for line in process.stdout:
        _, found, url = line.partition("Running on http://")
        if found:
            break
    else:
        raise AssertionError("the S3 server ended before it was ready")
    endpoint = url.strip()
    forget(process.stdout)
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{endpoint}",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name="us-east-1",
    )
    with closing(client):
        yield S3(endpoint, client)
