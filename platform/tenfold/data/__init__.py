"""From files to a snapshot: sources, inference, cleaning, splits, drivers.

`prepare` makes a snapshot from a project file; `snapshot_from_table` from rows in memory;
`Snapshot` reads one. `infer_schema`, `read_batches`, `read_sample` and `clean_table` are for
looking at a table and for reading rows by a schema that exists.
"""

from __future__ import annotations

from tenfold.data.clean import clean_table
from tenfold.data.csv_out import safe_cells, write_csv
from tenfold.data.drivers import Driver, InProcess, RayData, choose_driver
from tenfold.data.files import FileSource, read_batches, read_sample
from tenfold.data.gather import Drivers
from tenfold.data.infer import Declared, Hints, infer_schema
from tenfold.data.options import hints_of
from tenfold.data.prepare import SourceFacts, prepare, snapshot_from_table, source_facts
from tenfold.data.snapshot import FOLD, HASH, ROW, Snapshot
from tenfold.data.source import Source

__all__ = [
    "FOLD",
    "HASH",
    "ROW",
    "Declared",
    "Driver",
    "Drivers",
    "FileSource",
    "Hints",
    "InProcess",
    "RayData",
    "Snapshot",
    "Source",
    "SourceFacts",
    "choose_driver",
    "clean_table",
    "hints_of",
    "infer_schema",
    "prepare",
    "read_batches",
    "read_sample",
    "safe_cells",
    "snapshot_from_table",
    "source_facts",
    "write_csv",
]
