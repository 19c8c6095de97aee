from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def form_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("_form", BENCHMARKS / "_form.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_file_is_flat_and_names_machine_and_versions(
    form_module: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    form = form_module.Form("area", folder=tmp_path)
    form.add("a.b.median", 1.23456789)
    form.add("a.b.never", None)
    form.table("A title", ["what", "n"], [["x", 1], ["longer", 22]])
    path = form.finish(libraries=["numpy", "no-such-library"])
    found = json.loads(path.read_text())
    assert path == tmp_path / "area.json"
    assert found["a.b.median"] == 1.234568 and found["a.b.never"] is None
    assert found["area"] == "area" and found["machine.cores"] >= 1
    assert found["version.numpy"] and found["version.no-such-library"] is None
    assert not any(isinstance(value, (dict, list)) for value in found.values())
    assert "A title\nwhat     n\n------  --\nx        1\nlonger  22\n" in capsys.readouterr().out


def test_a_key_is_given_once(form_module: ModuleType, tmp_path: Path) -> None:
    form = form_module.Form("area", folder=tmp_path)
    form.add("a", 1)
    with pytest.raises(KeyError, match="a is already there"):
        form.add("a", 2)


def test_nothing_infinite_is_written(form_module: ModuleType, tmp_path: Path) -> None:
    form = form_module.Form("area", folder=tmp_path)
    form.add("a", float("inf"))
    with pytest.raises(ValueError, match="Out of range"):
        form.finish()
    assert not (tmp_path / "area.json").exists()


def test_medians_leave_out_the_warm_up(form_module: ModuleType) -> None:
    calls: list[int] = []
    assert form_module.median_seconds(lambda: calls.append(1), repeats=3, warm_up=2) >= 0.0
    assert len(calls) == 5
    assert form_module.spread([3.0, 1.0, 2.0]) == {"median": 2.0, "min": 1.0, "max": 3.0}


def test_committed_results_have_the_form() -> None:
    for path in (BENCHMARKS / "results").glob("*.json"):
        found = json.loads(path.read_text())
        assert found["area"] == path.stem
        assert {"machine.cpu", "machine.cores", "version.python", "seconds"} <= set(found)
        assert not any(isinstance(value, (dict, list)) for value in found.values())
