"""The ``tenfold`` command."""

from __future__ import annotations

from tenfold_jobs.cli.app import app, main

__all__ = ["app", "main"]
