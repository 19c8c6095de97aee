"""A pull to be killed from outside: ``killed_pull.py URL FOLDER``; a child of `test_killed`."""

from __future__ import annotations

import sys
from pathlib import Path

from tenfold.data.drivers import InProcess
from tenfold.data.http import HttpPlace
from tenfold.data.pull import pull
from tenfold.progress import SILENT
from tenfold.project.sources import HttpSource

FIELDS = {
    "type": "http",
    "name": "items",
    "pages": {"by": "number"},
    "incremental": {"column": "id", "parameter": "since"},
    "rate_per_s": 1000.0,
    "allow_private": True,
}

if __name__ == "__main__":
    url, folder = sys.argv[1:]
    place = HttpPlace(HttpSource(**FIELDS, url=url))
    pull(place, Path(folder), driver=InProcess(), progress=SILENT)
