"""Files on web servers and object stores, copied once and then read like any file.

`RemoteFiles` is what a file source with an address becomes; `is_remote` tells which ones those are.
"""

from __future__ import annotations

from tenfold.data.remote.address import is_remote
from tenfold.data.remote.files import RemoteFiles

__all__ = ["RemoteFiles", "is_remote"]
