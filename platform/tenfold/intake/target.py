"""What a target column asks for: the task, and the class that people look for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tenfold.errors import DataError
from tenfold.project.measures import Task

if TYPE_CHECKING:
    from tenfold.data.scan import ColumnScan

__all__ = ["Question", "positive_class", "question_of"]

MAX_NUMERIC_CLASSES = 10
"""Whole numbers with up to so many different values are read as classes (grades, digits)."""
MAX_TEXT_CLASSES = 100
"""Texts with more different values are no classes that a model could learn."""
NUMERIC_SHARE = 0.95
"""A target is numeric when this share of its values reads as numbers."""
YES = ("1", "yes", "true", "y", "t", "positive")
NO = ("0", "no", "false", "n", "f", "negative")


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask of a table.

    Attributes:
        task: the task.
        why: what was seen, in words.
        positive_class: for binary tasks.
        baseline: for classes, the share of the most frequent one; 0 otherwise.
    """

    task: Task
    why: str
    positive_class: str | None = None
    baseline: float = 0.0


def question_of(name: str, scan: ColumnScan) -> Question:
    """Guess the task from the target's values.

    Args:
        name: the target's name.
        scan: evidence about it.

    Raises:
        DataError: it has no value, one value only, or is neither class nor number.
    """
    n_distinct = scan.n_distinct
    if n_distinct < 2:
        found = f"{n_distinct} in {scan.n_rows} rows" if n_distinct else "no value at all"
        raise DataError(
            f"target '{name}' must have at least two different values; found {found}; "
            "choose another column"
        )
    counts = scan.value_counts() or {}
    numeric = scan.n_numbers >= NUMERIC_SHARE * scan.n_values
    whole = scan.n_integers >= scan.n_numbers
    most = MAX_NUMERIC_CLASSES if numeric and whole else MAX_TEXT_CLASSES
    if n_distinct == 2:
        share = max(counts.values()) / sum(counts.values())
        words = f"'{name}' has two classes: {_listing(counts)}"
        return Question(Task.BINARY, words, positive_class(counts), share)
    if numeric and (not whole or n_distinct > most):
        span = f"from {scan.minimum:.10g} to {scan.maximum:.10g}"
        return Question(Task.REGRESSION, f"'{name}' has {n_distinct:,} different numbers {span}")
    if counts and n_distinct <= most:
        share = max(counts.values()) / sum(counts.values())
        words = f"'{name}' has {n_distinct} classes: {_listing(counts)}"
        return Question(Task.MULTICLASS, words, None, share)
    raise DataError(
        f"target '{name}' must be classes or numbers; found {n_distinct:,} different texts in "
        f"{scan.n_values:,} values; choose another column or group its values first"
    )


def positive_class(counts: dict[str, int]) -> str:
    """The class of two that people look for: a yes, else the rarer one.

    >>> positive_class({"no": 10, "yes": 90}), positive_class({"<=50K": 76, ">50K": 24})
    ('yes', '>50K')
    """
    for word, other in zip(YES, NO, strict=True):
        pair = {value.lower(): value for value in counts}
        if word in pair and other in pair:
            return pair[word]
    return min(sorted(counts), key=lambda value: counts[value])


def _listing(counts: dict[str, int], *, most: int = 5) -> str:
    ranked = sorted(counts, key=lambda value: (-counts[value], value))
    shown = ", ".join(f"{value!r} ({counts[value]:,})" for value in ranked[:most])
    return shown + (f" and {len(ranked) - most} more" if len(ranked) > most else "")
