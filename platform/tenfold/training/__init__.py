"""From a snapshot to a model: folds, search, the last fit, distributed fits, refits."""

from __future__ import annotations
