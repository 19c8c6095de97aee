from __future__ import annotations

import numpy as np
import pytest

from tenfold.features.codes import Codes
from tenfold.inference import Prediction
from tenfold_serve.flight import Flight
from tenfold_serve.timed import Timed


class Model:
    """It looks at the flight that it is on, or raises."""

    def __init__(self, flight: Flight, *, fails: bool = False) -> None:
        self.flight, self.fails, self.saw = flight, fails, False

    def predict_codes(self, codes: Codes) -> Prediction:
        self.saw = self.flight.in_flight
        if self.fails:
            raise RuntimeError("no")
        return Prediction(codes, ["yes"] * len(codes))


@pytest.mark.parametrize("fails", [False, True])
def test_a_call_is_a_flight_of_a_canary_and_takes_time(*, fails: bool) -> None:
    flight = Flight()
    model = Model(flight, fails=fails)
    timed = Timed(model, flight=flight, version=2)
    try:
        timed.predict_codes(np.zeros((1, 2)))
    except RuntimeError:
        assert fails
    assert model.saw and not flight.in_flight and timed.seconds > 0


def test_a_champions_call_is_no_flight() -> None:
    flight = Flight()
    model = Model(flight)
    timed = Timed(model)
    assert timed.predict_codes(np.zeros((1, 2))).values == ["yes"]
    assert not model.saw and timed.seconds > 0
