from __future__ import annotations

from pathlib import Path

import yaml

from tenfold.telemetry.generate import generated, main


def test_the_committed_files_are_what_the_table_makes(monitoring_folder: Path) -> None:
    for name, text in generated().items():
        committed = (monitoring_folder / name).read_text()
        assert committed == text, f"run python -m tenfold.telemetry.generate: {name} differs"


def test_main_writes_every_file(tmp_path: Path) -> None:
    main(tmp_path)
    written = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert written == generated()
    assert yaml.safe_load(written["tenfold-rules.yaml"])["groups"]
