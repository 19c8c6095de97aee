"""Schemathesis reads the OpenAPI page of a model and tries to find what it gets wrong."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.tenfold_serve.doors.live import serving
from tests.tenfold_serve.support import Rig

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
    "missing_required_header",
)


FEEDBACK = "/feedback"


def attack(rig: Rig, folder: Path, *, n_examples: int) -> None:
    """Labels are judged one by one, and a wrong one is told in the 202: none is "rejected"."""
    run(rig, folder, "--exclude-path", FEEDBACK, n_examples=n_examples, checks=CHECKS)
    others = [check for check in CHECKS if check != "negative_data_rejection"]
    run(rig, folder, "--include-path", FEEDBACK, n_examples=n_examples, checks=others)


def run(rig: Rig, folder: Path, *words: str, n_examples: int, checks: Sequence[str]) -> None:
    with serving(rig.app) as port:
        command = [
            *(str(Path(sys.executable).with_name("schemathesis")), "--no-color", "run"),
            f"http://127.0.0.1:{port}/mixed/openapi.json",
            *("--max-examples", str(n_examples), "--seed", "1", "--checks", ",".join(checks)),
            *("--phases", "examples,coverage,fuzzing", "--continue-on-failure"),
            *("--warnings", "off", "--suppress-health-check", "all", *words),
        ]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=580)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


def test_the_page_and_the_endpoint_agree(door_rig: Rig, tmp_path: Path) -> None:
    attack(door_rig, tmp_path, n_examples=6)


@pytest.mark.slow
def test_the_page_and_the_endpoint_agree_for_long(door_rig: Rig, tmp_path: Path) -> None:
    attack(door_rig, tmp_path, n_examples=600)
