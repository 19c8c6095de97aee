"""Evidence that something changed, with a stated bound on false alarms however often one looks.

Three parts, all vectorized over streams (one stream per feature, or one for the loss):

`ChangeMixture`
    adds up the evidence for "the change began at step j" over all j, with prior weights that sum
    to one. Under the null each stream's total is a nonnegative supermartingale that starts at one,
    so by Ville's inequality it *ever* reaches ``1/alpha`` with probability at most alpha. Unlike an
    average-run-length level, the bound speaks of the whole life of a model, hence of any horizon
    in it, and does not depend on how fast blocks arrive. Shin, Ramdas, Rinaldo, "E-detectors"
    (2022) is the frame; the price is ``log j + 2 log log j`` nats after j healthy steps.
`BlockConformal`
    bets that a block's score ranks high among all blocks seen so far (reference and live).
    Conformal ranks with random ties are independent and uniform whenever blocks are exchangeable,
    whatever seasonality or autocorrelation is inside a block: Vovk et al., "Retrain or not
    retrain" (2021). Live blocks join the bag, so a short reference costs delay, never validity.
`ProportionDetector`
    bets that losses in [0, 1] have a conditional mean above a bound m: products of
    ``1 + lambda (x - m)``; Waudby-Smith and Ramdas (2024), Podkopaev and Ramdas (2022).

Streams are combined by a union (the largest counts, its level raised by the number of streams):
an average of e-processes that live in different filtrations would have no such bound.

Nothing here reads a clock or a global random state: times and uniform numbers are arguments.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tenfold.monitor.packing import pack, unpack

__all__ = [
    "SCORE_CELLS",
    "BlockConformal",
    "ChangeMixture",
    "ProportionDetector",
    "log_change_prior",
    "score_cell",
]

POWERS = (0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9)
"""Exponents kappa of the bets ``kappa p**(kappa-1)``: from bold (few, extreme ranks) to patient."""

SCORE_CELLS = 96
"""Cells of a block score: six per cent apart, so ties blur a rank by little."""

SCORE_LOW, SCORE_HIGH = 0.1, 25.0
"""Range of a block score in units of ``1/sqrt(block_rows)``; noise alone is at 0.4 to 2."""

SMALLEST_RANK = 1e-9
"""Ranks are not trusted below this: an exact zero would be infinite evidence."""

BET_SHARES = (0.5, 0.25, 0.125, 0.0625, 0.03, 0.015, 0.0075)
"""Alternatives q of a proportion, as shares of the way from its bound to one: near and far."""

EXCESS_NATS = 6.0
"""How far evidence may rise over its level. A cap keeps a supermartingale one, and lets an alarm
end within a few blocks once the data is healthy again."""

Floats = npt.NDArray[np.float64]

_CELLS: Final = np.arange(SCORE_CELLS)
_LOG_POWERS: Final = np.log(np.array(POWERS))
_LESS_ONE: Final = np.array(POWERS) - 1.0


def log_change_prior(step: int) -> float:
    """Log weight of "the change began at this step"; the weights of all steps sum to one.

    ``w_j = g(j) - g(j + 1)`` with ``g(j) = 1 / (1 + log j)``.

    Args:
        step: from 1.

    >>> round(sum(math.exp(log_change_prior(j)) for j in range(1, 10_001)), 3)
    0.902
    """
    here, following = math.log(step), math.log1p(step)
    return math.log(math.log1p(1.0 / step)) - math.log1p(here) - math.log1p(following)


class ChangeMixture:
    """Evidence of F streams and K bets for a change at any time.

    Args:
        n_streams: F, at least 0.
        n_bets: K, at least 1.
        alpha: chance of ever a false alarm over all F streams together.

    One owner calls it, from one thread; `advance` mutates it.
    """

    def __init__(self, n_streams: int, n_bets: int, *, alpha: float) -> None:
        self.alpha = alpha
        self.step = 0
        self._log = np.full((n_streams, n_bets), -np.inf)
        self._cusum = np.zeros((n_streams, n_bets))
        self._since = np.zeros((n_streams, n_bets))
        self._first = np.zeros((n_streams, n_bets), dtype=np.int64)

    @property
    def level(self) -> float:
        """Nats of a stream at which it alarms: ``log(F / alpha)``."""
        return math.log(max(len(self._log), 1) / self.alpha)

    def advance(self, log_bets: Floats, *, now_s: float) -> None:
        """Take the log e-values of one step.

        Args:
            log_bets: ``(F, K)``; 0 where a stream has nothing to say.
            now_s: the step's time, kept for the estimate of the change point.
        """
        self.step += 1
        started = np.logaddexp(self._log, log_change_prior(self.step))
        self._log = np.minimum(started + log_bets, self.level + EXCESS_NATS)
        fresh = self._cusum <= 0.0
        self._since[fresh] = now_s
        self._first[fresh] = self.step
        self._cusum = np.maximum(self._cusum, 0.0) + log_bets

    def log_evidence(self) -> Floats:
        """Nats per stream, ``(F,)``, averaged over the bets; -inf before the first step."""
        if not self._log.size:
            return np.zeros(len(self._log))
        top = self._log.max(axis=1)
        safe = np.where(np.isfinite(top), top, 0.0)
        mean = np.exp(self._log - safe[:, None]).mean(axis=1)
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(mean) + safe)

    def alarmed(self) -> npt.NDArray[np.bool_]:
        """Which streams are at their level now, ``(F,)``."""
        if not (self._log >= self.level).any():  # an average is no more than its largest
            return np.zeros(len(self._log), dtype=np.bool_)
        return self.log_evidence() >= self.level

    def change(self, stream: int) -> tuple[int, float]:
        """First step and time of a stream's present rise: the estimate of its change point."""
        best = int(self._cusum[stream].argmax())
        return int(self._first[stream, best]), float(self._since[stream, best])

    def state(self) -> dict[str, Any]:
        """The whole state as JSON values."""
        return {
            "step": self.step,
            "log": pack(self._log),
            "cusum": pack(self._cusum),
            "since": pack(self._since),
            "first": pack(self._first),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state of `state`."""
        self.step = int(state["step"])
        self._log = unpack(state["log"])
        self._cusum = unpack(state["cusum"])
        self._since = unpack(state["since"])
        self._first = unpack(state["first"])


def score_cell(scores: Floats, *, block_rows: int) -> npt.NDArray[np.int64]:
    """Cell of block scores on the fixed grid that makes the bag small.

    Args:
        scores: largest difference of shares, in [0, 1], any shape.
        block_rows: rows of a block; the grid is in units of ``1/sqrt(block_rows)``.

    Returns:
        int64 in ``[0, SCORE_CELLS)``, rising with the score.
    """
    scaled = np.maximum(np.asarray(scores) * math.sqrt(block_rows), SCORE_LOW)
    place = np.log(scaled / SCORE_LOW) / math.log(SCORE_HIGH / SCORE_LOW) * SCORE_CELLS
    return np.clip(place, 0, SCORE_CELLS - 1).astype(np.int64)


class BlockConformal:
    """Block-conformal e-detector over F streams.

    Args:
        bag: int64 ``(F, SCORE_CELLS)``: how many reference blocks fell into each score cell.
        alpha: chance of ever a false alarm over all streams together.

    Valid when reference and live blocks are exchangeable. A new score function or block size needs
    a new detector.
    """

    def __init__(self, bag: npt.NDArray[np.int64], *, alpha: float) -> None:
        self.bag = bag.astype(np.int64)
        self.mixture = ChangeMixture(len(bag), len(POWERS), alpha=alpha)

    def update(self, cells: npt.NDArray[np.int64], ties: Floats, *, now_s: float) -> Floats:
        """Take one block.

        Args:
            cells: score cell of each stream, ``(F,)``.
            ties: independent uniform numbers in (0, 1], ``(F,)``.
            now_s: the block's end.

        Returns:
            The conformal ranks, ``(F,)``, small where the block is strange.
        """
        streams = np.arange(len(self.bag))
        self.bag[streams, cells] += 1
        equal = self.bag[streams, cells]
        stranger = (self.bag * (cells[:, None] < _CELLS)).sum(axis=1)
        ranks = (stranger + ties * equal) / self.bag.sum(axis=1)
        log_rank = np.log(np.maximum(ranks, SMALLEST_RANK))
        log_bets = _LOG_POWERS + _LESS_ONE * log_rank[:, None]
        self.mixture.advance(log_bets, now_s=now_s)
        return np.asarray(ranks)

    def state(self) -> dict[str, Any]:
        """The whole state as JSON values."""
        return {"bag": pack(self.bag), "mixture": self.mixture.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state of `state`."""
        self.bag = unpack(state["bag"])
        self.mixture.restore(state["mixture"])


class ProportionDetector:
    """Proportion e-detector over F streams of losses or events.

    Args:
        bounds: ``(F,)``, each in (0, 1): the null says that the conditional mean is at most this.
            At 1 or above nothing can be proven and the stream stays silent.
        alpha: chance of ever a false alarm over all streams together.

    Valid when every row's *conditional* mean, given all before it, is at most the bound; no
    independence is needed. Not valid when only the long-run mean is.

    >>> detector = ProportionDetector(np.array([0.1]), alpha=0.01)
    >>> for step in range(8):
    ...     detector.update_counts(np.array([25]), np.array([50]), now_s=float(step))
    >>> detector.mixture.alarmed().tolist(), detector.mixture.change(0)
    ([True], (1, 0.0))
    """

    def __init__(self, bounds: Floats, *, alpha: float) -> None:
        self.bounds = np.asarray(bounds, dtype=np.float64)
        provable = np.minimum(self.bounds, 1.0 - 1e-9)[:, None]
        target = provable + np.array(BET_SHARES) * (1.0 - provable)
        # lambda of the bet that is best when the true proportion is `target`
        self._bets = (target - provable) / (provable * (1.0 - provable))
        self._bets[self.bounds >= 1.0] = 0.0
        self._hit = np.log1p(self._bets * (1.0 - self.bounds[:, None]))
        self._miss = np.log1p(np.maximum(-self._bets * self.bounds[:, None], -1.0 + 1e-12))
        self.mixture = ChangeMixture(len(self.bounds), len(BET_SHARES), alpha=alpha)

    def update_counts(
        self, events: npt.NDArray[np.int64], rows: npt.NDArray[np.int64], *, now_s: float
    ) -> None:
        """Take one batch of yes-or-no rows: ``events`` of ``rows`` in each stream, ``(F,)``."""
        log_bets = events[:, None] * self._hit + (rows - events)[:, None] * self._miss
        self.mixture.advance(log_bets, now_s=now_s)

    def update_losses(self, losses: Floats, *, now_s: float) -> None:
        """Take one batch of losses of the only stream.

        Args:
            losses: ``(n_rows,)`` in [0, 1].
            now_s: the batch's time.
        """
        growth = np.maximum(self._bets[0] * (losses[:, None] - self.bounds[0]), -1.0 + 1e-12)
        self.mixture.advance(np.log1p(growth).sum(axis=0)[None, :], now_s=now_s)

    def state(self) -> dict[str, Any]:
        """The whole state as JSON values."""
        return {"mixture": self.mixture.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state of `state`."""
        self.mixture.restore(state["mixture"])
