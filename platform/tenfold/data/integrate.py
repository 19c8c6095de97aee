"""Joining two sources: the joined one indexed once, the table's pieces matched one by one.

Everything lies in a folder named by the digest of both sides and the join, each file written whole,
so a killed run goes on where it stopped and an equal join is done once. Rows keep the order of the
table; rows of an outer join that no row of the table meets stand at the end, in their own order.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tenfold.canonical import canonical_json, json_or_none, read_json, sha256_hex, write_atomic
from tenfold.data.arrow_file import read_arrow, read_facts, write_arrow
from tenfold.data.drivers import Driver
from tenfold.data.join import (
    NO_TIME,
    How,
    JoinIndex,
    Order,
    build_index,
    day_counts,
    day_order_of,
    demand_columns,
    join_block,
    key_lanes,
    moments,
)
from tenfold.data.mapped import take_rows
from tenfold.data.rejects import Rejected, read_rejected, reject_facts, write_rejected
from tenfold.data.source import Shard, Source
from tenfold.data.stored import StoredSource
from tenfold.data.text import is_text, plain_texts, whole
from tenfold.errors import DataError, StoreError
from tenfold.progress import Progress

__all__ = ["JoinRule", "brought", "demand_join", "integrate"]

_FORMAT = 2
_DONE = "joined.json"


@dataclass(frozen=True, slots=True)
class JoinRule:
    """A join of the project file, and how cells are read for it.

    Attributes:
        on: pairs of key columns, (table, joined source).
        how: see `tenfold.project.inputs.Join`.
        times: the two columns of time of an as-of join.
        tolerance: how old an as-of match may be.
        fan_out: whether rows may multiply.
        markers: texts that mean missing.
        most_bad: share of the joined source's rows that may have no readable time.
    """

    on: tuple[tuple[str, str], ...]
    how: How
    times: tuple[str, str] | None
    tolerance: float | None
    fan_out: bool
    markers: tuple[str, ...]
    most_bad: float = 0.0

    @property
    def adds(self) -> bool:
        """Whether columns of the joined source come along."""
        return self.how not in ("semi", "anti")


def integrate(
    left: Source,
    right: Source,
    rule: JoinRule,
    *,
    folder: Path,
    driver: Driver,
    progress: Progress,
) -> tuple[StoredSource, Rejected]:
    """Join a source to the table that stands before it.

    Args:
        left: the table.
        right: the joined source.
        rule: how.
        folder: where; joins of other digests in it are removed. The caller holds the lock.
        driver: runs the pieces.
        progress: is told of them.

    Returns:
        The joined table, whose ``lineage`` holds the counts, and what was no row on either side.

    Raises:
        DataError: a column is not there, no time can be read, or rows would multiply unexpectedly.
        StoreError: the disk refuses.
    """
    demand_join(left.columns(), right.columns(), rule, left_name=left.name, right_name=right.name)
    fingerprints = [left.fingerprint(), right.fingerprint()]
    digest = sha256_hex(
        canonical_json(
            {
                "format": _FORMAT,
                "left": fingerprints[0],
                "right": fingerprints[1],
                "rule": asdict(rule),
                "arrow": pa.__version__,
            }
        )
    )
    work = folder / f"join-{digest[:16]}"
    made = _done(work)
    if made is None:
        made = _join(left, right, rule, fingerprints, work=work, driver=driver, progress=progress)
        _keep_only(folder, work)
    files = tuple(work / part["name"] for part in made["parts"])
    source = StoredSource(
        name=f"{left.name} with {right.name}",  # whose rows are numbered anew
        files=files,
        digests=tuple(part["sha256"] for part in made["parts"]),
        lineage=(made["facts"],),
    )
    return source, read_rejected(work)


def demand_join(
    left: Sequence[str],
    right: Sequence[str],
    rule: JoinRule,
    *,
    left_name: str,
    right_name: str,
) -> None:
    """Refuse a join on columns that are not there.

    Raises:
        DataError: with what is there.
    """
    demand_columns(left, [a for a, _ in rule.on], source=left_name, field="join.on")
    demand_columns(right, [b for _, b in rule.on], source=right_name, field="join.on")
    if rule.times is not None:
        demand_columns(left, rule.times[:1], source=left_name, field="join.time.left")
        demand_columns(right, rule.times[1:], source=right_name, field="join.time.right")


def _join(
    left: Source,
    right: Source,
    rule: JoinRule,
    fingerprints: list[Any],
    *,
    work: Path,
    driver: Driver,
    progress: Progress,
) -> dict[str, Any]:
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"{work} could not be made: {error.strerror}; see TENFOLD_STORE"
        ) from error
    key = [b for _, b in rule.on]
    index_job = _KeyJob(work, tuple(right.shards()), tuple(key), rule.markers)
    _run(f"index {right.name}", index_job, len(index_job.shards), _right_file, driver, progress)
    n_right = len(index_job.shards)
    order, n_no_time = _write_index(work, n_right, rule, source=right.name)
    shards = tuple(left.shards())
    day_order = _day_order(work, left, shards, rule, driver, progress)
    job = _JoinJob(work, shards, rule, left.name, right.name, n_right, order, day_order)
    _run(f"join {right.name}", job, len(job.shards), _joined_file, driver, progress)
    parts = [_joined_file(work, piece) for piece in range(len(job.shards))]
    facts = Counter[str]()
    for part in parts:
        facts.update(read_facts(part)["counts"])
    if rule.how == "asof" and facts["n_no_time"] == facts["n_rows"]:
        raise DataError(
            f"join.time.left {rule.times and rule.times[0]!r} of source {left.name!r} must hold "
            f"times like those of {right.name!r}, and none of {facts['n_rows']} rows has one; "
            "name another column or mend its format"
        )
    if rule.how == "outer":
        parts += _unmatched(work, parts, n_right, rule, left.columns(), right.name)
    write_rejected(
        work,
        [
            (left.name, [read_facts(_joined_file(work, p)) for p in range(len(job.shards))]),
            (right.name, [read_facts(_right_file(work, p)) for p in range(n_right)]),
        ],
    )
    made = {
        "parts": [{"name": part.name, "sha256": _digest(part)} for part in parts],
        "facts": {
            "join": right.name,
            "how": rule.how,
            "on": dict(rule.on),
            "renamed": brought(left.columns(), right.columns(), rule, right.name),
            **({"n_right_no_time": n_no_time} if rule.times is not None else {}),
            **facts,
        },
    }
    if fingerprints != [left.fingerprint(), right.fingerprint()]:
        raise DataError(
            f"sources {left.name!r} and {right.name!r} must not change while they are joined, and "
            "one did; run the command again when it is written"
        )
    write_atomic(work / _DONE, canonical_json(made))
    return made


def _run(name: str, job: Any, n_pieces: int, file: Any, driver: Driver, progress: Progress) -> None:
    left = [piece for piece in range(n_pieces) if not file(job.folder, piece).exists()]
    with progress.step(name, total=n_pieces) as told:
        told(n_pieces - len(left))
        for _ in driver.run(job, left):
            told(1)


@dataclass(frozen=True)
class _KeyJob:
    """Store a piece of the joined source with its key hashes."""

    folder: Path
    shards: tuple[Shard, ...]
    key: tuple[str, ...]
    markers: tuple[str, ...]

    def __call__(self, piece: int) -> None:
        block = self.shards[piece].read()
        lanes, known = key_lanes(block.table, self.key, markers=self.markers)
        keys = pa.table({"high": lanes[:, 0], "low": lanes[:, 1], "known": known})
        write_arrow(self.folder / f"keys-{piece:05d}.arrow", keys)
        write_arrow(_right_file(self.folder, piece), plain_texts(block.table), reject_facts(block))


@dataclass(frozen=True)
class _DayJob:
    """Count how a piece of the table writes its dates."""

    folder: Path
    shards: tuple[Shard, ...]
    column: str
    markers: tuple[str, ...]

    def __call__(self, piece: int) -> None:
        counts = day_counts(
            self.shards[piece].read().table.column(self.column), markers=self.markers
        )
        write_atomic(_day_file(self.folder, piece), canonical_json(counts.tolist()))


def _day_order(
    work: Path,
    left: Source,
    shards: tuple[Shard, ...],
    rule: JoinRule,
    driver: Driver,
    progress: Progress,
) -> str:
    """Whether day or month stands first in the table's times: all pieces decide together."""
    if rule.times is None or not is_text(left.schema().field(rule.times[0]).type):
        return "undecided"
    job = _DayJob(work, shards, rule.times[0], rule.markers)
    _run(f"read times of {left.name}", job, len(shards), _day_file, driver, progress)
    counts = [read_json(_day_file(work, piece)) for piece in range(len(shards))]
    return day_order_of(np.sum(np.array(counts, dtype=np.int64).reshape(-1, 3), axis=0))


def _write_index(
    work: Path, n_pieces: int, rule: JoinRule, *, source: str
) -> tuple[Order | None, int]:
    """The index of all pieces; returns how times are read and how many rows have none."""
    keys = [read_arrow(work / f"keys-{piece:05d}.arrow") for piece in range(n_pieces)]
    lanes = np.concatenate(
        [np.zeros((0, 2), np.uint64)]
        + [np.stack([k["high"].to_numpy(), k["low"].to_numpy()], axis=1) for k in keys]
    )
    known = np.concatenate([np.zeros(0, bool)] + [k["known"].to_numpy() for k in keys])
    times, order, n_no_time = None, None, 0
    if rule.times is not None:
        column = pa.chunked_array(
            [whole(_right(work, piece).column(rule.times[1])) for piece in range(n_pieces)]
            or [pa.array([], pa.string())]
        )
        day_order = day_order_of(day_counts(column, markers=rule.markers))
        times, order, _ = moments(column, day_order=day_order, markers=rule.markers)
        n_no_time = int((times == NO_TIME).sum())
        if order is None or n_no_time == len(times) > 0:
            raise DataError(
                f"join.time.right {rule.times[1]!r} of source {source!r} must hold times or "
                "numbers, and none can be read; name another column or mend its format"
            )
        if n_no_time > rule.most_bad * len(times):
            raise DataError(
                f"join.time.right {rule.times[1]!r} of source {source!r}: {n_no_time} of "
                f"{len(times)} rows have no time that can be read, more than "
                f"prepare.max_bad_fraction allows ({rule.most_bad:g}); an older row would be taken "
                "in their place: mend them or raise prepare.max_bad_fraction"
            )
    index = build_index(lanes, known, times=times, order=order)
    table = pa.table(
        {
            "key": index.keys,
            "low": index.lows,
            "row": index.rows,
            "time": index.times if len(index.times) else np.zeros(len(index.rows), np.int64),
        }
    )
    write_arrow(work / "index.arrow", table)
    return order, n_no_time


def _read_index(work: Path, order: Order | None) -> JoinIndex:
    stored = read_arrow(work / "index.arrow").combine_chunks()
    key, low, time, row = (stored[name].to_numpy() for name in ("key", "low", "time", "row"))
    return JoinIndex(key, low, time, row, order)


@dataclass(frozen=True)
class _JoinJob:
    """Join a piece of the table."""

    folder: Path
    shards: tuple[Shard, ...]
    rule: JoinRule
    left: str
    right: str
    n_right: int
    order: Order | None
    day_order: str

    def __call__(self, piece: int) -> None:
        rule, block = self.rule, self.shards[piece].read()
        lanes, known = key_lanes(block.table, [a for a, _ in rule.on], markers=rule.markers)
        times = None
        if rule.times is not None:
            column = block.table.column(rule.times[0])
            times, found, _ = moments(
                column, self.order, day_order=self.day_order, markers=rule.markers
            )
            if found not in (None, self.order):
                raise self._other_order(rule.times, found)
        index = _read_index(self.folder, self.order)
        done = join_block(lanes, known, index, how=rule.how, times=times, tolerance=rule.tolerance)
        if rule.adds and not rule.fan_out and done.facts["n_multiplied"]:
            raise self._too_many(block.table, done.left)
        table = block.table.take(pa.array(done.left))
        if rule.adds:
            table = self._with_right(table, done.right)
        facts = {**reject_facts(block), "counts": dict(done.facts)}
        if rule.how == "outer":
            met = np.unique(done.right[done.right >= 0])
            write_arrow(_met_file(self.folder, piece), pa.table({"row": met}))
        write_arrow(_joined_file(self.folder, piece), table, facts)

    def _other_order(self, times: tuple[str, str], found: Order | None) -> DataError:
        return DataError(
            f"join.time compares {times[0]!r} of {self.left!r}, a {found}, with {times[1]!r} of "
            f"{self.right!r}, a {self.order}: both must be times or both numbers; a number is no "
            "point in time without its unit: convert one of them where it is read"
        )

    def _with_right(self, table: pa.Table, rows: NDArray[np.int64]) -> pa.Table:
        pieces = _right_pieces(self.folder, self.n_right)
        names = brought(table.column_names, pieces[0].column_names, self.rule, self.right)
        taken = take_rows(pieces, list(names), rows)
        for name, new in names.items():
            table = table.append_column(new, taken.column(name))
        return table

    def _too_many(self, table: pa.Table, left: NDArray[np.int64]) -> DataError:
        row = int(np.flatnonzero(np.bincount(left, minlength=table.num_rows) > 1)[0])
        n_matches = int((left == row).sum())
        key = ", ".join(f"{a} {table.column(a)[row].as_py()!r}" for a, _ in self.rule.on)
        return DataError(
            f"a row of {self.left!r} may match one row of {self.right!r}, and the row with {key} "
            f"matches {n_matches}; make the key of {self.right!r} unique, join as-of, or set "
            "'fan_out: true' if rows shall multiply"
        )


def _unmatched(
    work: Path,
    parts: Sequence[Path],
    n_right: int,
    rule: JoinRule,
    names: Collection[str],
    source: str,
) -> list[Path]:
    """The joined source's rows that nothing met, with the table's key columns filled."""
    pieces = _right_pieces(work, n_right)
    met = np.zeros(sum(piece.num_rows for piece in pieces), dtype=bool)
    for piece in range(len(parts)):
        met[read_arrow(_met_file(work, piece))["row"].to_numpy()] = True
    rest = np.flatnonzero(~met)
    if not len(rest):
        return []
    taken = take_rows(pieces, pieces[0].column_names, rest)
    renamed = brought(tuple(names), pieces[0].column_names, rule, source)
    table = pa.table(
        {
            **{a: taken.column(b) for a, b in rule.on},
            **{new: taken.column(name) for name, new in renamed.items()},
        }
    )
    path = work / "joined-rest.arrow"
    write_arrow(path, table, {"n_records": table.num_rows, "rejects": [], "counts": {}})
    return [path]


def brought(
    left: Collection[str], right: Sequence[str], rule: JoinRule, source: str
) -> dict[str, str]:
    """Columns that come along and what they are called: ``NAME_SOURCE`` where NAME is taken.

    The key columns stay away: the table has their values.
    """
    if not rule.adds:
        return {}
    taken, out = set(left), {}
    for name in right:
        if name in {b for _, b in rule.on}:
            continue
        new = name if name not in taken else f"{name}_{source}"
        while new in taken:
            new += "_"
        taken.add(new)
        out[name] = new
    return out


def _right(work: Path, piece: int) -> pa.Table:
    return read_arrow(_right_file(work, piece))


def _right_pieces(work: Path, n_pieces: int) -> list[pa.Table]:
    return [_right(work, piece).replace_schema_metadata(None) for piece in range(n_pieces)]


def _right_file(work: Path, piece: int) -> Path:
    return work / f"right-{piece:05d}.arrow"


def _joined_file(work: Path, piece: int) -> Path:
    return work / f"joined-{piece:05d}.arrow"


def _day_file(work: Path, piece: int) -> Path:
    return work / f"days-{piece:05d}.json"


def _met_file(work: Path, piece: int) -> Path:
    return work / f"met-{piece:05d}.arrow"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _done(work: Path) -> dict[str, Any] | None:
    made = json_or_none(work / _DONE)
    if made is None:
        return None
    whole_ = all((work / part["name"]).is_file() for part in made["parts"])
    return made if whole_ else None


def _keep_only(folder: Path, work: Path) -> None:
    for other in folder.glob("join-*"):
        if other != work:
            shutil.rmtree(other, ignore_errors=True)
