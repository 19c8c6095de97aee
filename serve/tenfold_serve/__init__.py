"""What keeps running: the Ray Serve application, the aggregator and the keeper."""

from __future__ import annotations
