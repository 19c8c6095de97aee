"""The token is private, made once, and always stated."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tenfold.canonical import canonical_json, write_atomic
from tenfold.cluster.connect import auth_environment, keeper_address, token_file
from tenfold.cluster.sessions import SessionRecord
from tenfold.errors import ClusterError
from tenfold.settings import Settings


def test_the_token_is_made_once_even_by_racers(settings: Settings) -> None:
    with ThreadPoolExecutor(8) as pool:
        texts = {f.result().read_text() for f in [pool.submit(token_file, settings)] * 1}
        texts |= set(pool.map(lambda _: token_file(settings).read_text(), range(16)))
    assert len(texts) == 1
    assert len(texts.pop()) == 64
    assert token_file(settings).stat().st_mode & 0o777 == 0o600
    assert [p.name for p in settings.home.iterdir()] == ["ray-token"]


def test_a_token_that_others_may_read_is_refused(settings: Settings) -> None:
    token_file(settings).chmod(0o644)
    with pytest.raises(ClusterError, match="mode 644; run chmod 600"):
        token_file(settings)


def test_a_clusters_own_token_is_kept(settings: Settings) -> None:
    assert auth_environment(settings, {"RAY_AUTH_TOKEN": "x"}) == {"RAY_AUTH_MODE": "token"}
    own = auth_environment(settings, {})
    assert own["RAY_AUTH_MODE"] == "token"
    assert own["RAY_AUTH_TOKEN_PATH"] == str(token_file(settings))


def test_only_a_living_keeper_is_joined(settings: Settings, keeper_session: SessionRecord) -> None:
    assert keeper_address(settings) is None
    alive = {**keeper_session.to_dict(), "ray_address": "127.0.0.1:6379"}
    for body, address in (
        (alive, "127.0.0.1:6379"),
        ({**alive, "ray_address": None}, None),
        ({**alive, "pid": 2**22 + 1}, None),
        ({"pid": keeper_session.pid, "ray_address": "127.0.0.1:6379"}, None),
    ):
        write_atomic(settings.keeper / "keeper.json", canonical_json(body))
        assert keeper_address(settings) == address
