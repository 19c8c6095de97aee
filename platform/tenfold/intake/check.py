"""Everything about a project that can be validated without compute: what ``tenfold check`` says."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from tenfold.errors import DataError, ProjectError
from tenfold.intake.combine import combined_names
from tenfold.intake.look import Look, look_at
from tenfold.intake.power import proof_of
from tenfold.intake.target import NUMERIC_SHARE
from tenfold.project.gates import Gate
from tenfold.project.measures import Task
from tenfold.project.project import Project
from tenfold.project.sources import FileSource, local_path

if TYPE_CHECKING:
    from tenfold.data.scan import ColumnScan

__all__ = ["Notice", "check_project", "refuse_errors"]

Level = Literal["error", "warning", "info"]
MIN_CLASS_ROWS_PER_FOLD = 2
"""Rows of each class a fold needs to say anything about that class."""
LISTED = 10
"""How many names or classes a message repeats."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One finding.

    Attributes:
        level: ``error`` (it cannot work), ``warning`` (it may disappoint), ``info``.
        where: the field of the project file, e.g. ``"problem.target"``.
        message: law, values and remedy.
    """

    level: Level
    where: str
    message: str

    def to_dict(self) -> dict[str, str]:
        """The finding as JSON values."""
        return {key: str(value) for key, value in asdict(self).items()}

    def __str__(self) -> str:
        return f"{self.level}: {self.where}: {self.message}"


def check_project(project: Project) -> list[Notice]:
    """Validate a project against its sources. Reads a bounded sample, starts nothing.

    Args:
        project: a loaded project; what the file alone says was checked when it was loaded.

    Returns:
        Findings, errors first. No error means that `tenfold prepare` can begin.
    """
    source = project.data.sources[0]
    if (
        len(project.data.sources) > 1
        or not isinstance(source, FileSource)
        or not local_path(source)
    ):
        return _combined(project)
    try:
        look = look_at(
            project.resolve(source.path),
            format=source.format,
            name=source.name,
            encoding=source.encoding,
            markers=project.prepare.missing_markers,
            trim=project.prepare.trim,
        )
    except DataError as error:
        return [Notice("error", "data.sources[0].path", str(error))]
    notices = list(_columns(project, look.names))
    target = project.target
    if target is not None and target in look.names:
        notices += _target(project, look)
    if not project.target or not any(notice.level == "error" for notice in notices):
        notices += _size(project, look)
    order: list[Level] = ["error", "warning", "info"]
    return sorted(notices, key=lambda notice: order.index(notice.level))


def _combined(project: Project) -> list[Notice]:
    """Several sources, or one that is no file: what each has, and what they have together."""
    names, faults = combined_names(project)
    notices = [Notice("error", where, message) for where, message in faults]
    if names:
        notices += _columns(project, names)
    n_sources = len(project.data.sources)
    text = f"{n_sources} {'source' if n_sources == 1 else 'sources'} with {len(names)} columns"
    if not notices:
        law = "together; classes and sizes are judged when the rows are collected"
        notices.append(Notice("info", "data.sources", f"{text} {law}"))
    return notices


def refuse_errors(notices: Sequence[Notice]) -> None:
    """Stop where a finding is an error.

    Raises:
        ProjectError: at least one is; the message holds them all, one a line.
    """
    errors = [f"{notice.where}: {notice.message}" for notice in notices if notice.level == "error"]
    if errors:
        raise ProjectError("\n".join(errors))


def _columns(project: Project, names: tuple[str, ...]) -> Iterator[Notice]:
    """Every column that the project names is in the header."""
    data = project.data
    uses = [("problem.target", project.target), ("data.time", data.time_column)]
    uses += [("data.group", data.group), *(("data.key", name) for name in data.key)]
    uses += [(f"data.columns.{name}", name) for name in data.columns]
    for where, name in uses:
        if name is None or name in names:
            continue
        near = difflib.get_close_matches(name, names, n=1)
        known = ", ".join(names[:LISTED]) + (", ..." if len(names) > LISTED else "")
        remedy = f"did you mean '{near[0]}'?" if near else f"the header has {known}"
        yield Notice("error", where, f"must be a column of the table; found '{name}'; {remedy}")
    left = set(names) - {name for where, name in uses if not where.startswith("data.columns")}
    ignored = {name for name, rule in data.columns.items() if rule.role == "ignored"}
    if not left - ignored:
        law = "must leave at least one column to learn from"
        yield Notice("error", "data", f"{law}; all {len(names)} have another role; free one")


def _target(project: Project, look: Look) -> Iterator[Notice]:
    scan = look.columns[str(project.target)]
    if scan.n_distinct < 2:
        found = "one value only" if scan.n_distinct else "no value"
        law = f"must have at least two different values; found {found} in {scan.n_rows:,} rows"
        yield Notice("error", "problem.target", f"{law}; choose another column")
    elif project.problem.task.classifies:
        yield from _classes(project, look, scan)
    elif scan.n_numbers < NUMERIC_SHARE * scan.n_values:
        share = 1 - scan.n_numbers / scan.n_values
        law = f"must be numbers for regression; {share:.0%} of '{project.target}' are not"
        yield Notice("error", "problem.target", f"{law}; write 'task: multiclass' or mend them")
    if scan.n_missing:
        share = scan.n_missing / scan.n_rows
        text = f"{share:.1%} of the rows have no target; they go to quarantine"
        over = share > project.prepare.max_bad_fraction
        remedy = f", more than max_bad_fraction {project.prepare.max_bad_fraction:g}; raise it"
        level: Level = "error" if over else "info"
        yield Notice(level, "problem.target", text + (remedy if over else ""))


def _classes(project: Project, look: Look, scan: ColumnScan) -> Iterator[Notice]:
    problem, counts = project.problem, scan.value_counts()
    if counts is None:
        law = f"must be classes; found about {scan.n_distinct:,} different values"
        yield Notice("error", "problem.target", f"{law}; write 'task: regression' or group them")
        return
    listed = ", ".join(repr(name) for name in sorted(counts)[:LISTED])
    if problem.task is Task.BINARY and len(counts) != 2:
        law = f"must have two classes for binary; '{problem.target}' has {len(counts)}: {listed}"
        yield Notice("error", "problem.task", f"{law}; write 'task: multiclass'")
    positive = problem.positive_class
    if positive is not None and positive not in counts:
        law = f"must be a class of '{problem.target}': {listed}; found '{positive}'"
        remedy = "write one of these"
        near = difflib.get_close_matches(positive, counts, n=1)
        if near:
            remedy = f"did you mean '{near[0]}'?"
        level: Level = "error" if look.exact else "warning"
        yield Notice(level, "problem.positive_class", f"{law}; {remedy}")
    least = project.train.folds * MIN_CLASS_ROWS_PER_FOLD
    scarce = [name for name, count in counts.items() if count < least]
    if scarce and look.exact:
        names = ", ".join(repr(name) for name in sorted(scarce)[:LISTED])
        law = f"{names}: fewer than {least} rows, too few for {project.train.folds} folds"
        yield Notice("warning", "train.folds", f"{law}; use fewer folds or merge rare classes")


def _size(project: Project, look: Look) -> Iterator[Notice]:
    """Rows for the folds and for the proof of each gate."""
    n_test = int(look.n_rows * project.prepare.test_fraction)
    n_train, folds = look.n_rows - n_test, project.train.folds
    if n_test < 1 or n_train < 2 * folds:
        law = f"must leave a test row and two training rows for each of {folds} folds"
        remedy = "give more rows or use fewer folds"
        text = f"{law}; the table has {look.n_rows} rows; {remedy}"
        yield Notice("error", "train.folds", text)
        return
    size = f"{look.rows_in_words()} rows, {len(look.names)} columns; "
    where = "the newest" if project.data.ordered else "a sealed"
    text = f"{size}{where} {project.prepare.test_fraction:.0%} (about {n_test:,} rows) judge"
    yield Notice("info", "prepare.test_fraction", text)
    if project.problem.task.classifies:
        class_rows = _test_rows_by_class(project, look, n_test)
        for index, gate in enumerate(project.problem.gates):
            yield from _gate(gate, index, class_rows)


def _test_rows_by_class(project: Project, look: Look, n_test: int) -> list[int]:
    """Expected test rows of each class, the positive class (or the rarest) first."""
    scan = look.columns[str(project.target)]
    counts = scan.value_counts() or {}
    names = sorted(counts, key=lambda name: (name != project.problem.positive_class, counts[name]))
    return [max(1, round(n_test * counts[name] / scan.n_values)) for name in names]


def _gate(gate: Gate, index: int, class_rows: list[int]) -> Iterator[Notice]:
    proof, where = proof_of(gate, class_rows), f"problem.gates[{index}]"
    if proof is None:
        return
    width = f"with about {sum(class_rows):,} test rows {gate.metric} is known to +-"
    width += f"{proof.half_width:.3f} (95 %)"
    if proof.possible:
        need = f"a measured {proof.needed:.3f} proves '{gate}'"
        yield Notice("info", where, f"{width}: {need}")
        return
    law = f"no score can prove '{gate}': {width}"
    remedy = f"have at least {proof.n_rows_at_least:,} test rows or lower the gate"
    if proof.n_rows_at_least == 0:
        remedy = "lower the gate below 1"
    yield Notice("warning", where, f"{law}; {remedy}")
