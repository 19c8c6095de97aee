"""The tables of the contest and their fixed splits.

`KEPT_ASIDE` were chosen by size and task alone, before anybody had played one, and no default of
ours was ever looked at on them: what is won there is not won by tuning to the table.

A quarter of the rows is the test, chosen by a hash of the row's own text and the seed, so every
system and every run sees the same rows whatever their order. Two tables carry time in their order;
here they are split like the others, which is the same for all.
"""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

__all__ = ["KEPT_ASIDE", "TABLES", "Split", "Table", "split_table"]

TEST_SHARE = 4
"""One row in so many is the test."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table and its question.

    Attributes:
        name: of its file.
        task: ``binary``, ``multiclass`` or ``regression``.
        target: column.
        positive: the class that AUC speaks of.
        without: columns that nobody gets: numbers of rows in a file that is sorted by the target.
        is_aside: whether it is kept aside; it then comes out of a package, see `contest.aside`.
    """

    name: str
    task: str
    target: str
    positive: str | None = None
    without: tuple[str, ...] = ()
    is_aside: bool = False

    @property
    def metric(self) -> str:
        """``roc_auc``, ``log_loss`` or ``rmse``."""
        return {"binary": "roc_auc", "multiclass": "log_loss", "regression": "rmse"}[self.task]


KEPT_ASIDE = (
    Table("breast-cancer", "binary", "malignant", "1", is_aside=True),
    Table("politicians", "binary", "responded", "1", is_aside=True),
    Table("parties", "multiclass", "PID", is_aside=True),
    Table("doctor-visits", "regression", "mdvis", is_aside=True),
    Table("inspections", "regression", "inspection_score", is_aside=True),
)
"""569, 5,593, 944 (seven classes), 20,190 and 27,178 rows (names of restaurants among them)."""

TABLES = (
    Table("adult", "binary", "salary", ">50K"),
    Table("telco-churn", "binary", "Churn", "Yes"),
    Table("german-credit", "binary", "class-label", "1"),
    Table("elec2", "binary", "class", "1"),
    Table("king-county", "regression", "Price"),
    Table("bike", "regression", "cnt"),
    Table("diamonds", "regression", "price", without=("rownames",)),
    Table("penguins", "multiclass", "species", without=("rownames",)),
    *KEPT_ASIDE,
)


@dataclass(frozen=True, slots=True)
class Split:
    """Paths of one split: ``train.csv`` with the target, ``test.csv`` without it; ``truth`` is the
    target of the test rows as text, in their order."""

    train: Path
    test: Path
    truth: tuple[str, ...]


def split_table(table: Table, data: Path, *, seed: int, folder: Path) -> Split:
    """Write the two files; rows without a target are left out.

    Args:
        table: which.
        data: folder of its CSV file.
        seed: another seed, another quarter.
        folder: where the files go.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (data / f"{table.name}.csv").open(newline="", encoding="utf-8-sig") as file:
        header, *rows = csv.reader(file)
    for name in table.without:
        place = header.index(name)
        header, rows = _without(header, place), [_without(row, place) for row in rows]
    at = header.index(table.target)
    rows = [row for row in rows if len(row) == len(header) and row[at].strip() not in ("", "?")]
    train = [row for row in rows if not _is_test(row, seed)]
    test = [row for row in rows if _is_test(row, seed)]
    split = Split(folder / "train.csv", folder / "test.csv", tuple(row[at].strip() for row in test))
    _write(split.train, header, train)
    _write(split.test, _without(header, at), [_without(row, at) for row in test])
    return split


def _is_test(row: list[str], seed: int) -> bool:
    text = "\x1f".join([str(seed), *row])
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest) % TEST_SHARE == 0


def _without(row: list[str], at: int) -> list[str]:
    return row[:at] + row[at + 1 :]


def _write(path: Path, header: list[str], rows: list[list[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
