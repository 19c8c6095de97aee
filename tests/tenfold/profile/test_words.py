from __future__ import annotations

import pytest

from tenfold.profile.words import as_count, as_percent, as_value, shorten


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
