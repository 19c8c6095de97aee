"""A canary whose calls are slow, or may be: they leave the event loop for a thread of their own.

Champion and canary share a replica's loop. A canary's call in it makes the champion's requests
wait, for ever where it hangs. So a canary begins **aside**, in a thread, and comes into the loop
when 200 calls in a row were quick; one slow call there sends it back, for twice as many. What it
does not answer in time the champion answers (`tenfold_serve.doors.scoring`).

A call is slow when it takes over 5 ms for what one row costs, and over twice what the champion took
when it was loaded. Aside a request waits a second for what one row costs, five at most. The same
model gives the same bits in any thread.

Native code that keeps Python's lock while it hangs stops the whole interpreter, and one that
crashes ends it: a thread cannot help there, and the supervisor counts the replica's death.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from tenfold.features.codes import Codes
from tenfold.inference import Prediction
from tenfold.monitor.arms import SLOW_EDGES_S
from tenfold_serve.arm_counts import LATE_S, ROWS_LIKE_ONE
from tenfold_serve.flight import Flight, InFlight
from tenfold_serve.lane import Crowded, Lane, Late
from tenfold_serve.worker import Done

if TYPE_CHECKING:
    from collections.abc import Callable

    from tenfold_serve.arms import Arm

__all__ = ["PROVEN_CALLS", "Aside"]

PROVEN_CALLS: Final = 200
"""Quick calls in a row after which a canary is taken into the loop: one that is slow on a row in
twenty is found out with a chance of 99.996 %."""

_SLOW_RATIO: Final = 2.0
"""As for the guard (`tenfold.monitor.canary`): slower than so is slower than the champion."""
_WAIT_S: Final = SLOW_EDGES_S[-1]
_EXPLAIN_S: Final = 20.0
"""The first explanation of a model tries its explainer in a child process, which takes seconds."""
_LOCK_S: Final = 0.025
"""A call in a thread waits for Python's lock some times, up to 5 ms each; in the loop it does not.
Waiting up to this is not the model's: of a good canary in a full replica (3,900 requests/s) two
calls in a hundred took over 5 ms by the clock, the slowest percent 31 ms with their turn."""
_SWITCH_S: Final = 0.0005
"""How long a thread may keep Python's lock from others, once a replica has met a slow canary; 5 ms
is Python's own. Beside one that computes in Python a turn of the loop took 11.5 ms with that, 3
with this, 2 alone. It stays: what hangs may go on for as long as the process."""


class _Answered(NamedTuple):
    prediction: Prediction
    seconds: float


class Aside:
    """Where the calls of one canary are made. One event loop calls it.

    Args:
        canary: the model.
        champion: that answers beside it.
        flight: of the replica.

    Attributes:
        aside: whether its calls leave the loop.
        bound_s: seconds from which a call for one row is slow.
        model: it, called in the loop.
    """

    def __init__(self, canary: Arm, champion: Arm, flight: Flight) -> None:
        self.aside = True
        self.bound_s = max(SLOW_EDGES_S[0], _SLOW_RATIO * champion.row_s)
        self.model = InFlight(canary.predictor, flight.inside, version=canary.version)
        self._model = InFlight(canary.predictor, flight.beside, version=canary.version)
        self._lane = Lane(f"canary-{canary.version}")
        self._explaining = Lane(f"canary-{canary.version}-explains")
        self._wanted = PROVEN_CALLS
        self._quick = 0
        self._slow = 0  # calls in a row; the first of all may be, while all else is loaded, too

    async def call(self, codes: Codes) -> _Answered:
        """Ask it beside the loop.

        Args:
            codes: float64 (n_rows, n_columns), at least one row.

        Returns:
            The answer and the seconds that the model took, waiting for its turn and for Python's
            lock left out.

        Raises:
            Late: there is none in time.
            Crowded: too many ask at once, and it is quick.
            Exception: what the model raises.
        """
        model, n_rows = self._model, len(codes)
        limit = self.limit_s(n_rows)
        try:
            done = await self._lane.run(lambda: model.predict_codes(codes), limit_s=limit)
        except Late:
            self._judge(slow=True)
            raise
        except Crowded as error:
            if self._slow > 1:
                raise Late(limit) from error
            raise
        seconds = _own_s(done)
        self._judge(slow=seconds > self.bound_s * _like(n_rows))
        return _Answered(cast("Prediction", done.value), seconds)

    async def explain(self, work: Callable[[], object]) -> object:
        """Have it explained beside the loop.

        Raises:
            Late: not in time.
            Crowded: too many ask at once.
            Exception: what the explainer raises.
        """
        return (await self._explaining.run(work, limit_s=_EXPLAIN_S)).value

    def limit_s(self, n_rows: int) -> float:
        """Seconds that a request of so many rows waits for it."""
        return min(LATE_S, max(_WAIT_S, self.bound_s) * _like(n_rows))

    def took(self, seconds: float, n_rows: int) -> None:
        """Judge a call in the loop that took longer than `bound_s`."""
        if seconds > self.bound_s * _like(n_rows):
            self.aside, self._quick = True, 0
            self._wanted *= 2

    def _judge(self, *, slow: bool) -> None:
        self._slow = self._slow + 1 if slow else 0
        self._quick = 0 if slow else self._quick + 1
        if slow and sys.getswitchinterval() > _SWITCH_S:
            sys.setswitchinterval(_SWITCH_S)
        if self._quick >= self._wanted:
            self.aside = False


def _own_s(done: Done) -> float:
    """Seconds that are the work's own."""
    return done.cpu_s if done.seconds - done.cpu_s <= _LOCK_S else done.seconds


def _like(n_rows: int) -> float:
    """How many times what one row costs."""
    return 1.0 + (n_rows - 1) / ROWS_LIKE_ONE
