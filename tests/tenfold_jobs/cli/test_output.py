from __future__ import annotations

import io
import json

import pytest

from tenfold.errors import GateMissed, RequestError, StoreError, UserError
from tenfold_jobs.cli.output import ConsoleProgress, running


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UserError("u"), 2),
        (StoreError("s"), 1),
        (GateMissed("g"), 3),
        (ZeroDivisionError("z"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_error_has_its_exit_code(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught, running(as_json=False, verbose=False):
        raise error
    assert caught.value.code == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: ")
    assert "Traceback" not in shown.err


def test_verbose_shows_where(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), running(as_json=False, verbose=True):
        raise UserError("here")
    assert "Traceback" in capsys.readouterr().err


def test_an_error_is_one_json_document_too(capsys: pytest.CaptureFixture[str]) -> None:
    items = [{"row": 0, "column": "age", "reason": "'x' is not a number"}]
    with pytest.raises(SystemExit), running(as_json=True, verbose=False):
        raise RequestError("row 0 is wrong", items=items)
    document = json.loads(capsys.readouterr().out)
    assert document == {
        "error": {
            "kind": "RequestError",
            "message": "row 0 is wrong",
            "exit_code": 2,
            "items": items,
        }
    }


def test_results_go_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    with running(as_json=True, verbose=False) as out:
        out.result({"a": 1}, ["never shown"])
    assert json.loads(capsys.readouterr().out) == {"a": 1}
    with running(as_json=False, verbose=False) as out:
        out.result({"a": 1}, ["one", "two"])
        out.progress.say("on the side")
    shown = capsys.readouterr()
    assert shown.out == "one\ntwo\n"
    assert shown.err == "on the side\n"


def test_markup_in_data_is_printed_as_it_is() -> None:
    stream = io.StringIO()
    ConsoleProgress(stream).say("column '[red]x[/red]' is odd")
    assert stream.getvalue() == "column '[red]x[/red]' is odd\n"


def test_quick_steps_are_silent_where_there_is_no_terminal() -> None:
    stream = io.StringIO()
    with ConsoleProgress(stream).step("quick", total=3) as advance:
        advance(3)
    assert stream.getvalue() == ""


def test_a_terminal_gets_a_bar() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    progress = ConsoleProgress(stream)
    with progress.step("outer", total=2) as advance, progress.step("inner"):
        advance(1)
    assert "outer" in stream.getvalue()


def test_how_a_step_stands_is_a_line_where_there_is_no_terminal() -> None:
    stream = io.StringIO()
    progress = ConsoleProgress(stream)
    with progress.step("search", seconds=60.0):
        progress.show("1 tried", worth_a_line=False)
        progress.show("2 tried, best 0.9", worth_a_line=True)
    assert stream.getvalue() == "2 tried, best 0.9\n"


def test_how_a_step_stands_is_drawn_beside_its_bar_with_the_time_left() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    progress = ConsoleProgress(stream)
    with progress.step("all"), progress.step("search", seconds=60.0) as advance:
        progress.show("2 tried, best [0.9]", worth_a_line=False)
        advance(1)
    shown = stream.getvalue()
    assert "search: 2 tried, best [0.9]" in shown
    assert "60 s left" in shown
