"""Keys: hashed at rest, shown once, rotated with an overlap, ended for good."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tenfold.errors import UserError
from tenfold.settings import Settings
from tenfold.state import Keys, KeySet, open_state
from tenfold.state.database import now_text
from tenfold.state.keys import split_key


@pytest.fixture
def keys(settings: Settings) -> Keys:
    return Keys(open_state(settings).engine)


def test_a_key_opens_what_its_roles_say(keys: Keys) -> None:
    key, text = keys.add("adult", ["feedback", "predict"], note="the shop")
    found = KeySet(keys.list("adult"))
    assert found.roles(text) == ("predict", "feedback") == key.roles
    assert (found.empty, KeySet(keys.list("bike")).empty) == (False, True)


def test_only_a_hash_is_kept(keys: Keys, settings: Settings) -> None:
    key, text = keys.add("adult", ["predict"])
    name, secret = split_key(text)
    assert name == key.id
    assert len(secret) == 43
    assert key.digest == hashlib.sha256(secret.encode()).hexdigest()
    for path in Path(settings.home).rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes()
    assert "digest" not in key.to_dict()
    assert secret not in repr(key)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-1] + ("A" if text[-1] != "A" else "B"),
        lambda text: text[:-1],
        lambda text: text + "A",
        lambda text: text.upper(),
        lambda text: " " + text,
        lambda text: text.replace("tenfold", "tenfolt"),
        lambda text: "tenfold_00000000_" + text[-43:],
        lambda _text: "",
        lambda _text: "tenfold__",
        lambda _text: "x" * 10_000,
    ],
)
def test_anything_else_opens_nothing(keys: Keys, change: object) -> None:
    _, text = keys.add("adult", ["predict"])
    assert callable(change)
    assert KeySet(keys.list("adult")).roles(change(text)) is None


def test_rotation_has_no_gap_and_ends(keys: Keys) -> None:
    old, old_text = keys.add("adult", ["operate"], note="n")
    new, new_text = keys.rotate("adult", old.id, overlap_s=60)
    found = KeySet(keys.list("adult"))
    assert found.roles(old_text) == found.roles(new_text) == ("operate",)
    assert (new.note, new.id != old.id) == ("n", True)
    ending = next(key for key in keys.list("adult") if key.id == old.id)
    later = (datetime.now(UTC) + timedelta(seconds=61)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert ending.valid(now_text())
    assert not ending.valid(later)
    # Rotated again it does not live longer than was said first.
    keys.rotate("adult", old.id, overlap_s=6000)
    again = next(key for key in keys.list("adult") if key.id == old.id)
    assert again.ends == ending.ends


def test_a_revoked_key_opens_nothing_and_the_project_stays_closed(keys: Keys) -> None:
    key, text = keys.add("adult", ["predict"])
    assert keys.revoke("adult", key.id).ends is not None
    found = KeySet(keys.list("adult"))
    assert found.roles(text) is None
    assert not found.empty
    first = keys.revoke("adult", key.id)
    assert keys.revoke("adult", key.id) == first
    with pytest.raises(UserError, match="has ended and cannot be rotated; add a new one"):
        keys.rotate("adult", key.id, overlap_s=1)


def test_projects_do_not_share_keys(keys: Keys) -> None:
    key, text = keys.add("adult", ["predict"])
    assert KeySet(keys.list("bike")).roles(text) is None
    with pytest.raises(UserError, match="project 'bike' has no key") as caught:
        keys.revoke("bike", key.id)
    assert str(caught.value) == f"project 'bike' has no key '{key.id}'; it has none"


@pytest.mark.parametrize("roles", [[], ["admin"], ["predict", "admin"]])
def test_roles_are_known(keys: Keys, roles: list[str]) -> None:
    with pytest.raises(UserError, match="one or more of the roles predict, feedback, operate"):
        keys.add("adult", roles)
    assert keys.list("adult") == []


@pytest.mark.parametrize("note", ["x" * 101, "a\nb", "\x1b[31m"])
def test_notes_are_short_and_printable(keys: Keys, note: str) -> None:
    with pytest.raises(UserError, match="at most 100 printable characters"):
        keys.add("adult", ["predict"], note=note)
