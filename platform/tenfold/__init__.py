"""Tenfold: a table and a question in, a monitored endpoint that keeps itself right out."""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
