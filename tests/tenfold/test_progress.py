"""The silent progress shows nothing and hides no error."""

from __future__ import annotations

import pytest

from tenfold.progress import SILENT


def test_it_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    SILENT.say("a line")
    with SILENT.step("search", total=3) as advance:
        advance(1)
        advance(2)
    with SILENT.step("of unknown length", seconds=2.0) as advance:
        advance(0)
        SILENT.show("one tried", worth_a_line=True)
    assert capfd.readouterr() == ("", "")


def test_an_error_inside_a_step_comes_through() -> None:
    with pytest.raises(ValueError, match="mine"), SILENT.step("search"):
        raise ValueError("mine")


def test_steps_nest_and_can_be_taken_again() -> None:
    seen = []
    for _ in range(2):
        with SILENT.step("outer") as outer, SILENT.step("inner") as inner:
            outer(1)
            inner(1)
            seen.append(1)
    assert seen == [1, 1]
