"""The ``tenfold`` command as a user types it, and other programs, for tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, Any


def tenfold(
    *words: str, home: Path, code: int = 0, timeout_s: float = 300.0, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run the command and check its exit code."""
    done = subprocess.run(
        [sys.executable, "-m", "tenfold_jobs", *words],
        capture_output=True,
        text=True,
        env={**_environment(home), **environ},
        timeout=timeout_s,
    )
    assert done.returncode == code, f"{words} ended with {done.returncode}: {done.stderr[-3000:]}"
    return done


def start_tenfold(*words: str, home: Path, **environ: str) -> subprocess.Popen[bytes]:
    """Start the command and do not wait; what it prints is thrown away."""
    return subprocess.Popen(
        [sys.executable, "-m", "tenfold_jobs", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**_environment(home), **environ},
    )


def forget(output: IO[str]) -> None:
    """Read what a server prints to its end, in a thread: into a full pipe it could not go on."""

    def read() -> None:
        with suppress(ValueError):  # closed, once the server has ended
            for _ in output:
                pass

    threading.Thread(target=read, daemon=True).start()


def _environment(home: Path) -> dict[str, str]:
    """What a user's shell has, without settings of Ray and ours."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "TENFOLD_"))}
    return {**inherited, "TENFOLD_HOME": str(home)}


def tenfold_json(*words: str, home: Path, code: int = 0, **more: Any) -> dict[str, Any]:
    """Run the command with ``--json`` and parse its one document."""
    document: dict[str, Any] = json.loads(
        tenfold(*words, "--json", home=home, code=code, **more).stdout
    )
    return document
