"""A table summarized once: the report, the fit, the contract and the monitor's reference."""

from __future__ import annotations

from tenfold.profile.association import CategoryAssociation, NumberAssociation
from tenfold.profile.categories import MAX_CATEGORIES, CategoryProfile
from tenfold.profile.comoments import MAX_COMOMENTS, CoMoments
from tenfold.profile.course import Axis, Course
from tenfold.profile.numbers import MAX_EXACT, NumberProfile
from tenfold.profile.profile import Profile, ProfileScan, merge_profiles, profiled_columns
from tenfold.profile.sample import SAMPLE_ROWS, Sample
from tenfold.profile.survey import MAX_SURVEYED, Survey, surveyed_columns
from tenfold.profile.target import ClassStats, NumberStats
from tenfold.profile.texts import N_TEXT_SLOTS, TextProfile

__all__ = [
    "MAX_CATEGORIES",
    "MAX_COMOMENTS",
    "MAX_EXACT",
    "MAX_SURVEYED",
    "N_TEXT_SLOTS",
    "SAMPLE_ROWS",
    "Axis",
    "CategoryAssociation",
    "CategoryProfile",
    "ClassStats",
    "CoMoments",
    "Course",
    "NumberAssociation",
    "NumberProfile",
    "NumberStats",
    "Profile",
    "ProfileScan",
    "Sample",
    "Survey",
    "TextProfile",
    "merge_profiles",
    "profiled_columns",
    "surveyed_columns",
]
