"""A table summarized once: the report, the fit, the contract and the monitor's reference."""

from __future__ import annotations

from tenfold.profile.association import CategoryAssociation, NumberAssociation
from tenfold.profile.categories import MAX_CATEGORIES, CategoryProfile
from tenfold.profile.comoments import MAX_COMOMENTS, CoMoments
from tenfold.profile.numbers import MAX_EXACT, NumberProfile
from tenfold.profile.profile import Profile, merge_profiles, profiled_columns
from tenfold.profile.target import ClassStats, NumberStats
from tenfold.profile.texts import N_TEXT_SLOTS, TextProfile

__all__ = [
    "MAX_CATEGORIES",
    "MAX_COMOMENTS",
    "MAX_EXACT",
    "N_TEXT_SLOTS",
    "CategoryAssociation",
    "CategoryProfile",
    "ClassStats",
    "CoMoments",
    "NumberAssociation",
    "NumberProfile",
    "NumberStats",
    "Profile",
    "TextProfile",
    "merge_profiles",
    "profiled_columns",
]
