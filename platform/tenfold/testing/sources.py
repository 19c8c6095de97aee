"""What every source must keep, as a suite to inherit.

A test class makes a source and says what is in it::

    class TestPeople(SourceConformance):
        def source(self, folder): return FileSource(write_people(folder))
        def n_rows(self): return 600
"""

# ruff: noqa: S101, D102  (tests, though they live in the library: names say what they check)

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa

from tenfold.canonical import canonical_json
from tenfold.data.scan import TableScan, scan_table
from tenfold.data.source import RawBlock, Source

__all__ = ["SourceConformance"]


class SourceConformance:
    """Tests that hold for any source."""

    def source(self, folder: Path) -> Source:
        """The source under test; may write what it needs under ``folder``."""
        raise NotImplementedError

    def n_rows(self) -> int:
        """Rows that the source holds, rejects not counted."""
        raise NotImplementedError

    def _blocks(self, folder: Path) -> list[RawBlock]:
        return [shard.read() for shard in self.source(folder).shards()]

    def test_every_row_is_in_one_shard(self, tmp_path: Path) -> None:
        blocks = self._blocks(tmp_path)
        assert sum(block.table.num_rows for block in blocks) == self.n_rows()
        for block in blocks:
            assert block.n_records == block.table.num_rows + len(block.rejects)

    def test_columns_are_unique_and_those_of_every_shard(self, tmp_path: Path) -> None:
        columns = self.source(tmp_path).columns()
        assert len(set(columns)) == len(columns)
        assert all(block.table.column_names == list(columns) for block in self._blocks(tmp_path))

    def test_positions_and_rejects_number_the_records(self, tmp_path: Path) -> None:
        for block in self._blocks(tmp_path):
            rejected = [reject.position for reject in block.rejects]
            together = np.sort(np.concatenate([block.positions, np.array(rejected, np.int64)]))
            assert together.tolist() == list(range(block.n_records))
            assert (np.diff(block.positions) > 0).all()

    def test_shards_and_what_they_read_are_the_same_again(self, tmp_path: Path) -> None:
        source = self.source(tmp_path)
        first, second = source.shards(), source.shards()
        assert len(first) == len(second)
        for one, other in zip(first, second, strict=True):
            assert one.read().table.equals(other.read().table)
            assert one.read().table.equals(one.read().table)

    def test_shards_travel_to_other_processes(self, tmp_path: Path) -> None:
        for shard in self.source(tmp_path).shards():
            travelled = pickle.loads(pickle.dumps(shard))  # noqa: S301  (in flight, as Ray does)
            assert travelled.read().table.equals(shard.read().table)

    def test_the_fingerprint_is_json_and_stays_while_the_content_does(self, tmp_path: Path) -> None:
        source = self.source(tmp_path)
        assert canonical_json(source.fingerprint()) == canonical_json(source.fingerprint())

    def test_size_and_name_are_told(self, tmp_path: Path) -> None:
        source = self.source(tmp_path)
        assert source.size_bytes() > 0
        assert isinstance(source.name, str)

    def test_the_whole_can_be_scanned(self, tmp_path: Path) -> None:
        tables: list[pa.Table] = [block.table for block in self._blocks(tmp_path)]
        scan = TableScan.merge_all([scan_table(table) for table in tables])
        assert all(column.n_rows == self.n_rows() for column in scan.columns)
