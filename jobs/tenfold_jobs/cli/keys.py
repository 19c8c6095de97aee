"""``tenfold keys``: who may use an endpoint."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from tenfold.project import load_project
from tenfold_jobs.cli.options import AsJson, ProjectFile, Verbose
from tenfold_jobs.cli.output import running

__all__ = ["keys"]


class Role(StrEnum):
    """What a key may do."""

    PREDICT = "predict"
    FEEDBACK = "feedback"
    OPERATE = "operate"


KeyName = Annotated[str, typer.Argument(metavar="KEY", help="The key's name: eight digits.")]

keys = typer.Typer(
    name="keys",
    help="Make, list, rotate and revoke the keys of an endpoint.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@keys.command()
def add(
    project: ProjectFile,
    role: Annotated[list[Role], typer.Option(help="What it may do; may be given several times.")],
    note: Annotated[str, typer.Option(help="Who has it.")] = "",
    json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Make a key; its text is shown once."""
    with running(as_json=json, verbose=verbose) as out:
        from tenfold_jobs.keys import add_key

        roles = [one.value for one in role]
        record = add_key(load_project(project).name, out.settings, roles=roles, note=note)
        out.result(record, _new_key(record))


@keys.command("list")
def list_(project: ProjectFile, json: AsJson = False, verbose: Verbose = False) -> None:
    """Show the keys, never their texts."""
    with running(as_json=json, verbose=verbose) as out:
        from tenfold_jobs.keys import list_keys

        record = list_keys(load_project(project).name, out.settings)
        lines = [
            f"{key['id']}  {','.join(key['roles'])}  {'valid' if key['valid'] else 'ended'}"
            + (f" until {key['ends']}" if key["ends"] else "")
            + (f"  {key['note']}" if key["note"] else "")
            for key in record["keys"]
        ]
        out.result(record, lines or ["no keys: the endpoint is open, on loopback only"])


@keys.command()
def rotate(
    project: ProjectFile,
    name: KeyName,
    overlap: Annotated[
        str, typer.Option(metavar="TIME", help="How long the old key stays valid, such as 10m.")
    ] = "24h",
    json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Make a key in another's place; both are valid for a while."""
    with running(as_json=json, verbose=verbose) as out:
        from tenfold_jobs.keys import parse_overlap, rotate_key

        record = rotate_key(
            load_project(project).name,
            out.settings,
            name=name,
            overlap_s=parse_overlap(overlap),
        )
        out.result(record, [*_new_key(record), f"{name} stays valid for {overlap}"])


@keys.command()
def revoke(
    project: ProjectFile, name: KeyName, json: AsJson = False, verbose: Verbose = False
) -> None:
    """End a key; a running endpoint refuses it within two seconds."""
    with running(as_json=json, verbose=verbose) as out:
        from tenfold_jobs.keys import revoke_key

        record = revoke_key(load_project(project).name, out.settings, name=name)
        out.result(record, [f"{name} has ended"])


def _new_key(record: dict[str, object]) -> list[str]:
    return [f"{record['key']}", "shown once: keep it now; send it as Authorization: Bearer KEY"]
