"""Virtual environments of the systems that stand beside ours: made on first use, then kept."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["environment"]


def environment(name: str, installs: Sequence[str], *, folder: Path) -> Path:
    """The Python of an environment that holds what was asked for, made anew if that changed.

    Args:
        name: of the environment.
        installs: what pip is asked for.
        folder: where environments are kept between runs.
    """
    home = folder / name
    python = home / "bin" / "python"
    marker = home / ".installed"
    wanted = "\n".join(installs)
    if not marker.exists() or marker.read_text() != wanted:
        print(f"making the environment of {name}, once", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
        command = [str(python), "-m", "pip", "install", "--quiet", *installs]
        subprocess.run(command, check=True)
        marker.write_text(wanted)
    return python
