"""Ten minutes of mutated bytes for each decoder of endpoint and artifact: no crash, no 5xx."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.tenfold_serve.doors.test_fuzz import DECODERS, run_fuzz

SECONDS = int(os.environ.get("TENFOLD_FUZZ_S", "600"))

pytestmark = [pytest.mark.slow, pytest.mark.timeout(SECONDS + 120)]


@pytest.mark.parametrize("decoder", DECODERS)
def test_ten_minutes_of_mutated_bodies(decoder: str, tmp_path: Path) -> None:
    seed = int.from_bytes(os.urandom(4))
    words = ("--seconds", str(SECONDS))
    counts = run_fuzz(decoder, tmp_path, *words, seed=seed, limit_s=SECONDS + 100)
    assert set(counts) <= {"200", "202", "400"}, f"seed {seed}"
