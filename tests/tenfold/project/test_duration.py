from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.project.duration import parse_duration

LAW = "must be a duration such as 60s, 10m or 1h30m"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("60s", 60), ("10m", 600), ("1h30m", 5400), ("1d", 86400), ("1.5h", 5400), ("1h 30m", 5400)],
)
def test_parse_written(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("wrong", ["", "60", "s", "1x", "-5s", "5s!", True, None, [60], "1h30"])
def test_parse_refuses(wrong: object) -> None:
    with pytest.raises(ValueError, match=f"^{LAW}$"):
        parse_duration(wrong)


@pytest.mark.parametrize("wrong", [-1, math.inf, math.nan, 1e12, "9" * 400 + "d"])
def test_parse_refuses_out_of_range(wrong: object) -> None:
    with pytest.raises(ValueError, match="at most ten years"):
        parse_duration(wrong)


@given(st.integers(0, 100), st.integers(0, 10**4), st.integers(0, 10**6), st.integers(0, 10**6))
def test_parts_add_up(days: int, hours: int, minutes: int, milliseconds: int) -> None:
    seconds = 86_400 * days + 3600 * hours + 60 * minutes + milliseconds / 1000
    found = parse_duration(f"{days}d{hours}h{minutes}m{milliseconds}ms")
    assert math.isclose(found, seconds, abs_tol=1e-9)
