from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tenfold.errors import StoreError, UserError
from tenfold.settings import Settings
from tenfold.state import open_state


def test_checkpoints_are_replaced_and_survive_reopening(settings: Settings) -> None:
    state = open_state(settings)
    state.put_checkpoint("monitor/adult", b"one")
    state.put_checkpoint("monitor/adult", b"two")
    state.close()
    again = open_state(settings)
    assert again.get_checkpoint("monitor/adult") == b"two"
    assert again.get_checkpoint("monitor/bike") is None
    again.drop_checkpoint("monitor/adult")
    assert again.get_checkpoint("monitor/adult") is None


def test_many_openers_at_once_all_succeed(settings: Settings) -> None:
    with ThreadPoolExecutor(8) as pool:
        states = list(pool.map(lambda _: open_state(settings), range(8)))
    states[0].put_checkpoint("k", b"v")
    assert all(state.get_checkpoint("k") == b"v" for state in states)


def test_a_url_that_is_none_is_the_users_fault(settings: Settings) -> None:
    with pytest.raises(UserError, match="must be a database URL"):
        open_state(dataclasses.replace(settings, state_url="nonsense"))


def test_a_database_in_an_unwritable_place_is_said(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    url = f"sqlite:///{tmp_path}/file/state.db"
    with pytest.raises(StoreError, match="folder cannot be made"):
        open_state(dataclasses.replace(settings, state_url=url))


def test_a_password_never_reaches_a_message(settings: Settings) -> None:
    url = "postgresql://user:s3cret@127.0.0.1:1/none"
    with pytest.raises(StoreError) as caught:
        open_state(dataclasses.replace(settings, state_url=url))
    assert "s3cret" not in str(caught.value)
