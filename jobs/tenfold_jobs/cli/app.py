"""The commands by name. Bodies live in the job modules, imported when a command runs."""

from __future__ import annotations

import sys
from typing import Any

import typer

from tenfold.errors import UserError
from tenfold_jobs.cli import operate, work
from tenfold_jobs.cli.keys import keys
from tenfold_jobs.cli.output import write_json

__all__ = ["app", "main"]

WrongUse: Any = typer.BadParameter.__base__
"""Click's UsageError, of the click that typer carries."""

app = typer.Typer(
    name="tenfold",
    help="A table and a question in, a monitored endpoint that keeps itself right out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for body in (
    work.init,
    work.check,
    work.plan,
    work.prepare,
    work.train,
    work.run,
    work.report,
    work.quarantine,
    work.predict,
    operate.up,
    operate.down,
    operate.status,
    operate.feedback,
    operate.retrain,
    operate.promote,
    operate.rollback,
    operate.traffic,
    operate.simulate,
    operate.submit,
    operate.demo,
):
    app.command()(body)
app.add_typer(keys)


def main() -> int:
    """The entry point of the command.

    Returns:
        The exit code: 0 done, 1 our fault, 2 the user's fault, 3 a success gate was missed.
    """
    try:
        app(standalone_mode=False)
    except WrongUse as error:  # a word or an option that is not there, or is missing
        error.show()
        if "--json" in sys.argv:
            body = {"kind": "WrongUse", "message": error.format_message(), "exit_code": 2}
            write_json({"error": body}, sys.stdout)
        return UserError.exit_code
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else 1
    return 0
