"""Loads: as fast as connections allow (wrk, closed loop), and at a given pace (open loop)."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from serving.paced import at, run
from serving.processes import Target

__all__ = ["paced", "wrk"]

_SCALE_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}


def wrk(target: Target, work: Path, *, connections: int, seconds: int) -> dict[str, float]:
    """One turn of a closed loop: ``rps``, ``p50_ms``, ``p99_ms``.

    Raises:
        RuntimeError: an answer was not 2xx.
    """
    script = work / f"{target.name}.lua"
    script.write_text(
        'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\n'
        f"wrk.body = {json.dumps(target.body.decode())}\n"
    )
    done = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script),
         target.url],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    text = done.stdout
    if "Non-2xx" in text or "Socket errors" in text:
        raise RuntimeError(f"{target.name} failed requests:\n{text}")
    found = {"rps": float(_found(r"Requests/sec:\s+([\d.]+)", text)[1])}
    for key, share in (("p50_ms", "50"), ("p99_ms", "99")):
        latency = _found(rf"{share}%\s+([\d.]+)(us|ms|s|m)", text)
        found[key] = float(latency[1]) * _SCALE_MS[latency[2]]
    return found


def _found(pattern: str, text: str) -> re.Match[str]:
    match = re.search(pattern, text)
    if match is None:
        raise RuntimeError(f"wrk said something else:\n{text}")
    return match


def paced(target: Target, *, rate: float, seconds: float, connections: int = 64) -> dict[str, Any]:
    """One turn of an open loop (`serving.paced`).

    Returns:
        ``n`` sent, ``failed`` (not 200, or the connection broke), ``p50_ms``, ``p99_ms``,
        ``max_ms``, and ``late_ms``, by how much the client itself came late at most.
    """
    journal, late = run(target.url, target.body, rate=rate, seconds=seconds, n_lines=connections)
    answered = [one.latency_s for one in journal if one.status == 200]
    return {
        "n": len(journal), "failed": len(journal) - len(answered), "p50_ms": at(answered, 0.5),
        "p99_ms": at(answered, 0.99), "max_ms": at(answered, 1.0), "late_ms": 1000 * late,
    }  # fmt: skip
