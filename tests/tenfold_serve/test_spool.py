from __future__ import annotations

import fcntl
import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tenfold_serve.spool import (
    frame,
    make_folder,
    new_app,
    read_frames,
    recover_journals,
    segment_name,
    segments,
    spool_folder,
)


@given(st.lists(st.binary(max_size=50), max_size=10), st.integers(0, 600))
def test_a_torn_journal_gives_its_whole_frames(bodies: list[bytes], cut: int) -> None:
    data = b"".join(map(frame, bodies))
    kept, left_over = read_frames(data[:cut])
    assert kept == bodies[: len(kept)]
    assert sum(len(frame(body)) for body in kept) + left_over == len(data[:cut])
    assert read_frames(data) == (bodies, 0)


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=5), st.data())
def test_a_changed_bit_ends_the_journal_before_it(bodies: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(map(frame, bodies))
    at = data.draw(st.integers(0, len(whole) - 1))
    broken = bytearray(whole)
    broken[at] ^= 1
    kept, left_over = read_frames(bytes(broken))
    assert kept == bodies[: len(kept)]
    assert len(kept) < len(bodies)
    assert left_over > 0


def test_segments_come_in_the_order_of_their_writer(tmp_path: Path) -> None:
    for app, number in (("b.1", 2), ("a.1", 10), ("a.1", 9), ("b.1", 1)):
        (tmp_path / segment_name("labels", app, number)).touch()
    (tmp_path / segment_name("predictions", "a.1", 1)).touch()
    (tmp_path / "labels-a.1-00000011.journal.open").touch()
    (tmp_path / ".labels-a.1-00000012.journal.new").touch()
    found = [(segment.app, segment.number) for segment in segments(tmp_path, "labels")]
    assert found == [("a.1", 9), ("a.1", 10), ("b.1", 1), ("b.1", 2)]
    assert [s.app for s in segments(tmp_path, "predictions")] == ["a.1"]
    assert segments(tmp_path / "absent", "labels") == []


def test_a_dead_writers_journal_is_finished_and_a_living_ones_is_not(tmp_path: Path) -> None:
    dead = tmp_path / f"{segment_name('labels', 'a.1', 1)}.open"
    alive = tmp_path / f"{segment_name('labels', 'b.1', 1)}.open"
    dead.write_bytes(frame(b"kept"))
    alive.write_bytes(frame(b"still growing"))
    handle = os.open(alive, os.O_RDWR)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        finished = recover_journals(tmp_path)
    finally:
        os.close(handle)
    assert finished == [tmp_path / segment_name("labels", "a.1", 1)]
    assert read_frames(finished[0].read_bytes()) == ([b"kept"], 0)
    assert alive.exists()


def test_folders_are_made_whole(tmp_path: Path) -> None:
    for _ in range(2):
        make_folder(tmp_path / "a" / "b")
        assert (tmp_path / "a" / "b").is_dir()


def test_writers_have_names_of_their_own(tmp_path: Path) -> None:
    assert new_app("Endpoint#x/1") != new_app("Endpoint#x/1")
    assert new_app("").startswith("replica.")
    assert spool_folder(tmp_path, "adult") == tmp_path / "adult" / "spool"
