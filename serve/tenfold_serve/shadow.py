"""The shadow: a process of its own in which a challenger scores what the champion answered.

::

    python -m tenfold_serve.shadow '{"project": …, "challenger": {…}, "champion": {…}, …}'

It follows the predictions table (`tenfold_serve.log_tail`), so the path of the answers pays nothing
and does not know of it: a shadow that hangs, dies or is a hundred times too slow falls behind, and
what it falls behind by is skipped and counted. Every round it takes rows within its bounds, scores
them, and appends to the shadow table, in one commit, the answers, the place in the predictions
table and the totals. So a kill at any moment neither repeats nor forgets a row. One that starts
again goes on with what comes next, and counts what it missed: a row that kills it does so once.
What it missed longer than a day ago may be gone from the log, which is told and not counted.

Beside the prediction id stand both models' answers; labels that come later make the paired
comparison (`tenfold_serve.shadow_scores`). What it knows it writes into a file that the supervisor
reads. It has limits on memory and files, half a hundredth of the cores once it has started (that
takes three seconds of one), the lowest priority, and ends when its parent does.
"""

from __future__ import annotations

import logging
import os
import resource
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from tenfold.canonical import canonical_json
from tenfold.cluster.inventory import inventory_local
from tenfold.errors import StoreError, TenfoldError
from tenfold.live import log_tables, shadow_table
from tenfold_serve.arms import load_arm
from tenfold_serve.committer import LABEL_SCHEMA
from tenfold_serve.log_table import LogTable
from tenfold_serve.log_tail import LogTail
from tenfold_serve.shadow_config import ShadowConfig
from tenfold_serve.shadow_pair import SHADOW_SCHEMA, Pair
from tenfold_serve.shadow_scores import WINDOW_ROWS, Disagreement, paired_losses

__all__ = ["ShadowScorer", "main", "next_part"]

log = logging.getLogger("tenfold.serve")

_ROUND_S: Final = 2.0
"""Between two looks at the log: a commit costs four syncs of the disk, whatever it holds."""
_SHARE: Final = 0.005
"""Of the machine's cores, and no more: after a round it rests until what it took is so much of the
time. Whatever its priority, a busy core makes those late who are answered on the others: on two
cores at 300 requests/s 3 % of those that were due while it worked, and 0.9 % of those before and
after, were slower than 99 % of all. With twice this share that added 3 % to the 99th percentile in
one run and 8 % in another (`make bench-shadow`), with twelve times this share 12 %."""
_MAX_ROWS: Final = 500
"""Rows of a round: 0.11 ms of CPU a row (8 columns, ONNX) and 30 ms for reading and the commit, so
60 rows/s at its share of two cores. More rows a commit are cheaper and a longer burst."""
_MAX_SCORING_S: Final = 0.1
"""CPU time of a round's scoring, and the rows that are left then are dropped. Short, because a
share is no more than a mean: who is answered while it works may be late."""
_PART_ROWS: Final = 64
_PART_S: Final = 0.02
"""CPU time of a part of a round, so that a slow model ends the round in time."""
_TIMED_ROWS: Final = 4
"""Rows of a round that are scored alone, to know what one costs."""
_KEPT_TIMES: Final = 512
_TELL_S: Final = 1.0
_COMPARE_S: Final = 10.0
_COMPARE_SHARE: Final = 0.25
"""Of what it may take at all, for comparing anew."""
_MAX_LABELS: Final = 100_000
_NICE: Final = 19
_MAX_MEMORY_BYTES: Final = 16 * 1024**3
"""Address space, not use: the probe's limit, and Delta's threads and arenas."""
_MAX_OPEN_FILES: Final = 1024


@dataclass(frozen=True, slots=True)
class _Totals:
    """Of a challenger's version, over all processes; durable with the rows that they count."""

    rows: int = 0
    dropped: int = 0
    refused: int = 0

    def more(self, *, rows: int = 0, dropped: int = 0, refused: int = 0) -> _Totals:
        return _Totals(self.rows + rows, self.dropped + dropped, self.refused + refused)


class ShadowScorer:
    """One challenger beside one champion. Used from one thread; owns the shadow table.

    Args:
        config: who and where.
        clock: seconds that only grow; for tests.
        cpu_s: seconds of CPU that this process took; for tests.
        max_rows: rows of a round.
        max_scoring_s: seconds of CPU for scoring in a round; a part of a round may exceed it.
        share: of one core that it takes at most, above 0 and not counting its start.
    """

    def __init__(
        self,
        config: ShadowConfig,
        *,
        clock: Callable[[], float] = time.monotonic,
        cpu_s: Callable[[], float] = time.process_time,
        max_rows: int = _MAX_ROWS,
        share: float,
        max_scoring_s: float = _MAX_SCORING_S,
    ) -> None:
        self._config = config
        self._clock = clock
        self._cpu_s = cpu_s
        self._max_rows = max_rows
        self._max_scoring_s = max_scoring_s
        self._share = share
        self._version = int(config.challenger["version"])
        self._champion = int(config.champion["version"])
        self._table = LogTable(shadow_table(config.live, config.project))
        self._predictions, self._labels = log_tables(config.live, config.project)
        self._totals = _Totals()
        self._disagreement = Disagreement()
        self._times: deque[float] = deque(maxlen=_KEPT_TIMES)
        self._paired: dict[str, Any] | None = None
        self._compared_rows = -1
        self._compare_from_s = 0.0
        self._state = "loading"
        self._trouble = ""
        self._beats = 0
        self._told_s = -_TELL_S

    def start(self) -> None:
        """Find the place in the log, then load both models as a replica does.

        The place is kept first: what is answered while a model does not load is counted.

        Raises:
            ArtifactError: a model is not what the registry says, does not reproduce its golden
                rows, or asks for columns that the champion's requests do not carry.
            StoreError: a table cannot be read or written.
        """
        self._tell()
        known = self._table.known_numbers(self._apps())
        at, *totals = (known.get(app) for app in self._apps())
        # Kept is one more than the commit's number, which is -1 before the table's first.
        self._tail = LogTail(self._predictions, after=None if at is None else at - 1)
        self._totals = _Totals(*(total or 0 for total in totals))
        self._totals = self._totals.more(dropped=self._tail.take(0).n_dropped)
        self._commit(SHADOW_SCHEMA.empty_table())
        self._label_tail = LogTail(self._labels)
        self._pair = Pair(load_arm(self._config.challenger), load_arm(self._config.champion))
        self._pair.require_columns()
        before = self._newest(["__gap", "__value", "__champion_value"])
        if before is not None:
            self._disagreement.add(self._pair.sums(before))
        self._state = "scoring"
        self._tell()

    def round(self) -> int:
        """Score what is new and compare what is labeled; the number of rows that were scored.

        Raises:
            StoreError: a table cannot be read or written; the rows of this round are dropped then,
                which the next commit tells.
        """
        tail = self._tail.take(self._max_rows)
        n_scored = 0
        if tail.n_new:
            dropped = self._totals.more(dropped=tail.n_new)
            rows, totals = self._score(tail.rows, self._totals.more(dropped=tail.n_dropped))
            self._totals = totals
            try:
                self._commit(rows)
            except StoreError:
                self._totals = dropped
                raise
            self._disagreement.add(self._pair.sums(rows))
            n_scored = rows.num_rows
        self._compare()
        self._trouble = ""
        self._tell()
        return n_scored

    def rest(
        self,
        spent_s: float,
        *,
        while_: Callable[[], bool],
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """Do nothing until a round that took so much is paid for, and say that it lives.

        Args:
            spent_s: seconds of CPU that the round took.
            while_: whether to go on; asked every two seconds.
            sleep: for tests.
        """
        until = self._clock() + max(_ROUND_S, spent_s * (1 / self._share - 1))
        while (left := until - self._clock()) > 0 and while_():
            sleep(min(left, _ROUND_S))
            self._tell()

    def note(self, trouble: str) -> None:
        """Tell of a failed round; the next one tries again."""
        self._trouble = trouble
        self._tell()

    def status(self) -> dict[str, Any]:
        """What the supervisor reads; JSON values."""
        times = sorted(self._times)
        return {
            "pid": os.getpid(),
            "beats": self._beats,
            "state": self._state,
            "trouble": self._trouble,
            "rows": self._totals.rows,
            "dropped_rows": self._totals.dropped,
            "refused_rows": self._totals.refused,
            "disagreement": self._disagreement.to_dict(),
            "row_s": {name: _quantile(times, q) for name, q in (("p50", 0.5), ("p99", 0.99))},
            "paired": self._paired,
        }

    def _apps(self) -> tuple[str, str, str, str]:
        head = f"shadow.{self._version}"
        return f"{head}.{self._config.since_ms}.place", *(
            f"{head}.rows", f"{head}.dropped", f"{head}.refused",
        )  # fmt: skip

    def _commit(self, rows: pa.Table) -> None:
        totals = self._totals
        numbers = (self._tail.at + 1, totals.rows, totals.dropped, totals.refused)
        self._table.append(rows, dict(zip(self._apps(), numbers, strict=True)))

    def _score(self, found: pa.Table | None, totals: _Totals) -> tuple[pa.Table, _Totals]:
        """The rows scored part by part, and the totals with them."""
        parts = [SHADOW_SCHEMA.empty_table()]
        if found is None:
            return parts[0], totals
        raw = self._pair.answered(found)
        until = self._cpu_s() + self._max_scoring_s
        start = n_timed = 0
        size = 1  # a slow one is found out by one
        while start < raw.num_rows:
            began = self._cpu_s()
            if began > until:
                totals = totals.more(dropped=raw.num_rows - start)
                break
            part = raw.slice(start, size)
            scored = self._pair.score(part)
            took_s = self._cpu_s() - began
            parts.append(scored)
            n_scored = scored.num_rows
            totals = totals.more(rows=n_scored, refused=part.num_rows - n_scored)
            if n_scored and n_timed < _TIMED_ROWS:
                few = part.slice(0, _TIMED_ROWS - n_timed)
                self._times += self._pair.one_row_s(few)
                n_timed += few.num_rows
            if self._clock() - self._told_s > _TELL_S:
                self._tell()
            start += part.num_rows
            size = next_part(part.num_rows, took_s)
        return pa.concat_tables(parts), totals

    def _newest(self, columns: Sequence[str]) -> pa.Table | None:
        """The newest rows of this pair, as many as the figures are made of."""
        wanted = sorted({*columns, "__version", "__champion", "__at"})
        rows = self._table.newest(wanted, WINDOW_ROWS, order="__at")
        if rows is None:
            return None
        return rows.filter(
            pc.and_(
                pc.equal(rows.column("__version"), self._version),
                pc.equal(rows.column("__champion"), self._champion),
            )
        )

    def _compare(self) -> None:
        """Losses of both models: when there are new labels or rows, and not too often."""
        now, before = self._clock(), self._cpu_s()
        rule = self._pair.loss_rule
        news = self._label_tail.moved or self._compared_rows != self._totals.rows
        if rule is None or not news or now < self._compare_from_s:
            return
        self._label_tail.take(0)
        self._compared_rows = self._totals.rows
        labels = LogTable(self._labels).newest(LABEL_SCHEMA.names, _MAX_LABELS, order="received_at")
        answers = self._newest(["__id", "__champion_value", "__value"])
        if labels is not None and answers is not None:
            self._paired = paired_losses(answers, labels, rule)
        took_s = self._cpu_s() - before
        self._compare_from_s = now + max(_COMPARE_S, took_s / (_COMPARE_SHARE * self._share))

    def _tell(self) -> None:
        """Write the file: one rename and no sync, for it is worth nothing after a power cut."""
        self._beats += 1
        self._told_s = self._clock()
        path = self._config.told
        temporary = path.with_name(f".{path.name}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(canonical_json(self.status()))
            temporary.replace(path)
        except OSError:
            log.exception("the shadow's status was not written")


def next_part(n_rows: int, took_s: float) -> int:
    """Rows of the next part of a round: as many as take 20 ms of CPU, 1 to 64.

    Args:
        n_rows: of the part before.
        took_s: seconds of CPU that it took.

    >>> next_part(4, 0.001), next_part(4, 0.008), next_part(4, 2.0), next_part(4, 0.0)
    (64, 10, 1, 64)
    """
    return max(1, min(_PART_ROWS, int(n_rows * _PART_S / max(took_s, 1e-6))))


def _quantile(times: Sequence[float], q: float) -> float | None:
    return times[min(len(times) - 1, int(q * len(times)))] if times else None


def _limit() -> None:
    os.nice(_NICE)
    for what, value in (
        (resource.RLIMIT_AS, _MAX_MEMORY_BYTES),
        (resource.RLIMIT_NOFILE, _MAX_OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        least = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(what, (least, least))


def main(arguments: Sequence[str] | None = None) -> int:
    """Score until the parent is gone; what keeps it from starting is the last line it says."""
    parent = os.getppid()
    _limit()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    (text,) = sys.argv[1:] if arguments is None else arguments
    share = _SHARE * inventory_local().cpus
    scorer = ShadowScorer(ShadowConfig.from_json(text), share=share)
    try:
        scorer.start()
    except TenfoldError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code

    def wanted() -> bool:
        return os.getppid() == parent

    while wanted():
        before = time.process_time()
        try:
            scorer.round()
        except StoreError as error:
            log.exception("a round failed")
            scorer.note(str(error))
        scorer.rest(time.process_time() - before, while_=wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
