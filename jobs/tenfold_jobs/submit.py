"""``tenfold submit``: the same command as a Ray job on a cluster."""

from __future__ import annotations

import asyncio
import json
import shlex
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tenfold.errors import ClusterError, GateMissed, UserError
from tenfold.progress import SILENT, Progress
from tenfold.project import Project, load_project
from tenfold.project.sources import IcebergSource, Source, local_path

__all__ = ["MAX_SHIPPED_BYTES", "SUBMITTABLE", "entrypoint_for", "last_document", "run_submit"]

SUBMITTABLE = ("prepare", "train", "run", "retrain", "check", "plan", "predict")
"""Commands that run and end on a cluster; the others talk to an endpoint or to this machine."""

MAX_SHIPPED_BYTES = 100 * 1024 * 1024
"""Ray's dashboard refuses a larger upload (a constant of Ray 2.60)."""

_LOG_LINES = 15
_SQLITE = "sqlite:///"


def entrypoint_for(command: str, project: Path, options: Sequence[str] = ()) -> str:
    """The shell line of the job, relative to the shipped folder.

    Args:
        command: one of `SUBMITTABLE`.
        project: the project file.
        options: of the command, such as ``--budget 60s``, or ``--input`` and a path that the
            cluster knows.

    Raises:
        UserError: the command is not one that a cluster can run, or ``predict`` lacks its files.

    >>> entrypoint_for("train", Path("a folder/project.yaml"))
    'tenfold train project.yaml --json'
    """
    if command not in SUBMITTABLE:
        raise UserError(f"{command!r} cannot be submitted; these can: {', '.join(SUBMITTABLE)}")
    files = {"--input", "--output"}
    if not files <= set(options) if command == "predict" else files & set(options):
        raise UserError(
            "predict, and no other command, is submitted with --input and --output; the paths are "
            "those that the cluster's nodes know"
        )
    return shlex.join(["tenfold", command, project.name, *options, "--json"])


def run_submit(
    command: str,
    project: Path,
    *,
    address: str,
    options: Sequence[str] = (),
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Ship the project, run the command there and follow it to its end.

    What travels is the project file and the files that its sources name relative to it. The
    cluster's images must have tenfold installed, and ``TENFOLD_HOME`` and the like set in the
    cluster's own environment, so that no secret travels in the job's description.

    Returns:
        ``job`` (the submission id), ``status``, ``exit_code`` (the command's own), ``entrypoint``,
        ``address`` and ``result`` (the command's own document).

    Raises:
        UserError: the command cannot be submitted, the files are too large, a source lies outside
            of the project's folder, an Iceberg catalog is a file of this machine, or the command
            itself found a fault of the user's.
        ClusterError: the cluster does not answer, or the job failed; the end of its log is shown.
    """
    entrypoint = entrypoint_for(command, project, options)
    loaded = load_project(project)
    from ray.exceptions import RayError
    from ray.job_submission import JobSubmissionClient

    with tempfile.TemporaryDirectory(prefix="tenfold-submit-") as staged:
        _stage(loaded, project, Path(staged))
        try:
            client = JobSubmissionClient(address)
            job = client.submit_job(entrypoint=entrypoint, runtime_env={"working_dir": staged})
        except (RayError, ConnectionError, RuntimeError, ValueError, OSError) as error:
            raise ClusterError(
                f"{address} did not take the job: {error}; is it the dashboard's address, and are "
                "RAY_AUTH_MODE=token and RAY_AUTH_TOKEN set as on the cluster?"
            ) from error
    progress.say(f"job {job} submitted: {entrypoint}")
    asyncio.run(_follow(client, job, progress))
    info = client.get_job_info(job)
    code = info.driver_exit_code if info.driver_exit_code is not None else 1
    document = last_document(client.get_job_logs(job))
    if code not in (0, GateMissed.exit_code) or document is None:
        raise _failure(job, str(info.status.value), code, document, client.get_job_logs(job))
    return {
        "job": job,
        "status": str(info.status.value),
        "exit_code": code,
        "entrypoint": entrypoint,
        "address": address,
        "result": document,
    }


def last_document(log: str) -> dict[str, Any] | None:
    """The JSON document that a command with ``--json`` ended its output with; None without one.

    >>> last_document('search: 3.0 s\\n{\\n  "version": 1\\n}\\n')
    {'version': 1}
    """
    start = len(log)
    while (start := log.rfind("{\n", 0, start)) >= 0:
        if start == 0 or log[start - 1] == "\n":
            try:
                document, _end = json.JSONDecoder().raw_decode(log[start:])
            except ValueError:
                continue
            if isinstance(document, dict):
                return document
    return None


def _failure(
    job: str, status: str, code: int, document: dict[str, Any] | None, log: str
) -> Exception:
    if code == UserError.exit_code and document is not None and "error" in document:
        return UserError(f"job {job}: {document['error']['message']}")
    tail = "\n".join(log.splitlines()[-_LOG_LINES:])
    return ClusterError(f"job {job} ended as {status} with exit code {code}:\n{tail}")


def _stage(project: Project, file: Path, folder: Path) -> None:
    """Copy the project file and what its sources name, where it lies under the project's folder."""
    home = file.absolute().parent
    shutil.copy2(file, folder / file.name)
    size_bytes = 0
    for source in project.data.sources:
        _refuse_local_catalog(source)
        path = local_path(source)
        if path is None or Path(path).is_absolute():
            continue  # the cluster must reach it
        found = sorted(home.glob(path)) or [home / path]
        for one in found:
            if not one.resolve().is_relative_to(home.resolve()):
                raise UserError(
                    f"the source {path} lies outside the project's folder {home}, which is "
                    "all that is shipped; move it there or name it by an absolute path that the "
                    "cluster has"
                )
            size_bytes += _size_of(one)
            if size_bytes > MAX_SHIPPED_BYTES:
                raise UserError(
                    f"the sources hold more than the {MAX_SHIPPED_BYTES} bytes that a job can "
                    "ship; put large tables where the cluster can read them and name them by "
                    "absolute path"
                )
            target = folder / one.relative_to(home)
            target.parent.mkdir(parents=True, exist_ok=True)
            if one.is_dir():
                shutil.copytree(one, target, dirs_exist_ok=True)
            elif one.exists():
                shutil.copy2(one, target)


def _refuse_local_catalog(source: Source) -> None:
    """A catalog's file names its tables' files by absolute path: shipped alone it would lead home.

    Raises:
        UserError: the catalog is a SQLite file that only this machine has.
    """
    uri = str(source.catalog.get("uri", "")) if isinstance(source, IcebergSource) else ""
    name = uri.removeprefix(_SQLITE)
    if uri.startswith(_SQLITE) and not name.startswith(("/", "${")):
        raise UserError(
            f"the Iceberg catalog {uri} is a file of this machine, and its tables lie here too; "
            "name a catalog that the cluster reaches: a server, a database, or a file by an "
            "absolute path in a shared folder"
        )


def _size_of(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


async def _follow(client: Any, job: str, progress: Progress) -> None:
    async for text in client.tail_job_logs(job):
        for line in text.splitlines():
            progress.say(line)
