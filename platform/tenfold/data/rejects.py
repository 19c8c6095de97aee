"""Records that were no rows, kept for the quarantine table while their source is joined.

A joined table numbers its rows anew, so what was no row of either side is written down with the
source's own name and position before that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tenfold.data.arrow_file import read_arrow, read_facts, write_arrow
from tenfold.data.clean import MAX_VALUE_CHARACTERS, PROBLEMS
from tenfold.data.source import RawBlock
from tenfold.errors import DataError

__all__ = ["Rejected", "demand_few", "read_rejected", "reject_facts", "write_rejected"]

_FILE = "rejected.arrow"


@dataclass(frozen=True, slots=True)
class Rejected:
    """What was no row, by source.

    Attributes:
        problems: one entry a record, as the quarantine table has it.
        n_records: records of each source, rows and rejects together.
        n_bad: rejects of each source.
    """

    problems: pa.Table
    n_records: Mapping[str, int]
    n_bad: Mapping[str, int]

    @classmethod
    def nothing(cls) -> Rejected:
        """Of no source.

        >>> Rejected.nothing().problems.num_rows
        0
        """
        return cls(PROBLEMS.empty_table(), {}, {})

    def and_(self, other: Rejected) -> Rejected:
        """Both together; a source of both (it was joined twice) counts once."""
        fresh = [name for name in other.n_records if name not in self.n_records]
        keep = pc.is_in(other.problems["source"], value_set=pa.array(fresh, pa.string()))
        return Rejected(
            pa.concat_tables([self.problems, other.problems.filter(keep)]),
            {**self.n_records, **{name: other.n_records[name] for name in fresh}},
            {**self.n_bad, **{name: other.n_bad[name] for name in fresh}},
        )


def reject_facts(block: RawBlock) -> dict[str, Any]:
    """The rejects of a block as JSON, to be kept beside its rows."""
    rejects = [[r.position, r.text[:MAX_VALUE_CHARACTERS], r.reason] for r in block.rejects]
    return {"n_records": block.n_records, "rejects": rejects, "source": block.source}


def write_rejected(
    folder: Path, sources: Sequence[tuple[str, Sequence[Mapping[str, Any]]]]
) -> None:
    """Bring the rejects of all pieces together, positions counted over each source from 1.

    Args:
        folder: where the file goes.
        sources: name and the facts of its pieces in order.
    """
    rows: list[dict[str, Any]] = []
    n_records: Counter[str] = Counter()
    n_bad: Counter[str] = Counter()
    for name, pieces in sources:
        for facts in pieces:
            source = facts["source"] or name  # of several that are stacked each has its own rows
            for position, text, reason in facts["rejects"]:
                place = n_records[source] + position + 1
                row = {"source": source, "position": place, "value": text, "reason": reason}
                rows.append({**row, "column": None})
            n_records[source] += facts["n_records"]
            n_bad[source] += len(facts["rejects"])
    table = pa.Table.from_pylist(rows, schema=PROBLEMS)
    facts = {"n_records": dict(n_records), "n_bad": dict(n_bad)}
    write_arrow(folder / _FILE, table, facts)


def read_rejected(folder: Path) -> Rejected:
    """The inverse of `write_rejected`."""
    facts = read_facts(folder / _FILE)
    problems = read_arrow(folder / _FILE).replace_schema_metadata(None)
    return Rejected(problems, facts["n_records"], facts["n_bad"])


def demand_few(rejected: Rejected, most: float) -> None:
    """Stop if more records of one source were no rows than the project allows.

    Raises:
        DataError: with the source and its first reject.
    """
    for name, n_records in rejected.n_records.items():
        n_bad = rejected.n_bad[name]
        if n_bad <= most * n_records:
            continue
        first = next(row for row in rejected.problems.to_pylist() if row["source"] == name)
        raise DataError(
            f"source {name!r}: {n_bad} of {n_records} records cannot be read, more than "
            f"prepare.max_bad_fraction allows ({most:g}); the first, row {first['position']}, "
            f"{first['reason']}: {first['value']!r}; fix the source or raise "
            "prepare.max_bad_fraction"
        )
