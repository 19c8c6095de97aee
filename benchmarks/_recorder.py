"""What benchmarks of the request's own share do with a recorder."""

from __future__ import annotations

from tenfold_serve.recorder import Recorder


def forget(recorder: Recorder) -> None:
    """Drop what waits, uncounted: counting it is not the request's work."""
    recorder._filling.clear()
    recorder._full.clear()
    recorder._requests_waiting = recorder._bytes_waiting = 0
    recorder._rows_taken = recorder._rows_in
