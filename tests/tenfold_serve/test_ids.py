from __future__ import annotations

import stat
import threading
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.errors import StoreError
from tenfold_serve.ids import ID_LENGTH, IdMaker, load_secret

SECRET = bytes(range(32))


@given(n_rows=st.integers(1, 50), millis=st.integers(0, 2**48 - 1))
def test_ids_are_ordered_distinct_checked_and_tell_their_time(n_rows: int, millis: int) -> None:
    maker = IdMaker(SECRET, project="adult")
    ids = maker.make(n_rows, millis=millis)
    assert ids == sorted(set(ids))
    assert all(len(one) == ID_LENGTH and maker.check(one) for one in ids)
    assert {int(one[:12], 16) for one in ids} == {millis}


def test_the_first_part_is_a_version_7_uuid() -> None:
    for one in IdMaker(SECRET, project="adult").make(200):
        parsed = uuid.UUID(one.split(".")[0])
        assert parsed.version == 7
        assert parsed.variant == uuid.RFC_4122


def test_ids_of_many_requests_never_meet() -> None:
    maker = IdMaker(SECRET, project="adult")
    ids = [one for _ in range(2000) for one in maker.make(3, millis=5)]
    assert len(set(ids)) == len(ids)


@given(position=st.integers(0, ID_LENGTH - 1), digit=st.sampled_from("0123456789abcdef.é"))
def test_one_changed_character_is_found(position: int, digit: str) -> None:
    maker = IdMaker(SECRET, project="adult")
    real = maker.make(1)[0]
    forged = real[:position] + digit + real[position + 1 :]
    assert maker.check(forged) is (forged == real)


@pytest.mark.parametrize("value", [None, 7, "", "x" * ID_LENGTH, "0" * 48, ["a"]])
def test_what_is_no_id_is_refused(value: object) -> None:
    assert not IdMaker(SECRET, project="adult").check(value)


def test_another_project_or_secret_does_not_know_the_id() -> None:
    real = IdMaker(SECRET, project="adult").make(1)[0]
    assert not IdMaker(SECRET, project="bike").check(real)
    assert not IdMaker(SECRET[::-1], project="adult").check(real)


def test_the_secret_is_made_once_and_private(tmp_path: Path) -> None:
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(load_secret(tmp_path))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    path = tmp_path / "secrets" / "prediction-ids"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_cut_secret_is_refused_with_a_remedy(tmp_path: Path) -> None:
    load_secret(tmp_path)
    (tmp_path / "secrets" / "prediction-ids").write_bytes(b"short")
    with pytest.raises(StoreError, match="holds 5 bytes where a secret has 32"):
        load_secret(tmp_path)


def test_a_short_secret_makes_no_ids() -> None:
    with pytest.raises(ValueError, match="at least 32 bytes"):
        IdMaker(b"x", project="adult")
