"""Write the committed rule files and the board: ``python -m tenfold.telemetry.generate``."""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from tenfold.canonical import write_atomic
from tenfold.telemetry.dashboards import dashboard_json
from tenfold.telemetry.rules import rule_file, rule_resource

__all__ = ["FOLDER", "generated", "main"]

FOLDER = Path("k8s/monitoring")
"""Where the files lie, from the root of the repository."""

_HEADER = "# Made by python -m tenfold.telemetry.generate; edit the code, not this file.\n"


def generated() -> dict[str, str]:
    """File name → text of every file that is made from the table of names."""
    return {
        "tenfold-rules.yaml": _HEADER + _yaml(rule_file()),
        "tenfold-prometheusrule.yaml": _HEADER + _yaml(rule_resource()),
        "tenfold-dashboard.json": dashboard_json(),
    }


def main(folder: Path = FOLDER) -> None:
    """Write all files, each whole."""
    for name, text in generated().items():
        write_atomic(folder / name, text.encode())
        sys.stderr.write(f"{folder / name}\n")


def _yaml(value: object) -> str:
    return yaml.safe_dump(value, sort_keys=False, width=100, allow_unicode=True)


if __name__ == "__main__":
    main()
