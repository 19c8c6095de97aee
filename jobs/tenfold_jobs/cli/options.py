"""The arguments and options that commands share, so that each reads the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["FORMATS", "AsJson", "Budget", "ProjectFile", "ProjectFiles", "Verbose"]

FORMATS = "CSV, Parquet, JSON lines or Arrow"
"""What a file of rows may be."""

ProjectFile = Annotated[Path, typer.Argument(metavar="PROJECT", help="The project file.")]
ProjectFiles = Annotated[list[Path], typer.Argument(metavar="PROJECT...", help="Project files.")]
AsJson = Annotated[
    bool, typer.Option("--json", help="One JSON document on standard output, nothing else.")
]
Verbose = Annotated[
    bool, typer.Option("-v", "--verbose", help="Show Ray's own messages, and tracebacks.")
]
Budget = Annotated[
    str | None,
    typer.Option("--budget", metavar="TIME", help="Wall time for the search, such as 60s or 10m."),
]
