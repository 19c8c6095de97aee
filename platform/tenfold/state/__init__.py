"""The state database: versions, aliases, the journal of decisions, checkpoints."""

from __future__ import annotations

from tenfold.state.database import State, open_state
from tenfold.state.journal import Entry, Journal
from tenfold.state.keys import ROLES, Key, Keys, KeySet

__all__ = ["ROLES", "Entry", "Journal", "Key", "KeySet", "Keys", "State", "open_state"]
