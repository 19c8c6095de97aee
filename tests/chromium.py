"""A real headless browser that opens a page from disk and says what happened, for tests.

Each call is one process with an empty profile folder; every name resolves to nothing, so neither
the page nor the browser itself reaches the network.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

__all__ = ["Opened", "find_chromium", "open_page", "overflow_px", "print_pages"]

LIMIT_S = 120
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
_BROWSERS_OWN = "not an origin"
"""What the log of requests names as the initiator of those that no page asked for."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A page after it was opened.

    Attributes:
        dom: its document as HTML.
        console: what the page's console was told, errors and refusals by its policy among them.
        requests: addresses that the page asked for, itself apart.
    """

    dom: str
    console: list[str]
    requests: list[str]


def find_chromium() -> str:
    """The browser; without one a test is skipped, and in CI failed."""
    found = shutil.which("chromium")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("in CI chromium must be installed (Debian package chromium)")
        pytest.skip("chromium is not installed (Debian package chromium)")
    return found


def open_page(path: Path, *more: str) -> Opened:
    """Open a page and let it load; flags given last win."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "net.json"
        done = _run(
            path, folder, "--enable-logging=stderr", "--v=0", f"--log-net-log={log}", *more,
            "--dump-dom",
        )  # fmt: skip
        events = json.loads(log.read_bytes())["events"]
    asked = {
        event["params"]["url"]
        for event in events
        if event.get("params", {}).get("initiator", _BROWSERS_OWN) != _BROWSERS_OWN
        and "url" in event["params"]
    }
    console = [line for line in done.stderr.splitlines() if ":CONSOLE:" in line]
    return Opened(done.stdout, console, sorted(asked - {path.as_uri()}))


def overflow_px(path: Path, *, width_px: int) -> int:
    """How many pixels of a page stick out on the right of a window of that width."""
    with tempfile.TemporaryDirectory() as folder:
        frame = Path(folder) / "frame.html"
        frame.write_text(
            f"<iframe id=f style='border:0' width={width_px} height=800 src='{path.as_uri()}'>"
            "</iframe><script>f.onload = () => {"
            "const d = f.contentDocument.documentElement;"
            "document.title = `${d.scrollWidth} of ${d.clientWidth}`}</script>"
        )
        done = _run(frame, folder, "--allow-file-access-from-files", "--dump-dom")
    found = re.search(r"<title>(\d+) of (\d+)</title>", done.stdout)
    assert found, f"the page did not load: {done.stdout[:500]}"
    assert int(found[2]) == width_px
    return int(found[1]) - width_px


def print_pages(path: Path) -> int:
    """Print a page to PDF; returns the number of sheets."""
    with tempfile.TemporaryDirectory() as folder:
        pdf = Path(folder) / "page.pdf"
        _run(path, folder, f"--print-to-pdf={pdf}", "--no-pdf-header-footer")
        data = pdf.read_bytes()
    assert data.startswith(b"%PDF-")
    return len(re.findall(rb"/Type\s*/Page\b", data))


def _run(path: Path, folder: str, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [find_chromium(), *_FLAGS, f"--user-data-dir={folder}/profile", *flags]
    return subprocess.run(
        [*command, path.as_uri()], capture_output=True, text=True, check=True, timeout=LIMIT_S
    )
