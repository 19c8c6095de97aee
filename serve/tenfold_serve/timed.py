"""A model that tells how long its last call took, and a canary's that it is at work."""

from __future__ import annotations

import time

from tenfold.features.codes import Codes
from tenfold.inference import Prediction
from tenfold_serve.batching import Predicts
from tenfold_serve.flight import Flight

__all__ = ["Timed"]


class Timed:
    """Calls a model and takes the time. One event loop calls it.

    So a request that was scored together with others is charged with a call, and not with the turns
    of the loop that it waited for: with the call that scored it, or, where more waited than fit one
    call, with the newest.

    Args:
        predictor: the model.
        flight: of the replica, where the model is a canary: a crash in a call is its doing.
        version: of the canary.

    Attributes:
        seconds: that the last call took, also where it failed.
    """

    def __init__(
        self, predictor: Predicts, *, flight: Flight | None = None, version: int = 0
    ) -> None:
        self.seconds = 0.0
        self._predictor = predictor
        self._flight = flight
        self._version = version

    def predict_codes(self, codes: Codes) -> Prediction:
        """See `tenfold.inference.Predictor.predict_codes`."""
        start = time.perf_counter()
        if self._flight is not None:
            self._flight.begin(self._version)
        try:
            return self._predictor.predict_codes(codes)
        finally:
            if self._flight is not None:
                self._flight.end()
            self.seconds = time.perf_counter() - start
