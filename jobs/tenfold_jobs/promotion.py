"""Whether a freshly trained version becomes the champion: gates, then the champion of today on the
same sealed rows, then the registry's conditional write. Every decision is a journal row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tenfold.canonical import finite_or_none
from tenfold.data import FOLD, ROW, Snapshot, clean_table
from tenfold.errors import ArtifactError, RegistryConflict
from tenfold.evaluation import Judged, measure, silhouette
from tenfold.inference import Predictor
from tenfold.project.measures import Task
from tenfold.registry import CHAMPION, Registry, Version
from tenfold.schema import Column, Kind, Schema
from tenfold.settings import Settings
from tenfold.training.finish import Finished
from tenfold.training.folds import TEST_FOLD
from tenfold.training.question import Question
from tenfold.training.rows import TrainingRows, truth_of
from tenfold_jobs.packing import Packed

__all__ = ["Promotion", "promote_if_better"]


@dataclass(frozen=True, slots=True)
class Promotion:
    """What became of a version.

    Attributes:
        alias: ``champion`` if it answers now, else None.
        reason: why, in one sentence.
        value: of the project's metric on the sealed rows; None where it has no meaning.
        champion_value: of the version that was the champion before, on the same rows; None where
            there was none or it could not be judged.
        previous: that version's number, or None.
    """

    alias: str | None
    reason: str
    value: float | None = None
    champion_value: float | None = None
    previous: int | None = None


class _NotComparable(Exception):
    """The champion cannot be judged on these rows."""


def promote_if_better(
    settings: Settings,
    packed: Packed,
    *,
    snapshot: Snapshot,
    question: Question,
    finished: Finished,
    test: TrainingRows,
) -> Promotion:
    """Make a version the champion if every gate holds and it is no worse than the champion of
    today on the same sealed rows, and journal the decision.

    The champion reads the sealed rows by its own schema, so a newer file with wider ranges or other
    categories is no excuse. It may have been fitted on some of these rows, which were sealed for
    the new model only; where it was, the comparison favors the champion, never the newcomer. Rows
    are sealed by their hash (or as the newest ones), so tables that share rows share most of the
    sealed ones.

    A champion that answers another question (target, task, classes), lacks a column here, or is
    damaged cannot be judged and is replaced; the reason says so.

    Args:
        settings: where the registry is.
        packed: the new version with its measures and gates.
        snapshot: the table that it was trained on.
        question: what was asked.
        finished: the new model.
        test: the sealed rows that its measures come from.
    """
    project = packed.version.project
    registry = Registry(settings)
    before = registry.resolve(project, CHAMPION)
    made = _decide(
        packed, before, snapshot=snapshot, question=question, finished=finished, test=test
    )
    if made.alias is not None and made.previous != packed.version.version:
        try:
            registry.promote(project, packed.version.version, expected=made.previous)
        except RegistryConflict as conflict:
            made = Promotion(None, f"not promoted: {conflict}", made.value, previous=made.previous)
    body = {
        "version": packed.version.version,
        "previous": made.previous,
        "reason": made.reason,
        "metric": question.metric,
        "value": made.value,
        "champion_value": made.champion_value,
    }
    if made.alias is None:
        registry.state.journal.append(project, "decision", {"action": "hold", **body})
    else:
        registry.state.journal.append(project, "promote", body)
    return made


def _decide(
    packed: Packed,
    champion: Version | None,
    *,
    snapshot: Snapshot,
    question: Question,
    finished: Finished,
    test: TrainingRows,
) -> Promotion:
    metric, value = question.metric, packed.metrics[question.metric].value
    new = finite_or_none(value)
    previous = None if champion is None else champion.version
    missed = [f"{g.text} (it is {g.value:.4g})" for g in packed.gates if not g.holds]
    if missed:
        return Promotion(None, f"gate missed: {', '.join(missed)}", new, previous=previous)
    if champion is None:
        return Promotion(CHAMPION, "first champion", new)
    if previous == packed.version.version:
        return Promotion(
            CHAMPION, f"version {previous} is the champion already", new, new, previous
        )
    try:
        old = _champion_value(champion, snapshot, question=question, finished=finished, test=test)
    except (_NotComparable, ArtifactError) as fault:
        reason = f"version {previous} cannot be judged on these rows and is replaced: {fault}"
        return Promotion(CHAMPION, reason, new, previous=previous)
    words = f"on the same {test.n_rows:,} sealed rows"
    if question.better(old, value):
        reason = (
            f"not promoted: version {previous} is better: {metric} {old:.4g} against {value:.4g}"
        )
        return Promotion(None, f"{reason} {words}", new, finite_or_none(old), previous)
    side = "below" if question.maximize else "above"
    reason = f"{metric} {value:.4g} is not {side} {old:.4g} of version {previous} {words}"
    return Promotion(CHAMPION, reason, new, finite_or_none(old), previous)


def _champion_value(
    champion: Version,
    snapshot: Snapshot,
    *,
    question: Question,
    finished: Finished,
    test: TrainingRows,
) -> float:
    """The project's metric of the champion on the sealed rows of a snapshot.

    Raises:
        _NotComparable: it answers another question, or lacks a column here.
        ArtifactError: its folder is damaged.
    """
    predictor = Predictor.load(champion.path, digest=champion.artifact_digest)
    _check_same_question(predictor, snapshot.schema, question)
    values: list[str | float] = []
    scores, truth, position = [], [], []
    for block in snapshot.blocks():
        table = block.filter(_judged(block, test))
        if not table.num_rows:
            continue
        rows, _problems = clean_table(
            table, Schema(predictor.columns).as_machines_write(), markers=(), trim=False
        )
        answer = predictor.predict_table(rows)
        scores.append(answer.scores)
        values += answer.values
        truth.append(truth_of(question, snapshot.schema, table))
        position.append(table.column(ROW).to_numpy())
    # In the order of `test`: sums of floats then agree to the last bit, so equal models tie.
    order = np.argsort(np.concatenate(position))
    order = order[np.argsort(np.argsort(test.position))]
    everything = np.concatenate(scores)[order]
    decided = None
    if question.task is not Task.REGRESSION:
        columns = question.classes or predictor.classes
        everything = everything[:, [predictor.classes.index(name) for name in columns]]
        decided = np.asarray([columns.index(str(value)) for value in values])[order]
    if question.task is Task.CLUSTERING and decided is not None:
        return silhouette(finished.preprocessor.transform_codes(test.codes), decided)
    judged = Judged(
        question.task,
        np.concatenate(truth)[order],
        everything,
        decided,
        question.objective,
        question.quantile,
    )
    return measure(question.metric, judged)


def _judged(block: pa.Table, test: TrainingRows) -> pa.Array:
    """Which rows of a block the new model was judged on: sealed, of known truth, in the sample."""
    sealed = pc.equal(block.column(FOLD), TEST_FOLD)
    return pc.and_(sealed, pc.is_in(block.column(ROW), value_set=pa.array(test.position)))


def _check_same_question(predictor: Predictor, schema: Schema, question: Question) -> None:
    manifest, own = predictor.manifest, predictor.schema.target
    if manifest.task != question.task.value:
        raise _NotComparable(f"its task is {manifest.task}, not {question.task.value}")
    target = None if schema.target is None else schema.target.name
    if (None if own is None else own.name) != target:
        raise _NotComparable(f"its target is {own and own.name!r}, not {target!r}")
    if set(manifest.classes) != set(question.classes) and question.task is not Task.CLUSTERING:
        raise _NotComparable(
            f"its classes are {sorted(manifest.classes)}, not {sorted(question.classes)}"
        )
    for column in predictor.columns:
        if column.name not in schema:
            raise _NotComparable(f"its column {column.name!r} is not in this table")
        here = schema.column(column.name)
        if not _reads(column, here):
            raise _NotComparable(
                f"its column {column.name!r} is a {column.kind}, and here it is a {here.kind}"
            )


def _reads(column: Column, here: Column) -> bool:
    """Whether a model's column means the same as one of a table. Whole numbers are numbers, and one
    constant value can be of any kind."""
    whole = column.kind is Kind.NUMBER and here.kind is Kind.INTEGER
    return here.kind in (column.kind, Kind.CONSTANT) or whole
