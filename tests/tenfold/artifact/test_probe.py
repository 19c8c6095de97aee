from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tenfold.artifact import GOLDEN_FILE, probe, read_artifact, write_artifact
from tenfold.errors import ArtifactError
from tenfold.testing.artifacts import small_artifact, small_files

N_DAMAGED = 3
"""Two seconds each; `test_booster_check` loads many more in one child."""


@pytest.mark.parametrize(
    ("family", "engine"),
    [("boosting", "onnx"), ("boosting", "xgboost"), ("linear", "arrays"), ("kmeans", "arrays")],
)
def test_a_good_model_passes(tmp_path: Path, family: str, engine: str) -> None:
    small_artifact(tmp_path / "a", family=family, engine=engine)
    result = probe(tmp_path / "a").require()
    assert result.ok
    assert result.n_rows >= 64
    assert 0 < result.peak_bytes < 2 * 1024**3


def test_the_child_does_without_what_no_model_needs(tmp_path: Path) -> None:
    """Half of its time would go into packages that others import because they are there."""
    small_artifact(tmp_path / "a", engine="xgboost")
    code = (
        "import sys; from tenfold.inference.probe_child import main\n"
        "assert main(sys.argv[1:]) == 0\n"
        "print(sorted({'pandas', 'sklearn', 'xgboost'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "['xgboost']"


def test_a_damaged_booster_hurts_only_the_child(tmp_path: Path) -> None:
    """Sealed after the damage, so the digests are right: what a wrong writer could publish."""
    small_artifact(tmp_path / "good", engine="xgboost")
    files = dict(read_artifact(tmp_path / "good").files)
    _, draft = small_files(engine="xgboost")
    rng = random.Random(1)
    failed = []
    for k in range(N_DAMAGED):
        bad = bytearray(files["model.ubj"])
        for _ in range(40):
            bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
        folder = tmp_path / f"bad{k}"
        write_artifact(folder, files=files | {"model.ubj": bytes(bad)}, manifest=draft)
        result = probe(folder)
        if not result.ok:
            failed.append(result.reason)
    assert len(failed) == N_DAMAGED
    assert all(failed)


def test_another_model_than_the_golden_rows_is_found(tmp_path: Path) -> None:
    small_artifact(tmp_path / "one", seed=0)
    small_artifact(tmp_path / "two", seed=1)
    one, two = (read_artifact(tmp_path / name).files for name in ("one", "two"))
    _, draft = small_files()
    mixed = dict(one) | {"model.onnx": two["model.onnx"]}
    write_artifact(tmp_path / "mixed", files=mixed, manifest=draft)
    result = probe(tmp_path / "mixed")
    assert not result.ok
    assert "golden row" in result.reason
    with pytest.raises(ArtifactError, match=r"failed its probe: .*golden row"):
        result.require()


@pytest.mark.parametrize("golden", [b"", b"ARROW1\0\0", b"not arrow at all" * 100])
def test_broken_golden_rows_are_found(tmp_path: Path, golden: bytes) -> None:
    files, draft = small_files("linear")
    write_artifact(tmp_path / "a", files=files | {GOLDEN_FILE: golden}, manifest=draft)
    result = probe(tmp_path / "a")
    assert not result.ok
    assert "golden.arrow is broken" in result.reason


def test_an_onnx_file_that_is_none_is_refused(tmp_path: Path) -> None:
    small_artifact(tmp_path / "good", family="linear")
    files = dict(read_artifact(tmp_path / "good").files) | {"model.onnx": b"\x08\x09garbage"}
    _, draft = small_files("linear")
    write_artifact(tmp_path / "a", files=files, manifest=draft)
    assert "model.onnx was refused by onnxruntime" in probe(tmp_path / "a").reason


def test_a_child_without_an_answer_is_ended(tmp_path: Path) -> None:
    small_artifact(tmp_path / "a", family="linear")
    result = probe(tmp_path / "a", timeout_s=0.01)
    assert (result.ok, result.reason) == (False, "no answer within 0.01 s")


def test_no_artifact_is_a_reason_and_no_exception(tmp_path: Path) -> None:
    assert "is not a folder of an artifact" in probe(tmp_path / "nothing").reason
