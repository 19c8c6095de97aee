"""``tenfold init``: look at a table and write the project file that a person would begin with."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from tenfold.errors import ProjectError
from tenfold.intake.look import Look, look_at
from tenfold.intake.target import Question, question_of
from tenfold.project.measures import Task, default_metric, measures_for
from tenfold.project.project import project_name
from tenfold.project.work import default_families
from tenfold.schema import Kind, Schema

if TYPE_CHECKING:
    from tenfold.schema import Column

__all__ = ["init_project"]

_PLAIN = re.compile(r"(\.\./)*[A-Za-z_/][A-Za-z0-9_./-]*")
_NOT_PLAIN = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
COMMENT_COLUMN = 34
"""Where comments behind values begin."""
WIDEST_RULE = 72
"""A column's line longer than this does not push the other comments out of sight."""
SUGGESTED_AUC, SUGGESTED_R2, SUGGESTED_SILHOUETTE = 0.8, 0.5, 0.25
"""Where models begin to be useful, as a first gate; every field has its own bar."""
SUGGESTED_P99_MS = 20


def init_project(table: Path, *, target: str | None = None, output: Path | None = None) -> str:
    """A commented project file for a table.

    Args:
        table: CSV, Parquet, JSON lines or Arrow, or a folder of them; a bounded sample is read.
        target: the column to predict; None asks for segments (clustering).
        output: where the text will be written; paths in it are relative to that folder. By
            default ``project.yaml`` in the current folder.

    Returns:
        The text of a project file that loads as it is.

    Raises:
        DataError: the table cannot be read, or the target cannot be learned.
        ProjectError: the target is no column of the table.
    """
    look = look_at(table)
    if target is None:
        question = Question(Task.CLUSTERING, "no target was named: rows are put into segments")
    elif target in look.names:
        question = question_of(target, look.columns[target])
    else:
        raise ProjectError(_no_column(table, target, look.names))
    folder = (output or Path("project.yaml")).absolute().parent
    schema = _schema(look, target, question)
    blocks = [
        _head(table, look, target),
        _problem(look, question, target),
        _data(relative_path(table, folder), schema),
        _work(question.task),
    ]
    return "\n".join("\n".join(block) + "\n" for block in blocks)


def _no_column(table: Path, target: str, names: tuple[str, ...]) -> str:
    import difflib

    near = difflib.get_close_matches(target, names, n=1)
    remedy = f"did you mean '{near[0]}'?" if near else "choose one of " + ", ".join(names)
    return f"--target: must be a column of {table.name}; found '{target}'; {remedy}"


def relative_path(table: Path, folder: Path) -> str:
    """The table as seen from a folder; absolute where the two share nothing but the root."""
    there, here = Path(os.path.realpath(table)), Path(os.path.realpath(folder))
    if os.path.commonpath([there, here]) == there.anchor:
        return str(there)
    return os.path.relpath(there, here)


def _schema(look: Look, target: str | None, question: Question) -> Schema:
    from tenfold.data.infer import Hints, decide_schema

    classes = question.task.classifies if target is not None else None
    return decide_schema(look.scan, Hints(target=target, classes=classes))


def _head(table: Path, look: Look, target: str | None) -> list[str]:
    asked = f" --target {plain(target)}" if target else ""
    return [
        f"# A first project file, from: tenfold init {plain(table.name or str(table))}{asked}",
        f"# The table has {look.rows_in_words()} rows and {len(look.names)} columns.",
        "# Change what you know better; `tenfold check` says whether it still holds.",
        f"name: {_quoted_if_number(project_name(_own_name(table)))}",
    ]


def _own_name(table: Path) -> str:
    """The last name of a path, of the folder itself where it is written ``.`` or ``..``."""
    return Path(os.path.normpath(table.absolute())).name


def _problem(look: Look, question: Question, target: str | None) -> list[str]:
    task = question.task
    lines = ["problem:", _line(f"  task: {task}", question.why)]
    if target is not None:
        lines.append(f"  target: {plain(target)}")
    if question.positive_class is not None:
        why = "probabilities, precision and recall speak of this class"
        lines.append(_line(f"  positive_class: {plain(question.positive_class)}", why))
    metric = default_metric(task)
    others = ", ".join(name for name in measures_for(task, searchable=True) if name != metric)
    why = "what the search optimizes" + (f"; or {others}" if others else "")
    lines.append(_line(f"  metric: {metric}", why))
    lines += [
        "  # Gates must hold on rows that no training saw, or the model is not promoted.",
        "  # Take the # off and set the bar that makes the model worth having:",
        "  # gates:",
    ]
    lines += [_line(f"  #   - {gate}", why) for gate, why in _gates(question)]
    if task is Task.BINARY:
        why = "what a wrong answer costs; only the ratio counts"
        lines.append(_line("  # costs: {false_positive: 1, false_negative: 5}", why))
    return lines


def _gates(question: Question) -> Iterator[tuple[str, str]]:
    match question.task:
        case Task.BINARY:
            yield f"roc_auc >= {SUGGESTED_AUC}", "0.5 is a coin, 1 ranks every pair right"
        case Task.MULTICLASS:
            bar = min(0.99, round(question.baseline + (1 - question.baseline) / 2, 2))
            why = f"always answering the commonest class gives {question.baseline:.2f}"
            yield f"accuracy >= {bar:g}", why
        case Task.REGRESSION:
            yield f"r2 >= {SUGGESTED_R2}", "share of the variance explained; the mean gives 0"
        case Task.CLUSTERING:
            yield f"silhouette >= {SUGGESTED_SILHOUETTE}", "0 is no structure, 1 is clear segments"
    yield f"latency_p99_ms <= {SUGGESTED_P99_MS}", "99 % of single rows answer within this"


def _data(path: str, schema: Schema) -> list[str]:
    dates = [column.name for column in schema.columns if column.kind is Kind.DATETIME]
    names = [column.name for column in schema.columns if column.kind is Kind.IDENTIFIER]
    time = plain(dates[0]) if dates else "{order: rows}"
    why_time = "test on the newest rows" + ("" if dates else ", if the file is in order of time")
    lines = ["data:", "  sources:", f"    - path: {plain(path)}"]
    lines.append(_line(f"  # time: {time}", why_time))
    if names:
        lines.append(_line(f"  # key: {plain(names[0])}", "names a row; never a feature"))
    lines.append("  # What was found in each column. To overrule, take the # off:")
    lines.append("  # columns:")
    columns = [column for column in schema.columns if column.role != "target"]
    rules = [_rule(column) for column in columns]
    width = max((len(rule) for rule in rules if len(rule) <= WIDEST_RULE), default=0)
    pairs = zip(rules, columns, strict=True)
    return [*lines, *(_line(rule, column.evidence, at=width) for rule, column in pairs)]


def _rule(column: Column) -> str:
    fields = [f"kind: {column.kind}", f"role: {column.role}", *_form(column)]
    return f"  #   {plain(column.name)}: {{{', '.join(fields)}}}"


def _form(column: Column) -> Iterator[str]:
    """What the column tells of decimal marks and dates; where it tells nothing, one to choose."""
    if column.form.decimal != "point":
        yield f"decimal: {'point' if column.form.decimal == 'undecided' else column.form.decimal}"
    if column.form.dates != "undecided" or "declare dates" in column.evidence:
        yield f"dates: {column.form.dates.replace('undecided', 'day_first')}"


def _work(task: Task) -> list[str]:
    families = ", ".join(default_families(task))
    lines = ["train:", _line("  budget: 60s", "wall time of the search")]
    lines.append(_line(f"  families: [{families}]", "what is tried"))
    if task.supervised:
        lines.append(_line("  folds: 5", "parts of cross-validation"))
    return [*lines, _line("  seed: 0", "what all randomness starts from")]


def _line(text: str, comment: str, *, at: int = COMMENT_COLUMN) -> str:
    """A line with a comment behind it that cannot end before the line does."""
    safe = "".join(mark if mark.isprintable() else " " for mark in comment)
    return f"{text:<{at}}  # {safe}" if safe else text


def plain(text: str) -> str:
    """Text as YAML: bare where that is safe for every reader, quoted otherwise.

    >>> plain("salary"), plain(">50K"), plain("yes"), plain("a: b")
    ('salary', '">50K"', '"yes"', '"a: b"')
    """
    if _PLAIN.fullmatch(text) and text.lower() not in _NOT_PLAIN:
        return text
    dumped: str = yaml.dump(text, default_style='"', allow_unicode=True, width=10**9)
    return dumped.strip()


def _quoted_if_number(name: str) -> str:
    return plain(name) if not name[0].isalpha() else name
