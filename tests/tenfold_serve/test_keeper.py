from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tenfold.canonical import canonical_json, write_atomic
from tenfold.cluster.keeper import read_keeper
from tenfold.cluster.sessions import SessionRecord
from tenfold.settings import Settings
from tenfold_serve.keeper import main


def run(project_file: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch, *more: str) -> int:
    monkeypatch.setenv("TENFOLD_HOME", str(settings.home))
    return main(["--project", str(project_file), *more])


def test_a_taken_port_ends_with_2_before_anything_starts(
    project_file: Path,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert run(project_file, settings, monkeypatch, "--port", port) == 2
        assert f"error: port {port}" in capsys.readouterr().err
        free = ("--port", "0", "--mlflow-port", port)
        assert run(project_file, settings, monkeypatch, *free) == 2
    assert not (settings.keeper / "keeper.json").exists()


def test_a_missing_project_file_ends_with_2(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(tmp_path / "absent.yaml", settings, monkeypatch) == 2


def test_a_running_keeper_is_not_disturbed(
    project_file: Path,
    settings: Settings,
    keeper_session: SessionRecord,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    body = {**keeper_session.to_dict(), "port": 1, "projects": ["mixed"], "folder": "/nowhere"}
    write_atomic(settings.keeper / "keeper.json", canonical_json(body))
    assert run(project_file, settings, monkeypatch) == 2
    assert "one keeper runs at a time" in capsys.readouterr().err
    assert read_keeper(settings) == body


def test_pages_of_a_tracking_server_are_not_shown_twice(
    project_file: Path,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://user:secret@tracking.example")
    assert run(project_file, settings, monkeypatch, "--port", "0", "--mlflow-port", "1") == 2
    told = capsys.readouterr().err
    assert "names a server (https:…)" in told
    assert "secret" not in told
    assert not (settings.keeper / "keeper.json").exists()
