"""Every decoder meets hundreds of mutated bodies: no crash, no 5xx. For long: `tests/faults`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
DECODERS = ("json", "v2", "v2-binary", "arrow", "grpc", "manifest", "preprocess")


def run_fuzz(decoder: str, folder: Path, *words: str, seed: int, limit_s: float) -> dict[str, int]:
    """Run the fuzzer in a child; a signal there is a failure here."""
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
        "from tests.tenfold_serve.doors.fuzz import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, decoder, str(seed), *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=limit_s,
    )
    assert done.returncode == 0, f"{done.returncode}\n{done.stderr[-4000:]}"
    counts: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return counts


@pytest.mark.parametrize("decoder", DECODERS)
def test_mutated_bodies_are_answered(decoder: str, tmp_path: Path) -> None:
    counts = run_fuzz(decoder, tmp_path, "--rounds", "500", seed=7, limit_s=120)
    assert set(counts) <= {"200", "202", "400"}
    assert sum(counts.values()) == 500
    assert counts["400"] > 100
