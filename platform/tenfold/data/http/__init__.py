"""JSON APIs as places to pull from: patient requests, pages, records as text columns.

`HttpPlace` is what a source of type ``http`` becomes. Bytes come in through `tenfold.data.guard`.
"""

from __future__ import annotations

from tenfold.data.http.place import HttpPlace, HttpStream
from tenfold.data.http.world import Clock, Limits, World

__all__ = ["Clock", "HttpPlace", "HttpStream", "Limits", "World"]
