"""The private memory of this process: what would be free if it ended."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Peak", "private_bytes", "private_peak"]

_EVERY_S = 0.05


@dataclass
class Peak:
    """The largest that was seen.

    Attributes:
        size_bytes: of private memory.
    """

    size_bytes: int = 0

    @property
    def gb(self) -> float:
        """In 10^9 bytes."""
        return self.size_bytes / 1e9


def private_bytes(pid: int | None = None) -> int:
    """Unique set size of a process, this one if None; Linux.

    Raises:
        OSError: there is no such process.
    """
    lines = Path(f"/proc/{pid or 'self'}/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


@contextmanager
def private_peak() -> Iterator[Peak]:
    """Look at the private memory 20 times a second, for as long as the context lasts.

    A thread looks: work that holds the interpreter's lock for longer is seen at its ends.
    """
    peak, over = Peak(private_bytes()), threading.Event()

    def watch() -> None:
        while not over.wait(_EVERY_S):
            peak.size_bytes = max(peak.size_bytes, private_bytes())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()
        peak.size_bytes = max(peak.size_bytes, private_bytes())
