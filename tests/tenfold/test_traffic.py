from __future__ import annotations

import pytest

from tenfold.settings import Settings
from tenfold.state import open_state
from tenfold.traffic import Canary, Shadow, read_canary, read_shadow, write_canary, write_shadow


def test_a_share_is_remembered_for_each_project(settings: Settings) -> None:
    state = open_state(settings)
    assert read_canary(state, "adult") is None
    write_canary(state, "adult", Canary(3, 25))
    assert read_canary(open_state(settings), "adult") == Canary(3, 25)
    assert read_canary(state, "bike") is None


@pytest.mark.parametrize("percent", [-1, 101])
def test_a_share_is_a_percentage(settings: Settings, percent: int) -> None:
    with pytest.raises(ValueError, match="0 to 100 percent"):
        write_canary(open_state(settings), "adult", Canary(1, percent))


def test_a_later_challenger_starts_with_nothing() -> None:
    assert Canary(2, 10).share_of(3) == 0


def test_a_shadow_is_remembered_until_it_is_ended(settings: Settings) -> None:
    state = open_state(settings)
    assert read_shadow(state, "adult") is None
    write_shadow(state, "adult", Shadow(3, 1_700_000_000_000))
    assert read_shadow(open_state(settings), "adult") == Shadow(3, 1_700_000_000_000)
    assert read_shadow(state, "bike") is None
    write_shadow(state, "adult", None)
    assert read_shadow(state, "adult") is None
