"""A first look at a table: the project file that fits it, and what can be checked without compute.

It stands on `tenfold.project` and on `tenfold.data`, so that neither needs the other for it.
"""

from __future__ import annotations

from tenfold.intake.check import Notice, check_project, refuse_errors
from tenfold.intake.init import init_project

__all__ = ["Notice", "check_project", "init_project", "refuse_errors"]
