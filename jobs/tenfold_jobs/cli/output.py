"""What the user sees: one JSON document or a few lines on standard output, the rest on stderr."""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as RichProgress
from rich.text import Text

from tenfold.errors import GateMissed, RequestError, TenfoldError
from tenfold.progress import Advance
from tenfold.settings import Settings

__all__ = ["ConsoleProgress", "Output", "leave_if_gate_missed", "running"]

SLOW_STEP_S = 2.0
"""A step that took longer is worth a line with its time when no bar can be drawn."""

EXIT_INTERRUPTED = 130


class ConsoleProgress:
    """Progress on a stream: bars where it is a terminal, plain lines elsewhere.

    Args:
        stream: standard error, or any text stream.
    """

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, highlight=False)
        self._bars: RichProgress | None = None
        self._tasks: list[tuple[TaskID, str]] = []

    def say(self, text: str) -> None:
        """Print one line, above a bar if one is drawn."""
        self._console.print(text, markup=False, soft_wrap=True)

    def show(self, text: str, *, worth_a_line: bool) -> None:
        """Beside the innermost bar if one is drawn, else a line if it is worth one."""
        if self._bars is not None and self._tasks:
            task, name = self._tasks[-1]
            self._bars.update(task, description=f"{name}: {text}", refresh=True)
        elif worth_a_line:
            self.say(text)

    @contextmanager
    def step(
        self, name: str, *, total: int | None = None, seconds: float | None = None
    ) -> Iterator[Advance]:
        """Draw a bar while the step runs; steps may be nested."""
        if self._console.is_terminal:
            yield from self._drawn(name, total, seconds)
            return
        start = time.monotonic()
        yield lambda _n: None
        elapsed_s = time.monotonic() - start
        if elapsed_s >= SLOW_STEP_S:
            self.say(f"{name}: {elapsed_s:.1f} s")

    def _drawn(self, name: str, total: int | None, seconds: float | None) -> Iterator[Advance]:
        outermost = self._bars is None
        bars = self._bars or RichProgress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TimeElapsedColumn(),
            _LeftColumn(),
            console=self._console,
            transient=True,
        )
        self._bars = bars
        if outermost:
            bars.start()
        task = bars.add_task(name, total=total, seconds=seconds)
        self._tasks.append((task, name))
        try:
            yield lambda n: bars.advance(task, n)
        finally:
            self._tasks.pop()
            bars.remove_task(task)
            if outermost:
                bars.stop()
                self._bars = None


class _LeftColumn(ProgressColumn):
    """The seconds that a step may still take, where it has a limit."""

    def render(self, task: Task) -> Text:
        """Counted down."""
        seconds = task.fields.get("seconds")
        if seconds is None or task.elapsed is None:
            return Text("")
        return Text(f"{max(0.0, seconds - task.elapsed):.0f} s left")


class Output:
    """Where one command writes.

    Args:
        stdout: where the result goes.

    Attributes:
        progress: for the steps that take a while; writes to standard error.
        verbose: whether Ray's own chatter and tracebacks may be seen.
    """

    def __init__(self, *, as_json: bool, verbose: bool, stdout: TextIO) -> None:
        self.stdout = stdout
        self.as_json = as_json
        self.verbose = verbose
        self.progress = ConsoleProgress(sys.stderr)

    @cached_property
    def settings(self) -> Settings:
        """The deployment settings of this process, read when a command first asks for them.

        Inside the command's body, so that a wrong one is told as every other mistake.

        Raises:
            UserError: a variable breaks its law.
        """
        return Settings.from_env()

    def result(self, document: dict[str, Any], lines: Sequence[str] = ()) -> None:
        """Write the command's one result: the document with ``--json``, else the lines."""
        if self.as_json:
            write_json(document, self.stdout)
            return
        for line in lines:
            self.stdout.write(f"{line}\n")
        self.stdout.flush()


def write_json(document: dict[str, Any], stdout: TextIO) -> None:
    """One JSON document and a newline."""
    stdout.write(json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False) + "\n")
    stdout.flush()


@contextmanager
def own_stdout(*, verbose: bool) -> Iterator[TextIO]:
    """Standard output for the result alone.

    What libraries print there meanwhile, also from native code, goes to standard error with ``-v``
    and nowhere without: one JSON document stays one JSON document.
    """
    try:
        number = sys.stdout.fileno()
    except (OSError, ValueError):  # it is captured, by a test or a notebook
        yield sys.stdout
        return
    sys.stdout.flush()
    mine = os.dup(number)
    other = os.dup(2) if verbose else os.open(os.devnull, os.O_WRONLY)
    os.dup2(other, number)
    os.close(other)
    try:
        with os.fdopen(os.dup(mine), "w", encoding=sys.stdout.encoding) as stream:
            yield stream
    finally:
        sys.stdout.flush()
        os.dup2(mine, number)
        os.close(mine)


def leave_if_gate_missed(record: dict[str, Any], out: Output) -> None:
    """End the command with 3 if a gate of the record was missed; its document was written already.

    Raises:
        SystemExit: with 3.
    """
    missed = [gate["gate"] for gate in record["gates"] if not gate["holds"]]
    if missed:
        out.progress.say(
            f"gate missed: version {record['version']} is registered and not promoted: "
            f"{', '.join(missed)}"
        )
        raise SystemExit(GateMissed.exit_code)


@contextmanager
def running(*, as_json: bool, verbose: bool) -> Iterator[Output]:
    """Run a command's body; every error becomes one message and the right exit code.

    Raises:
        SystemExit: with 1 (our fault), 2 (the user's fault), 3 (a gate was missed), 130 (Ctrl-C).
    """
    with own_stdout(verbose=verbose) as stdout:
        out = Output(as_json=as_json, verbose=verbose, stdout=stdout)
        try:
            yield out
        except TenfoldError as error:
            _fail(error, str(error), code=error.exit_code, out=out)
        except KeyboardInterrupt as error:
            _fail(error, "interrupted", code=EXIT_INTERRUPTED, out=out)
        except BrokenPipeError:
            sys.stderr.close()  # the reader went away: nobody is there to be told
            raise SystemExit(1) from None
        except Exception as error:  # noqa: BLE001 - the last defense: a message, no traceback
            text = f"{type(error).__name__}: {error} (this is a fault of tenfold; -v shows where)"
            _fail(error, text, code=1, out=out)


def _fail(error: BaseException, text: str, *, code: int, out: Output) -> None:
    if out.verbose:
        traceback.print_exception(error)
    sys.stderr.write(f"error: {text}\n")
    if out.as_json:
        body: dict[str, Any] = {"kind": type(error).__name__, "message": text, "exit_code": code}
        if isinstance(error, RequestError) and error.items:
            body["items"] = error.items
        write_json({"error": body}, out.stdout)
    raise SystemExit(code)
