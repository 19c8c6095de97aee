"""Which columns a model asks for: an association filter, then gain against shuffled copies."""

from __future__ import annotations

from tenfold.features.select.shadows import MAX_SHADOWS, add_shadows, beats_shadows
from tenfold.features.select.strongest import MAX_COMPARED, strongest

__all__ = ["MAX_COMPARED", "MAX_SHADOWS", "add_shadows", "beats_shadows", "strongest"]
