"""Files that cannot be read, spared: told in the quarantine table instead of stopping the job."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tenfold.data.source import RawBlock, Reject, Shard
from tenfold.errors import DataError

__all__ = ["LostShard", "SparedShard"]


@dataclass(frozen=True, slots=True)
class LostShard:
    """A file that cannot be opened: one reject with its path and what is wrong.

    Attributes:
        path: of the file.
        reason: what opening it said.
        schema: the columns that its rows would have had.
    """

    path: str
    reason: str
    schema: pa.Schema

    def read(self) -> RawBlock:
        """No rows and one reject."""
        reject = Reject(0, self.path, f"cannot be read: {self.reason}")
        nothing = np.zeros(0, dtype=np.int64)
        return RawBlock(self.schema.empty_table(), nothing, 1, (reject,))


@dataclass(frozen=True, slots=True)
class SparedShard:
    """A piece of a file; if it cannot be read it is lost, and the file's other pieces are not.

    Attributes:
        shard: the piece.
        path: of the file.
        schema: the columns of its rows.
    """

    shard: Shard
    path: str
    schema: pa.Schema

    def read(self) -> RawBlock:
        """The rows, or one reject in their place."""
        try:
            return self.shard.read()
        except DataError as error:
            return LostShard(self.path, str(error), self.schema).read()
