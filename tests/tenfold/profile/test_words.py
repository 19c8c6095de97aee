from __future__ import annotations

import pytest

from tenfold.profile.words import as_count, as_percent, as_value, shorten, two_ends


@pytest.mark.parametrize(
    "value, kind, words",
    [
        (2008.0, "integer", "2008"),
        (123456.7, "number", "123,457"),
        (0.000012345, "number", "1.23e-05"),
        (-3.14159, "number", "-3.142"),
        (1e12, "number", "1e+12"),
        (0.0, "boolean", "false"),
        (1.0, "boolean", "true"),
        (1.5e9, "datetime", "2017-07-14 02:40"),
        (1e300, "datetime", "1e+300 s"),
        (float("nan"), "number", "-"),
        (float("inf"), "datetime", "-"),
    ],
)
def test_values_are_short(value: float, kind: str, words: str) -> None:
    assert as_value(value, kind=kind) == words


def test_counts_and_shares() -> None:
    assert [as_count(n) for n in (0, 999, 1234.0, None)] == ["0", "999", "1,234", "-"]
    assert [as_percent(s) for s in (0.0, 1.0, 0.0991, None)] == ["0%", "100%", "9.9%", "-"]


def test_labels_never_grow() -> None:
    assert shorten("x" * 18) == "x" * 18
    assert len(shorten("x" * 19)) == 18


@pytest.mark.parametrize(
    "low, high, words",
    [
        (0.0, 957.0, ("0", "957")),
        (-122.231, -122.208, ("-122.231", "-122.208")),
        (12_285.0, 1_484_705.0, ("0M", "1.5M")),
        (9_435.0, 16_502.0, ("9.4k", "16.5k")),
        (-0.004, 0.5, ("0", "0.5")),
        (5e-324, 1e-323, ("4.94e-324", "9.88e-324")),
        (1e12, 1e12 + 1, ("1e+12", "1e+12")),
    ],
)
def test_the_ends_of_an_axis_are_short_and_differ(
    low: float, high: float, words: tuple[str, str]
) -> None:
    assert two_ends(low, high) == words
    assert max(map(len, words)) <= 9
