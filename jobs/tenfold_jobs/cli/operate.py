"""Commands that operate an endpoint: up, down, status, feedback, retrain, promote and the rest."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tenfold.errors import UserError
from tenfold.project import load_project
from tenfold_jobs.cli.options import FORMATS, AsJson, ProjectFile, ProjectFiles, Verbose
from tenfold_jobs.cli.output import leave_if_gate_missed, running

__all__ = [
    "demo",
    "down",
    "feedback",
    "promote",
    "retrain",
    "rollback",
    "simulate",
    "status",
    "submit",
    "traffic",
    "up",
]


class ScenarioName(StrEnum):
    """What is done to the replayed table."""

    NONE = "none"
    COVARIATE = "covariate"
    CONCEPT = "concept"
    BROKEN = "broken"


class Switch(StrEnum):
    """Whether something runs."""

    ON = "on"
    OFF = "off"


def up(
    projects: ProjectFiles,
    port: Annotated[int, typer.Option(min=1, max=65535, help="The endpoint's port.")] = 8000,
    host: Annotated[
        str, typer.Option(help="The address to listen on; beyond loopback keys are needed.")
    ] = "127.0.0.1",
    mlflow_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Also show MLflow's pages on this port.")
    ] = None,
    json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Start endpoint, monitor and supervisor, on loopback unless told otherwise."""
    with running(as_json=json, verbose=verbose) as out:
        from tenfold_jobs.up import ready_lines, start_keeper

        record = start_keeper(
            projects,
            out.settings,
            port=port,
            mlflow_port=mlflow_port,
            host=host,
            progress=out.progress,
        )
        out.result(record, ready_lines(record))


def down(json: AsJson = False, verbose: Verbose = False) -> None:
    """Stop what `tenfold up` started, and nothing else."""
    with running(as_json=json, verbose=verbose) as out:
        from tenfold_jobs.up import stop_keeper

        stopped = stop_keeper(out.settings, progress=out.progress)
        text = "stopped" if stopped["was_running"] else "nothing was running"
        out.result(stopped, [text])


def status(
    project: Annotated[
        Path | None, typer.Argument(metavar="[PROJECT]", help="The project file; all if absent.")
    ] = None,
    json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Show versions, aliases, traffic, drift, live quality and the last decisions."""
    with running(as_json=json, verbose=verbose) as out:
        from tenfold_jobs.status import collect_status, status_lines

        name = None if project is None else load_project(project).name
        document = collect_status(out.settings, project=name)
        out.result(document, status_lines(document))


def feedback(
    project: ProjectFile,
    input_: Annotated[
        Path, typer.Option("--input", help=f"{FORMATS}: id, label[, observed_at, source].")
    ],
    json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Send labels for answered predictions to the running endpoint."""
    with running(as_json=json, verbose=verbose) as out:
        from tenfold_jobs.feedback import run_feedback

        record = run_feedback(load_project(project), out.settings, input_, progress=out.progress)
        counts = ", ".join(f"{n} {status}" for status, n in record["statuses"].items())
        lines = [f"{record['labels']} labels sent: {counts or 'none'}"]
        lines += [
            f"  {item['id']}: {item.get('reason', item['status'])}" for item in record["refused"]
        ]
        out.result(record, lines)
        if record["labels"] and not record["statuses"].get("accepted"):
            raise SystemExit(UserError.exit_code)


def retrain(project: ProjectFile, json: AsJson = False, verbose: Verbose = False) -> None:
    """Refit the champion's recipe on the table and the labeled live rows; promote if it helps."""
    with running(as_json=json, verbose=verbose) as out:
        from tenfold_jobs.retrain import run_retrain

        record = run_retrain(load_project(project), out.settings, progress=out.progress).to_dict()
        out.result(
            record,
            [
                f"version {record['version']} trained on {record['rows']} rows "
                f"({record['window']}), {record['alias'] or 'not promoted'}",
                f"because: {record['reason']}",
            ],
        )
        leave_if_gate_missed(record, out)


def promote(
    project: ProjectFile,
    version: Annotated[
        int | None, typer.Option(min=1, help="The version; the challenger, else the newest.")
    ] = None,
    json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Make a version the champion; a running endpoint swaps within seconds."""
    with running(as_json=json, verbose=verbose) as out:
        from tenfold_jobs.aliases import run_promote

        record = run_promote(
            load_project(project), out.settings, version=version, progress=out.progress
        )
        out.result(record, [f"champion: version {record['champion']} (was {record['previous']})"])


def rollback(project: ProjectFile, json: AsJson = False, verbose: Verbose = False) -> None:
    """Go back to the version that the champion replaced."""
    with running(as_json=json, verbose=verbose) as out:
        from tenfold_jobs.aliases import run_rollback

        record = run_rollback(load_project(project), out.settings, progress=out.progress)
        out.result(record, [f"champion: version {record['champion']} (was {record['previous']})"])


def traffic(
    project: ProjectFile,
    canary: Annotated[
        int | None, typer.Option(min=0, max=100, help="Percent of requests for the challenger.")
    ] = None,
    shadow: Annotated[
        Switch | None, typer.Option(help="Score with the challenger too, off the answers' path.")
    ] = None,
    json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Send a share of the requests to the challenger, or let it score in shadow."""
    with running(as_json=json, verbose=verbose) as out:
        from tenfold_jobs.aliases import run_traffic

        record = run_traffic(
            load_project(project),
            out.settings,
            canary_percent=canary,
            shadow=None if shadow is None else shadow is Switch.ON,
            progress=out.progress,
        )
        out.result(
            record,
            [
                f"champion {record['champion']}: {100 - record['canary_percent']} %, "
                f"challenger {record['challenger']}: {record['canary_percent']} %, "
                f"shadow {'on' if record['shadow'] else 'off'}"
            ],
        )


def simulate(
    project: ProjectFile,
    scenario: Annotated[ScenarioName, typer.Option(help="The change to inject.")],
    rows: Annotated[int, typer.Option(min=1, help="Rows to send.")] = 2000,
    labels: Annotated[bool, typer.Option(help="Send the labels back as well.")] = True,
    rate: Annotated[
        float | None, typer.Option(min=0.1, help="Rows a second; as fast as they are answered.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Which rows, in which order.")] = 0,
    json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Replay the table as live traffic against the running endpoint."""
    with running(as_json=json, verbose=verbose) as out:
        from tenfold_jobs.simulate import run_simulate

        record = run_simulate(
            load_project(project),
            out.settings,
            scenario=scenario.value,
            n_rows=rows,
            send_labels=labels,
            seed=seed,
            rows_per_s=rate,
            progress=out.progress,
        ).to_dict()
        out.result(
            record,
            [
                f"{record['rows']} rows sent, {record['failed']} requests failed, "
                f"p50 {record['p50_ms']:.1f} ms, p99 {record['p99_ms']:.1f} ms",
                f"{record['labels']} labels sent, loss of the answers {record['loss']}",
            ],
        )
        if record["failed"]:
            out.progress.say(f"the first failure: {record['first_failure']}")
            raise SystemExit(1)


def submit(
    command: Annotated[
        str, typer.Argument(help="prepare, train, run, retrain, check, plan or predict.")
    ],
    project: ProjectFile,
    address: Annotated[str, typer.Option(help="The cluster's job address, http://head:8265.")],
    more: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- OPTIONS]", help="Of the command, as: -- --budget 60s."),
    ] = None,
    input_: Annotated[
        str | None, typer.Option("--input", help="Of predict: a path that the nodes know.")
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", help="Of predict: a path that the nodes know.")
    ] = None,
    json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Run the same command as a Ray job on a cluster."""
    with running(as_json=json, verbose=verbose) as out:
        from tenfold_jobs.submit import run_submit

        files = {"--input": input_, "--output": output}
        options = [word for pair in files.items() if pair[1] is not None for word in pair if word]
        options += more or []
        record = run_submit(
            command, project, address=address, options=options, progress=out.progress
        )
        out.result(record, [f"{record['job']}: {record['status']}"])
        if record["exit_code"]:
            raise SystemExit(record["exit_code"])


def demo(
    keep: Annotated[bool, typer.Option(help="Leave the endpoint up afterwards.")] = False,
    port: Annotated[int | None, typer.Option(help="The endpoint's port; a free one.")] = None,
    json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Walk the whole loop on real data: train, serve, drift, alarm, retrain, recover."""
    with running(as_json=json, verbose=verbose) as out:
        from tenfold_jobs.demo import run_demo

        stream = sys.stderr if json else out.stdout
        record = run_demo(keep=keep, port=port, progress=out.progress, stream=stream)
        out.result(record)
        if record["failed_requests"]:
            raise SystemExit(1)
