"""Commands that work on a table: init, check, plan, prepare, train, run, report, quarantine,
predict."""

from __future__ import annotations

import webbrowser
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from tenfold.errors import UserError
from tenfold.project import Project, load_project, read_budget
from tenfold.project.labels import in_selector_words
from tenfold_jobs.cli.options import FORMATS, AsJson, Budget, ProjectFile, Verbose
from tenfold_jobs.cli.output import Output, leave_if_gate_missed, running

__all__ = [
    "check",
    "init",
    "plan",
    "predict",
    "prepare",
    "quarantine",
    "report",
    "run",
    "segment_lines",
    "train",
]

SHOWN_MARKS = 3
"""Columns of a segment on the terminal; the card has more."""


class BadRows(StrEnum):
    """What a row gets that cannot be read."""

    FAIL = "fail"
    NULL = "null"
    QUARANTINE = "quarantine"


def init(
    table: Annotated[Path, typer.Argument(metavar="TABLE", help=f"{FORMATS}; or a folder.")],
    target: Annotated[str | None, typer.Option(help="The column to predict.")] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="Where to write it.")] = Path(
        "project.yaml"
    ),
    force: Annotated[bool, typer.Option(help="Replace a file that is there.")] = False,
    json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Look at a table and write a commented project file."""
    with running(as_json=json, verbose=verbose) as out:
        from tenfold.canonical import write_atomic
        from tenfold.intake import init_project

        if output.exists() and not force:
            raise UserError(f"{output} is there already; name another with -o, or add --force")
        text = init_project(table, target=target, output=output)
        write_atomic(output, text.encode())
        project = load_project(output)
        problem = project.problem
        out.result(
            {
                "project": project.name,
                "path": str(output),
                "task": problem.task.value,
                "target": problem.target,
                "metric": problem.metric,
            },
            [
                f"{output}: {problem.task.value} on {problem.target or 'no target'}, "
                f"judged by {problem.metric}",
                f"read it, then: tenfold run {output}",
            ],
        )


def check(project: ProjectFile, json: AsJson = False, verbose: Verbose = False) -> None:
    """Validate everything that can be validated without compute."""
    with running(as_json=json, verbose=verbose) as out:
        from tenfold.intake import check_project, refuse_errors

        loaded = load_project(project)
        notices = check_project(loaded)
        refuse_errors(notices)
        out.result(
            {"project": loaded.name, "ok": True, "notices": [n.to_dict() for n in notices]},
            [f"{project}: all laws hold", *(f"{n.level}: {n.message}" for n in notices)],
        )


def plan(project: ProjectFile, json: AsJson = False, verbose: Verbose = False) -> None:
    """Show what would run where, and why."""
    with running(as_json=json, verbose=verbose) as out:
        from tenfold_jobs.plan import run_plan

        loaded = load_project(project)
        made = run_plan(loaded, out.settings)
        facts = {key: value for key, value in made.to_dict().items() if key != "reasons"}
        facts["nodes"] = in_selector_words(made.nodes) or "any"
        out.result(
            {"project": loaded.name, **made.to_dict()},
            [f"{key}: {_in_a_line(value)}" for key, value in facts.items()]
            + ["because:", *(f"  - {reason}" for reason in made.reasons)],
        )


def _in_a_line(value: object) -> str:
    """A field of a plan for people.

    >>> _in_a_line({"linear": "cpu", "network": "cuda"}), _in_a_line(None), _in_a_line(0.25)
    ('linear on cpu, network on cuda', '-', '0.25')
    """
    if isinstance(value, dict):
        return ", ".join(f"{family} on {device}" for family, device in value.items())
    return "-" if value is None else str(value)


def prepare(project: ProjectFile, json: AsJson = False, verbose: Verbose = False) -> None:
    """Collect, clean, split, profile, snapshot, report."""
    with running(as_json=json, verbose=verbose) as out:
        record = _prepare(load_project(project), out)
        out.result(record, _prepare_lines(record))


def train(
    project: ProjectFile,
    budget: Budget = None,
    json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Select, tune, evaluate, register; promote if the gates pass."""
    with running(as_json=json, verbose=verbose) as out:
        budget_s = _seconds(budget)
        _finish(_train(load_project(project), out, budget_s), out)


def run(
    project: ProjectFile,
    budget: Budget = None,
    json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Prepare, then train."""
    with running(as_json=json, verbose=verbose) as out:
        budget_s = _seconds(budget)  # before anything is prepared
        loaded = load_project(project)
        prepared = _prepare(loaded, out)
        if not json:
            for line in _prepare_lines(prepared):
                out.progress.say(line)
        _finish(_train(loaded, out, budget_s), out)


def report(
    project: ProjectFile,
    open_: Annotated[bool, typer.Option("--open", help="Open them in a browser.")] = False,
    json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Say where the exploration report and the model card are; with --json, its numbers too."""
    with running(as_json=json, verbose=verbose) as out:
        from tenfold_jobs.report import find_reports, report_document

        loaded = load_project(project)
        found = find_reports(loaded, out.settings)
        document = report_document(loaded, out.settings) if json else {}
        out.result(document, [f"{name}: {path}" for name, path in found.items() if path])
        if open_:
            for name in ("report", "card"):
                if found[name]:
                    webbrowser.open(Path(str(found[name])).as_uri())


def quarantine(
    project: ProjectFile,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Write all of them, CSV or Parquet by ending."),
    ] = None,
    json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Show the rows of the newest snapshot that could not be mended, and why."""
    with running(as_json=json, verbose=verbose) as out:
        from tenfold_jobs.quarantine import cell_lines, run_quarantine

        found = run_quarantine(load_project(project), out.settings, output=output)
        more = found["cells"] - len(found["first"])
        out.result(
            found,
            [
                f"{found['quarantined']} rows in quarantine",
                *(f"  {one['reason']}: {one['cells']}" for one in found["reasons"]),
                *cell_lines(found["first"]),
                *([f"and {more} more"] if more and output is None else []),
                *([f"all of them: {output}"] if output else []),
            ],
        )


def predict(
    project: ProjectFile,
    input_: Annotated[Path, typer.Option("--input", help=f"Rows: {FORMATS}.")],
    output: Annotated[Path, typer.Option("--output", help="Answers, CSV or Parquet by ending.")],
    on_error: Annotated[
        BadRows,
        typer.Option(help="A row that cannot be read: an empty answer, set aside, or stop."),
    ] = BadRows.NULL,
    encoding: Annotated[
        str | None,
        typer.Option(help="Of CSV, e.g. cp1252; by default what the project's sources declare."),
    ] = None,
    interval: Annotated[
        float | None,
        typer.Option(help="Add an interval, or a set of classes, at this level, e.g. 0.9."),
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Add what each column adds.")] = False,
    json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Score a file with the champion; no endpoint is needed. Killed, it goes on where it was."""
    with running(as_json=json, verbose=verbose) as out:
        from tenfold_jobs.predict import run_predict

        record = run_predict(
            load_project(project),
            out.settings,
            input=input_,
            output=output,
            on_error=on_error.value,
            encoding=encoding,
            level=interval,
            explain=explain,
            progress=out.progress,
            quiet=not out.verbose,
        ).to_dict()
        lines = [f"{record['answered']} rows scored by version {record['version']}: {output}"]
        if record["quarantine"]:
            lines.append(f"rows that could not be read: {record['quarantine']}")
        out.result(record, lines)


def _prepare(project: Project, out: Output) -> dict[str, Any]:
    from tenfold_jobs.prepare import run_prepare

    return run_prepare(
        project, out.settings, progress=out.progress, quiet=not out.verbose
    ).to_dict()


def _prepare_lines(record: dict[str, Any]) -> list[str]:
    grave = [found for found in record["findings"] if found["level"] != "note"]
    n_notes = len(record["findings"]) - len(grave)
    return [
        f"snapshot {record['snapshot'][:12]}: {record['rows']} rows, "
        f"{record['quarantined']} in quarantine"
        + (f", {record['equal']} equal to another" if record["equal"] else "")
        + (f", {record['duplicates']} duplicates dropped" if record["duplicates"] else "")
        + (f", {record['replaced']} replaced by newer rows" if record["replaced"] else ""),
        *(f"{found['level']}: {found['message']}" for found in grave),
        f"report: {record['report']} ({n_notes} note{'' if n_notes == 1 else 's'})",
    ]


def _seconds(budget: str | None) -> float | None:
    return None if budget is None else read_budget(budget)


def _train(project: Project, out: Output, budget_s: float | None) -> dict[str, Any]:
    from tenfold_jobs.train import run_train

    return run_train(
        project,
        out.settings,
        budget_s=budget_s,
        progress=out.progress,
        quiet=not out.verbose,
    ).to_dict()


def segment_lines(found: dict[str, Any] | None) -> list[str]:
    """The verdict, and a line for each segment with what marks it."""
    if found is None:
        return []
    lines = [f"  {found['verdict']}"]
    for one in found["segments"]:
        marks = ", ".join(
            f"{mark['column']} {mark['typical']} (others {mark['others']})"
            for mark in one["marks"][:SHOWN_MARKS]
        )
        lines.append(f"  {one['name']}: {one['n_rows']} rows, {one['share']:.0%}; {marks}")
    return lines


def _finish(record: dict[str, Any], out: Output) -> None:
    """Show a trained model and leave with 3 if a gate was missed."""
    lines = [
        f"{record['project']} version {record['version']} ({record['family']}, "
        f"{record['engine']} engine), {record['alias'] or 'not promoted'}"
    ]
    for name, metric in record["metrics"].items():
        interval = ""
        if metric.get("lower") is not None:
            interval = f"  [{metric['lower']:.4g}, {metric['upper']:.4g}]"
        value = "not known" if metric["value"] is None else f"{metric['value']:.4f}"
        lines.append(f"  {name:<20} {value}{interval}")
    lines += segment_lines(record["segments"])
    for gate in record["gates"]:
        lines.append(f"  gate {gate['gate']}: {'holds' if gate['holds'] else 'MISSED'}")
    lines += [f"report: {record['report']}", f"card:   {record['card']}"]
    out.result(record, lines)
    leave_if_gate_missed(record, out)
