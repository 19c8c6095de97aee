"""The contestants: each is a script that one Python runs, ours like the others.

A script gets one argument, a JSON file ``{train, test, task, target, seconds, seed, out, preset}``,
and writes into ``out``: ``scores.npy``, float64 (n_rows, k), and ``facts.json`` with ``classes``
(names of the score columns), ``row_ms`` (median of single rows, preparation included), ``chosen``
(what it made, in words) and ``version``. The runner takes the wall time of the whole process.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import _environments

__all__ = ["SYSTEMS", "System", "environment"]

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class System:
    """A contestant: its script, what its environment installs (None: this one), and its preset."""

    name: str
    script: str
    installs: tuple[str, ...] | None = None
    preset: str = ""


_AUTOGLUON = ("torch==2.13.0", "autogluon.tabular[lightgbm,catboost,xgboost,fastai]==1.6.1")

SYSTEMS = (
    System("tenfold", "run_tenfold.py"),
    System("xgboost", "run_xgboost.py"),
    System("flaml", "run_flaml.py", ("flaml[automl]==2.6.0", "xgboost==2.1.4")),
    System("autogluon-medium", "run_autogluon.py", _AUTOGLUON, "medium_quality"),
    System("autogluon-good", "run_autogluon.py", _AUTOGLUON, "good_quality"),
    System("autogluon-high", "run_autogluon.py", _AUTOGLUON, "high_quality"),
)


def environment(system: System, folder: Path) -> Path:
    """The Python that runs a system; its environment is made on first use.

    Args:
        system: which.
        folder: where environments are kept between runs of the contest.
    """
    if system.installs is None:
        return Path(sys.executable)
    name = system.script.removeprefix("run_").removesuffix(".py")
    return _environments.environment(name, system.installs, folder=folder)
