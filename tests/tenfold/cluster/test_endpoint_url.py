"""A keeper is running if its record says so and its process is that very one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tenfold.canonical import canonical_json, write_atomic
from tenfold.cluster.keeper import endpoint_url, read_keeper, running_keeper
from tenfold.cluster.sessions import SessionRecord
from tenfold.errors import UserError
from tenfold.settings import Settings

Write = Callable[..., dict[str, Any]]


@pytest.fixture
def write(settings: Settings, keeper_session: SessionRecord) -> Write:
    """Writes the record of a living session, with changes, as a keeper writes it."""

    def write(**changes: Any) -> dict[str, Any]:
        urls = {name: f"http://127.0.0.1:1/{name}" for name in ("beta", "alpha")}
        body = {**keeper_session.to_dict(), "port": 1, "urls": urls, **changes}
        write_atomic(settings.keeper / "keeper.json", canonical_json(body))
        return body

    return write


def test_without_a_record_nothing_runs(settings: Settings) -> None:
    assert read_keeper(settings) is None
    assert running_keeper(settings) is None
    with pytest.raises(UserError) as caught:
        endpoint_url(settings, "alpha")
    assert str(caught.value) == ("no endpoint is running here; start it with `tenfold up PROJECT`")


def test_a_living_keeper_is_found_with_all_it_wrote(settings: Settings, write: Write) -> None:
    body = write(ready=True)
    assert read_keeper(settings) == running_keeper(settings) == body
    assert endpoint_url(settings, "alpha") == "http://127.0.0.1:1/alpha"


@pytest.mark.parametrize(
    "changes",
    [{"started": -1}, {"boot": "another boot"}, {"pid": 2**22 + 1, "session": 2**22 + 1}],
    ids=["another process of that number", "an earlier boot", "no process"],
)
def test_a_dead_keeper_is_known_and_not_running(
    settings: Settings, write: Write, changes: dict[str, Any]
) -> None:
    body = write(**changes)
    assert read_keeper(settings) == body
    assert running_keeper(settings) is None
    with pytest.raises(UserError, match="no endpoint is running here"):
        endpoint_url(settings, "alpha")


def test_a_project_that_is_not_served_is_told_with_those_that_are(
    settings: Settings, write: Write
) -> None:
    write()
    with pytest.raises(UserError) as caught:
        endpoint_url(settings, "gamma")
    assert str(caught.value) == (
        "the running endpoint serves ['alpha', 'beta'], not 'gamma'; "
        "run `tenfold down`, then `tenfold up` with all projects"
    )


@pytest.mark.parametrize(
    "text", [b"", b"{", b"\xff", b"[]", b"7", b"{}", b'{"pid": 1}', b'{"pid": "x"}']
)
def test_a_damaged_record_is_no_record(settings: Settings, text: bytes) -> None:
    write_atomic(settings.keeper / "keeper.json", text)
    assert read_keeper(settings) is None
    assert running_keeper(settings) is None
