from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tenfold.data.drivers import InProcess
from tenfold.data.files import FileSource
from tenfold.data.remote import RemoteFiles
from tenfold.data.remote.transfer import Limits
from tenfold.progress import SILENT
from tenfold.project.sources import FileSource as FileSpec
from tests.fileserver import FileServer, serving_files
from tests.s3 import ACCESS_KEY, S3, SECRET_KEY, running_s3

Fetch = Callable[..., FileSource]


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    with running_s3() as server:
        yield server


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving_files() as made:
        yield made


@pytest.fixture
def remote() -> Callable[..., RemoteFiles]:
    """Remote files whose tries follow each other at once; private addresses are allowed."""

    def make(path: str, *, limits: Limits | None = None, **fields: Any) -> RemoteFiles:
        spec = FileSpec.model_validate({"path": path, "allow_private": True, **fields})
        made = RemoteFiles.of(spec)
        return RemoteFiles(made.spec, made.address, limits or Limits(wait_s=0.0))

    return make


@pytest.fixture
def fetch(tmp_path: Path, remote: Callable[..., RemoteFiles]) -> Fetch:
    """Fetch an address into a folder of this test."""

    def run(path: str, **fields: Any) -> FileSource:
        files = remote(path, **fields)
        return files.fetch(tmp_path / "fetched", driver=InProcess(), progress=SILENT)

    return run


@pytest.fixture
def on_s3(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """An address of the S3 server, with its options."""
    monkeypatch.setenv("S3_SECRET", SECRET_KEY)

    def address(path: str) -> str:
        user = f"{ACCESS_KEY}:${{env:S3_SECRET}}"
        options = f"region=us-east-1&scheme=http&endpoint_override={s3.endpoint}"
        return f"s3://{user}@{path}?{options}"

    return address
