"""Try an artifact in a child process before this one touches it.

A model file that passes its digests was once written by us; it can still crash an engine of another
version or machine. The child has limits on memory, time and files, may not unpickle, write or start
programs, and must reproduce the golden rows. It may die; the caller lives and knows why.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tenfold.errors import ArtifactError

__all__ = ["PROBE_MODULE", "ProbeResult", "probe"]

PROBE_MODULE = "tenfold.inference.probe_child"

DEFAULT_TIMEOUT_S = 60.0
"""Importing an engine takes 1-2 s on a busy laptop, scoring 64 rows nothing."""

_KEPT_VARIABLES = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TMPDIR")
"""The child gets no secrets: tokens and passwords stand in the other variables."""

_TAIL_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What the child said.

    Attributes:
        ok: whether it loaded the model and reproduced the golden rows.
        reason: why not, in words; empty if ok.
        n_rows: golden rows compared.
        seconds: from start to end of the child.
        peak_bytes: most memory that the child held.
    """

    ok: bool
    reason: str
    n_rows: int
    seconds: float
    peak_bytes: int

    def require(self) -> ProbeResult:
        """Itself.

        Raises:
            ArtifactError: the probe failed.
        """
        if not self.ok:
            raise ArtifactError(f"the model failed its probe: {self.reason}; it was not used")
        return self


def probe(
    folder: Path, *, explain: bool = False, timeout_s: float = DEFAULT_TIMEOUT_S
) -> ProbeResult:
    """Load an artifact in a child process and compare its golden rows. Never raises for a bad one.

    Args:
        folder: of the artifact.
        explain: whether the child also loads what explains the answers, and explains them.
        timeout_s: the child is killed after this long.
    """
    command = [sys.executable, "-m", PROBE_MODULE, str(Path(folder).absolute())]
    command += ["--explain"] if explain else []
    environment = {k: os.environ[k] for k in _KEPT_VARIABLES if k in os.environ}
    started = time.monotonic()
    try:
        done = subprocess.run(
            command,
            env=environment | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return _failed(f"no answer within {timeout_s:g} s", started)
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        return _failed(f"the child process died of {name}", started)
    return _answer(done, started)


def _answer(done: subprocess.CompletedProcess[bytes], started: float) -> ProbeResult:
    try:
        said = json.loads(done.stdout.splitlines()[-1])
        return ProbeResult(
            ok=done.returncode == 0 and bool(said["ok"]),
            reason=str(said["reason"]),
            n_rows=int(said["n_rows"]),
            seconds=time.monotonic() - started,
            peak_bytes=int(said["peak_bytes"]),
        )
    except (IndexError, ValueError, KeyError, TypeError):
        tail = done.stderr.decode(errors="replace").strip()[-_TAIL_CHARACTERS:]
        return _failed(f"the child ended with {done.returncode}: {tail}", started)


def _failed(reason: str, started: float) -> ProbeResult:
    seconds = time.monotonic() - started
    return ProbeResult(ok=False, reason=reason, n_rows=0, seconds=seconds, peak_bytes=0)
