from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tenfold.cluster.sessions import (
    MARKER,
    SessionRecord,
    alive,
    end_session,
    members,
    session_led_by,
)
from tenfold.errors import ClusterError

# A leader with two children: one in its session, one that calls setsid itself.
LEADER = """
import json, os, subprocess, sys, time
from tenfold.cluster.sessions import open_session
session = open_session()
sleeper = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
inside = subprocess.Popen(sleeper, stdout=subprocess.PIPE)
outside = subprocess.Popen(sleeper, stdout=subprocess.PIPE, start_new_session=True)
inside.stdout.readline(); outside.stdout.readline()
print(json.dumps({**session.to_dict(), "inside": inside.pid, "outside": outside.pid}), flush=True)
time.sleep(600)
"""


@pytest.fixture
def leader() -> Iterator[tuple[subprocess.Popen[str], dict[str, int]]]:
    env = {**os.environ, MARKER: "of an outer session"}
    command = [sys.executable, "-c", LEADER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        try:
            yield process, told
        finally:
            for pid in (told["pid"], told["inside"], told["outside"]):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue


def exists(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_session_is_ended_with_children_that_left_it(leader) -> None:
    _process, told = leader
    session = SessionRecord.from_dict(told)
    assert alive(session)
    assert session.marker != "of an outer session"
    assert set(members(session)) == {told["pid"], told["inside"], told["outside"]}
    assert members(session)[0] == told["pid"]
    end_session(session, grace_s=2)
    assert not alive(session)
    assert not any(exists(told[name]) for name in ("pid", "inside", "outside"))


def test_what_a_killed_leader_left_behind_is_ended(leader) -> None:
    process, told = leader
    session = SessionRecord.from_dict(told)
    os.kill(told["pid"], signal.SIGKILL)
    process.wait(5)
    assert not alive(session)
    assert set(members(session)) == {told["inside"], told["outside"]}
    assert set(end_session(session, grace_s=1)) == {told["inside"], told["outside"]}
    assert end_session(session, grace_s=1) == []


def test_a_stranger_with_the_same_numbers_is_left_alone(leader) -> None:
    process, told = leader
    session = SessionRecord.from_dict(told)
    later = dataclasses.replace(session, started=session.started - 1, marker="another")
    assert not alive(later)
    assert end_session(later, grace_s=0.1) == []
    assert process.poll() is None
    assert exists(told["inside"])


def test_a_record_of_an_earlier_boot_means_nothing_is_left(leader) -> None:
    _process, told = leader
    session = dataclasses.replace(SessionRecord.from_dict(told), boot="an earlier one")
    assert not alive(session)
    assert members(session) == []
    assert end_session(session, grace_s=0.1) == []
    assert exists(told["inside"])


CALLER = """
import os
from tenfold.cluster.sessions import alive, members, open_session
session = open_session()
print(alive(session), session.pid == os.getpid(), members(session) == [])
"""


def test_the_calling_process_is_never_a_member() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CALLER], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "True", "True"]


def test_only_a_leader_has_a_session(leader) -> None:
    _process, told = leader
    assert session_led_by(told["pid"], marker=told["marker"]) == SessionRecord.from_dict(told)
    for pid in (told["inside"], 0, 2**22 + 1):
        with pytest.raises(ClusterError) as caught:
            session_led_by(pid, marker="")
        assert str(caught.value) == f"process {pid} must run and lead a session, and does not"
