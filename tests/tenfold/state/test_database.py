from __future__ import annotations

import dataclasses
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError

from tenfold.errors import StoreError, UserError
from tenfold.settings import Settings
from tenfold.state import State, open_state


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


def fill_up(state: State) -> None:
    """From now on the database may not grow by a page: what a full disk answers."""

    def limit(connection: Any, _record: object) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")

    event.listen(state.engine, "connect", limit)


def test_a_full_disk_is_the_machine_s_fault_and_names_the_remedy(settings: Settings) -> None:
    state = open_state(settings)
    state.put_checkpoint("monitor/adult", b"old")
    fill_up(state)
    writers: list[Callable[[], object]] = [
        lambda: state.journal.append("adult", "alarm", {"reason": "x" * 100_000}),
        lambda: state.put_checkpoint("monitor/bike", b"x" * 100_000),
        lambda: state.put_checkpoint("monitor/adult", b"x" * 100_000),
    ]
    for write in writers:
        with pytest.raises(StoreError) as caught:
            write()
        assert str(caught.value) == (
            f"the state database {settings.state_url} must take what is decided, and says: "
            "database or disk is full; free space on its disk or point TENFOLD_STATE at another "
            "one, then run the command again"
        )
    again = open_state(settings)
    assert again.get_checkpoint("monitor/adult") == b"old"
    assert again.get_checkpoint("monitor/bike") is None
    assert again.journal.tail("adult") == []


def test_a_file_that_was_replaced_by_rubbish_is_said(settings: Settings, tmp_path: Path) -> None:
    state = open_state(settings)
    (settings.home / "state.db").write_bytes(b"rubbish" * 1000)
    with pytest.raises(StoreError, match="says: file is not a database; let it be reached"):
        state.get_checkpoint("monitor/adult")
    with pytest.raises(StoreError, match="file is not a database"):
        open_state(settings)


def test_a_row_that_is_there_already_is_no_fault_of_the_database(settings: Settings) -> None:
    """Races are decided by it."""
    state = open_state(settings)
    row = text("insert into tenfold_aliases values ('adult', 'champion', 1)")
    with state.engine.begin() as connection:
        connection.execute(row)
        with pytest.raises(IntegrityError):
            connection.execute(row)
