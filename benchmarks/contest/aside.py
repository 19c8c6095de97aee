"""The tables kept aside, as CSV files: they come with packages of pinned versions."""

from __future__ import annotations

import subprocess
from pathlib import Path

import _environments
from contest.tables import KEPT_ASIDE

__all__ = ["aside_folder"]

_SCRIPT = Path(__file__).with_name("export_aside.py")
_PACKAGES = ("scikit-learn==1.7.2", "statsmodels==0.14.6", "causaldata==0.1.5")


def aside_folder(environments: Path) -> Path:
    """The folder of their files, written on first use.

    Args:
        environments: where environments are kept between runs of the contest.
    """
    folder = environments / "tables"
    if not all((folder / f"{table.name}.csv").exists() for table in KEPT_ASIDE):
        python = _environments.environment("packages", _PACKAGES, folder=environments)
        subprocess.run([str(python), str(_SCRIPT), str(folder)], check=True)
    return folder
