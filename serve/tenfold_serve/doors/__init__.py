"""The doors: what a request may look like. All lead to one `Scoring`, and so to one predictor."""

from __future__ import annotations

from tenfold_serve.doors.scoring import Answered, Scoring
from tenfold_serve.doors.wants import Wants, wants_of

__all__ = ["Answered", "Scoring", "Wants", "wants_of"]
