"""``tenfold submit``: the same command as a Ray job on a cluster."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path
from typing import Any

from tenfold.errors import ClusterError, UserError
from tenfold.progress import SILENT, Progress
from tenfold.project import load_project

__all__ = ["MAX_FOLDER_BYTES", "SUBMITTABLE", "entrypoint_for", "run_submit"]

SUBMITTABLE = ("prepare", "train", "run", "retrain", "check", "plan")
"""Commands that run and end on a cluster; the others talk to an endpoint or to this machine."""

MAX_FOLDER_BYTES = 100 * 1024 * 1024
"""Ray's dashboard refuses a larger upload (a constant of Ray 2.60)."""


def entrypoint_for(command: str, project: Path) -> str:
    """The shell line of the job, relative to the shipped folder.

    Raises:
        UserError: the command is not one that a cluster can run.

    >>> entrypoint_for("train", Path("a folder/project.yaml"))
    'tenfold train project.yaml --json'
    """
    if command not in SUBMITTABLE:
        raise UserError(f"{command!r} cannot be submitted; these can: {', '.join(SUBMITTABLE)}")
    return shlex.join(["tenfold", command, project.name, "--json"])


def run_submit(
    command: str, project: Path, *, address: str, progress: Progress = SILENT
) -> dict[str, Any]:
    """Ship the project's folder, run the command there and follow it to its end.

    The cluster's images must have tenfold installed, and ``TENFOLD_HOME`` and the like set in the
    cluster's own environment, so that no secret travels in the job's description.

    Returns:
        ``job`` (the submission id), ``status``, ``entrypoint`` and ``address``.

    Raises:
        UserError: the command cannot be submitted, the folder is too large, or a source lies
            outside of it.
        ClusterError: the cluster does not answer, or the job failed; the end of its log is shown.
    """
    entrypoint = entrypoint_for(command, project)
    loaded = load_project(project)
    folder = project.absolute().parent
    _check_sources([source.path for source in loaded.data.sources], folder)
    size_bytes = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    if size_bytes > MAX_FOLDER_BYTES:
        raise UserError(
            f"{folder} holds {size_bytes} bytes and a job can ship {MAX_FOLDER_BYTES}; "
            "put large tables where the cluster can read them and name them by absolute path"
        )
    from ray.exceptions import RayError
    from ray.job_submission import JobSubmissionClient

    try:
        client = JobSubmissionClient(address)
        job = client.submit_job(entrypoint=entrypoint, runtime_env={"working_dir": str(folder)})
    except (RayError, ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise ClusterError(
            f"{address} did not take the job: {error}; is it the dashboard's address, and are "
            "RAY_AUTH_MODE=token and RAY_AUTH_TOKEN set as on the cluster?"
        ) from error
    progress.say(f"job {job} submitted: {entrypoint}")
    asyncio.run(_follow(client, job, progress))
    status = str(client.get_job_status(job).value)
    if status != "SUCCEEDED":
        log = "\n".join(client.get_job_logs(job).splitlines()[-15:])
        raise ClusterError(f"job {job} ended as {status}:\n{log}")
    return {"job": job, "status": status, "entrypoint": entrypoint, "address": address}


def _check_sources(paths: list[str], folder: Path) -> None:
    for path in paths:
        if not Path(path).is_absolute() and not (folder / path).resolve().is_relative_to(folder):
            raise UserError(
                f"the source {path} lies outside the project's folder {folder}, which is all that "
                "is shipped; move it there or name it by an absolute path that the cluster has"
            )


async def _follow(client: Any, job: str, progress: Progress) -> None:
    async for text in client.tail_job_logs(job):
        for line in text.splitlines():
            progress.say(line)
