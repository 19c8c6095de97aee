"""What a process was doing when it died, read by another one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tenfold.features.codes import Codes
from tenfold.inference import Prediction
from tenfold_serve.flight import Flight, InFlight, ended_flights, flights_folder

PROGRAM = """
import sys, time
from pathlib import Path
from tenfold_serve.flight import Flight
flight = Flight(Path(sys.argv[1]))
calls = getattr(flight, sys.argv[3])
calls.begin(3)
time.sleep(0.05)
if sys.argv[2] == "scoring":
    print("ready", flush=True)
    time.sleep(60)
calls.end(3)
print("ready", flush=True)
time.sleep(60)
"""


def dead(path: Path, place: str, when: str) -> None:
    command = [sys.executable, "-c", PROGRAM, str(path), when, place]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stdout.readline() == b"ready\n"
        assert ended_flights(path.parent) == []  # it lives
        os.kill(child.pid, signal.SIGKILL)


@pytest.mark.parametrize("place", ["inside", "beside"])
def test_a_process_that_died_while_its_canary_scored(tmp_path: Path, place: str) -> None:
    dead(tmp_path / "r.1", place, "scoring")
    (found,) = ended_flights(tmp_path)
    assert found.version == 3 and found.in_flight and 0.0 <= found.busy_ratio <= 1.0
    assert ended_flights(tmp_path) == []  # told once


@pytest.mark.parametrize("place", ["inside", "beside"])
def test_a_process_that_died_later(tmp_path: Path, place: str) -> None:
    dead(tmp_path / "r.1", place, "behind")
    (found,) = ended_flights(tmp_path)
    assert found.version == 3 and not found.in_flight and found.busy_ratio > 0.5


def test_one_that_ended_or_never_had_a_canary_says_nothing(tmp_path: Path) -> None:
    folder = flights_folder(tmp_path, "adult")
    assert ended_flights(folder) == []
    closed = Flight(folder / "r.1")
    closed.inside.begin(2)
    closed.inside.end(2)
    closed.close()
    closed.close()
    idle = Flight(folder / "r.2")
    assert [path.name for path in folder.iterdir()] == ["r.2"]
    assert ended_flights(folder) == []
    del idle


def test_a_broken_file_is_removed(tmp_path: Path) -> None:
    (tmp_path / "r.1").write_bytes(b"short")
    assert ended_flights(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_it_also_works_without_a_file() -> None:
    flight = Flight()
    flight.inside.begin(2)
    flight.inside.end(2)
    flight.close()


class Model:
    """It looks at the flight that it is on, or raises."""

    def __init__(self, flight: Flight, *, fails: bool = False) -> None:
        self.flight, self.fails, self.saw = flight, fails, False

    def predict_codes(self, codes: Codes) -> Prediction:
        self.saw = self.flight.in_flight
        if self.fails:
            raise RuntimeError("no")
        return Prediction(codes, ["yes"] * len(codes))


def test_a_call_of_a_canary_is_a_flight() -> None:
    flight = Flight()
    model = Model(flight)
    told = InFlight(model, flight.inside, version=2).predict_codes(np.zeros((1, 2)))
    assert told.values == ["yes"] and model.saw and not flight.in_flight


def test_calls_in_the_loop_and_beside_it_may_overlap() -> None:
    flight = Flight()
    flight.beside.begin(2)
    flight.inside.begin(2)
    flight.inside.end(2)
    assert flight.in_flight
    flight.beside.end(2)
    assert not flight.in_flight


def test_a_call_that_hangs_is_not_the_next_canarys_doing() -> None:
    flight = Flight()
    flight.beside.begin(2)  # and never returns
    flight.beside.begin(3)
    flight.beside.end(3)
    assert not flight.in_flight
    flight.beside.begin(3)
    flight.beside.end(2)  # after all
    assert flight.in_flight


def test_a_flight_ends_also_where_the_canary_fails() -> None:
    flight = Flight()
    model = Model(flight, fails=True)
    with pytest.raises(RuntimeError):
        InFlight(model, flight.inside, version=2).predict_codes(np.zeros((1, 2)))
    assert model.saw and not flight.in_flight
