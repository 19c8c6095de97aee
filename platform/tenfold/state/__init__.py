"""The state database: versions, aliases, the journal of decisions, checkpoints."""

from __future__ import annotations

from tenfold.state.database import State, open_state
from tenfold.state.journal import Entry, Journal

__all__ = ["Entry", "Journal", "State", "open_state"]
