"""Who may come in: the route table is walked, keys are rotated and revoked under way."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tenfold.errors import StoreError, UserError
from tenfold.settings import Settings
from tenfold.state import Key, Keys, open_state
from tenfold_serve.access import Access, KeyReader, presented_key
from tenfold_serve.exposure import beyond_loopback, require_keys
from tenfold_serve.http import HttpError
from tests.tenfold_serve.support import Publish, Rig, board_with, rows

ROUTES = {
    ("POST", "/predict"): "predict",
    ("GET", "/docs"): "predict",
    ("GET", "/openapi.json"): "predict",
    ("GET", "/v2"): "predict",
    ("GET", "/v2/models/mixed"): "predict",
    ("GET", "/v2/models/mixed/ready"): "predict",
    ("POST", "/v2/models/mixed/infer"): "predict",
    ("POST", "/v2/models/mixed/versions/1/infer"): "predict",
    ("POST", "/feedback"): "feedback",
    ("GET", "/metrics"): "operate",
}
OPEN = (
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/v2/health/live"),
    ("GET", "/v2/health/ready"),
)


@pytest.fixture
def keys(settings: Settings) -> Keys:
    return Keys(open_state(settings).engine)


def bearer(text: str) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", f"Bearer {text}".encode())]


def closed_rig(tmp_path: Path, publish: Publish, settings: Settings) -> tuple[Rig, Access]:
    access = Access(KeyReader(settings, "mixed"))
    access.refresh()
    return Rig(tmp_path / "live", board_with(publish()), access=access), access


def test_every_route_but_health_needs_a_key_with_its_role(
    tmp_path: Path, publish: Publish, settings: Settings, keys: Keys
) -> None:
    texts = {role: keys.add("mixed", [role])[1] for role in ("predict", "feedback", "operate")}
    rig, _ = closed_rig(tmp_path, publish, settings)
    known = {("POST" if r.method == "POST" else "GET", path) for path, r in rig.app._routes.items()}
    assert known <= set(ROUTES) | set(OPEN)
    for (method, path), needed in ROUTES.items():
        bare = rig.ask(method, path)
        assert bare.status == 401, path
        assert bare.headers[b"www-authenticate"].startswith(b"Basic")
        assert rig.ask(method, path, headers=bearer("tenfold_wrong")).status == 401
        for role, text in texts.items():
            status = rig.ask(method, path, headers=bearer(text)).status
            assert (status == 403) == (role != needed), (path, role, status)
            assert status != 401
    for method, path in OPEN:
        assert rig.ask(method, path).status == 200
    body = {"rows": rows(1)}
    assert rig.ask("POST", "/predict", body, headers=bearer(texts["predict"])).status == 200
    basic = base64.b64encode(b"me:" + texts["predict"].encode())
    page = rig.ask("GET", "/docs", headers=[(b"authorization", b"Basic " + basic)])
    assert page.status == 200
    rig.labels.close()


def test_a_refused_caller_learns_nothing_of_the_model(
    tmp_path: Path, publish: Publish, settings: Settings, keys: Keys
) -> None:
    keys.add("mixed", ["operate"])
    rig, _ = closed_rig(tmp_path, publish, settings)
    for method, path in ROUTES:
        text = rig.ask(method, path).body.decode()
        assert all(column not in text for column in ("amount", "color", "label"))
    rig.labels.close()


def test_without_keys_it_is_open_unless_keys_are_required() -> None:
    opened = Access(list)
    opened.refresh()
    opened.check({}, "predict")
    Access().check({}, "predict")
    closed = Access(list, required=True)
    closed.refresh()
    with pytest.raises(HttpError) as caught:
        closed.check({}, "predict")
    assert (caught.value.status, caught.value.law) == (401, "key")


def test_nobody_comes_in_before_keys_were_read_and_the_last_known_stay() -> None:
    away = True
    known: Sequence[Key] = []

    def read() -> Sequence[Key]:
        if away:
            raise StoreError("the database is away")
        return known

    access = Access(read)
    access.refresh()
    with pytest.raises(HttpError) as caught:
        access.check({}, "predict")
    assert (caught.value.status, caught.value.law) == (503, "keys")
    away = False
    access.refresh()
    access.check({}, "predict")
    away = True
    access.refresh()
    access.check({}, "predict")


def test_rotation_under_load_fails_no_request_and_revoking_takes_two_seconds(
    settings: Settings, keys: Keys
) -> None:
    old, old_text = keys.add("mixed", ["predict"])
    access = Access(KeyReader(settings, "mixed"), period_s=0.2)
    access.start()
    texts = {"old": old_text}
    failures: list[str] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            for name, text in list(texts.items()):
                try:
                    access.check(dict(bearer(text)), "predict")
                except HttpError as error:
                    failures.append(f"{name}: {error.law}")
            time.sleep(0.001)  # a client's pace

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        _, new_text = keys.rotate("mixed", old.id, overlap_s=60)
        assert _until(lambda: _passes(access, new_text)) < 2
        texts["new"] = new_text
        del texts["old"]
        keys.revoke("mixed", old.id)
        assert _until(lambda: not _passes(access, old_text)) < 2
    finally:
        stop.set()
        thread.join()
        access.close()
    assert failures == []
    assert _passes(access, new_text)


def _passes(access: Access, text: str) -> bool:
    try:
        access.check(dict(bearer(text)), "predict")
    except HttpError:
        return False
    return True


def _until(condition: object) -> float:
    assert callable(condition)
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < 10
        time.sleep(0.01)
    return time.monotonic() - start


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (b"Bearer abc", "abc"),
        (b"bearer  abc ", "abc"),
        (b"Basic " + base64.b64encode(b"x:abc"), "abc"),
        (b"Basic !!!", ""),
        (b"Basic " + base64.b64encode(b"abc"), ""),
        (b"Token abc", ""),
        (b"", ""),
        (b"Bearer " + b"x" * 600, ""),
        (b"Bearer \xff", "\xff"),
    ],
)
def test_keys_are_read_from_two_schemes(value: bytes, key: str) -> None:
    assert presented_key({b"authorization": value}) == key


def test_nothing_listens_beyond_loopback_without_a_key(settings: Settings, keys: Keys) -> None:
    with pytest.raises(UserError) as caught:
        require_keys(["mixed"], settings)
    assert str(caught.value) == (
        "project 'mixed' must have a key before it listens beyond loopback; run "
        "`tenfold keys add` first, or leave --host out"
    )
    key, _ = keys.add("mixed", ["predict"])
    require_keys(["mixed"], settings)
    keys.revoke("mixed", key.id)
    with pytest.raises(UserError, match="must have a key"):
        require_keys(["mixed"], settings)


@pytest.mark.parametrize("host", ["localhost", "::1", "", "1.2.3", "example.org"])
def test_a_host_is_an_address(host: str) -> None:
    with pytest.raises(UserError, match="the host is an IPv4 address"):
        beyond_loopback(host)
