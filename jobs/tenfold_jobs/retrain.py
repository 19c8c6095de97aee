"""``tenfold retrain``: the champion's recipe on newer rows, judged beside it, promoted if it helps.

Labeled live rows come from the logs and are dealt once and for all (`tenfold_jobs.windows`): some
choose the window, some are learned from, some only judge. The judges become the sealed test set of
the refit: its gates and its comparison with the champion rest on rows that neither was ever fitted
on. The policy, a pure function, decides; the registry's conditional write makes it so; a running
endpoint follows the registry. The prepared table's own sealed rows stay sealed.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tenfold.artifact import REFERENCE_FILE
from tenfold.canonical import finite_or_none, read_json
from tenfold.cluster.keeper import running_keeper, status_file
from tenfold.data import FOLD, HASH, ROW, Snapshot, clean_table, snapshot_from_table
from tenfold.data.duplicates import first_of_equals
from tenfold.data.hashing import from_binary
from tenfold.errors import DataError, RegistryConflict, StoreError
from tenfold.evaluation.paired import PairedDifference, paired_difference
from tenfold.inference import Predictor
from tenfold.live import LABEL, labeled_rows
from tenfold.monitor import Action, Challenger, Decision, Evidence, Rules, decide
from tenfold.monitor.reference import Reference
from tenfold.progress import SILENT, Progress
from tenfold.project import Project
from tenfold.registry import CHALLENGER, CHAMPION, Registry, Version
from tenfold.schema import Column, Kind, Role, Schema
from tenfold.settings import Settings
from tenfold.tracking import RunFacts
from tenfold.training.answer import Answer
from tenfold.training.making import Making
from tenfold.training.question import make_question
from tenfold_jobs.mirror import tell_mlflow
from tenfold_jobs.packing import Packed
from tenfold_jobs.placing import Where, place_retrain
from tenfold_jobs.refit import refit_artifact
from tenfold_jobs.windows import (
    CHOOSE,
    LEARN,
    MIN_WINDOW_ROWS,
    LiveRows,
    Window,
    choose_window,
    deal,
    windows_of,
)

__all__ = ["RetrainRecord", "live_table", "run_retrain"]

MAX_BASE_ROWS = 200_000
"""Rows of the prepared table that a refit takes along; more are thinned by row hash."""

MIN_JUDGES = 20
"""Fewer sealed rows cannot show that a model helps, however clear the case."""

REFIT_THREADS = 1
"""Beside a serving replica on two cores, one thread leaves it its own."""

_TEXTS = (Kind.CATEGORY, Kind.TEXT, Kind.IDENTIFIER, Kind.CONSTANT)


@dataclass(frozen=True, slots=True)
class RetrainRecord:
    """What a retrain made and what became of it; `to_dict` is what ``--json`` prints.

    Attributes:
        project: name.
        version: number in the registry.
        digest: model digest.
        alias: ``champion`` if it was promoted, else ``challenger``.
        window: the rows learned from: ``everything``, ``live`` or ``since-change``.
        windows: the metric of each candidate window on the newest labels.
        rows: rows learned from.
        labels: labeled live rows that were there.
        reason: the policy's sentence.
        comparison: both losses in [0, 1] on sealed live rows and the interval of their difference.
        metrics: on the sealed rows of the window, as in training.
        gates: gate, value, holds.
        seconds: wall time.
    """

    project: str
    version: int
    digest: str
    alias: str
    window: str
    windows: dict[str, float | None]
    rows: int
    labels: int
    reason: str
    comparison: dict[str, float | None]
    metrics: dict[str, dict[str, float | None]]
    gates: list[dict[str, Any]]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON values."""
        return asdict(self)


def run_retrain(
    project: Project, settings: Settings, *, progress: Progress = SILENT
) -> RetrainRecord:
    """Refit on newer rows, compare, decide. Needs no Ray unless the plan puts its fits on a GPU or
    on some nodes: where the refit misses a gate, the search runs in this process, too.

    Args:
        project: gates, metric and the rules of the loop.
        settings: where the logs and the registry are.
        progress: is told of steps.

    Raises:
        UserError: there is no champion yet.
        DataError: too few labeled live rows.
        ProjectError: the project wants a GPU or nodes that are not there.
        ClusterError: the cluster does not answer, or others hold what the project insists on.
    """
    began = time.monotonic()
    registry = Registry(settings)
    champion = registry.require(project.name, CHAMPION)
    predictor = Predictor.load(champion.path)
    with progress.step("labeled live rows"):
        live = _live(project, settings, predictor.manifest.schema, registry)
    newest = Snapshot.latest(settings, project)
    with place_retrain(
        project,
        settings,
        n_rows=min(newest.n_rows, MAX_BASE_ROWS) + live.table.num_rows,
        n_columns=len(predictor.manifest.schema.features),
        champion=champion.path,
        progress=progress,
    ) as where:
        window, scores = _choose(project, newest, predictor, live, where, progress)
        learned = window.rows(live, LEARN, CHOOSE)
        with progress.step("snapshot"):
            snapshot = snapshot_from_table(
                pa.concat_tables([learned, live.judges]),
                predictor.manifest.schema,
                project=project,
                settings=settings,
                sealed_after=learned.num_rows,
            )
        version, packed, _finished = refit_artifact(
            project,
            snapshot,
            settings=settings,
            parent=champion,
            threads=REFIT_THREADS,
            where=where,
            progress=progress,
        )
    compared = _compare(predictor, Predictor.load(version.path), snapshot)
    gates_hold = all(gate.holds for gate in packed.gates)
    broken = _broken(settings, champion)
    decision = _decide(project, version, compared, gates_hold=gates_hold, broken=broken)
    alias = _obey(registry, project.name, champion, version, decision)
    facts = _run_facts(packed, parent=champion, window=window.name)
    tell_mlflow(project.name, settings, run=facts, progress=progress)
    return RetrainRecord(
        project=project.name,
        version=version.version,
        digest=version.model_digest,
        alias=alias,
        window=window.name,
        windows={name: finite_or_none(score) for name, score in scores.items()},
        rows=learned.num_rows,
        labels=live.table.num_rows,
        reason=decision.reason,
        comparison=compared.to_dict(),
        metrics={name: estimate.to_dict() for name, estimate in packed.metrics.items()},
        gates=[gate.to_dict() for gate in packed.gates],
        seconds=time.monotonic() - began,
    )


def live_table(
    settings: Settings, project: Project, schema: Schema
) -> tuple[pa.Table, pa.ChunkedArray]:
    """Labeled live rows as a cleaned table, oldest first, and when each was answered.

    Rows whose label the schema does not know (another class, text for a number, a number beyond
    float32) are left out.
    """
    joined = labeled_rows(settings.live, project.name)
    if joined.num_rows == 0 or schema.target is None:
        return schema.arrow_schema().empty_table(), pa.chunked_array([], pa.timestamp("us", "UTC"))
    names = [name for name in joined.column_names if name in schema]
    raw = joined.select(names).append_column(schema.target.name, joined.column(LABEL))
    for column in schema.columns:
        if column.name not in raw.column_names:
            raw = raw.append_column(column.name, _stand_in(column, joined))
    rules = project.prepare
    table, _problems = clean_table(
        raw, schema.as_machines_write(), markers=rules.missing_markers, trim=rules.trim
    )
    target = table.column(schema.target.name)
    known = pc.is_valid(target)
    if schema.target.domain is not None:
        domain = pa.array(schema.target.domain, pa.string())
        known = pc.and_(known, pc.is_in(target, value_set=domain))
    else:  # a number beyond float32 is a slip of the sender, and no fit could hold it
        largest = float(np.finfo(np.float32).max)
        known = pc.and_(known, pc.less(pc.abs(target.cast(pa.float64())), largest))
    return table.filter(known), joined.column("__at").filter(known)


def _stand_in(column: Column, joined: pa.Table) -> pa.Array:
    """What a live row has in place of a column that requests do not carry.

    A weight counts once. A moment is when the row was answered; an order in other numbers goes on
    behind all that the table had. A key or a group is the prediction's own id.
    """
    n_rows = joined.num_rows
    if column.role is Role.WEIGHT:
        return pa.array(np.ones(n_rows))
    if column.role is Role.TIME and column.kind is Kind.DATETIME:
        return joined.column("__at")
    if column.role is Role.TIME and column.kind in (Kind.NUMBER, Kind.INTEGER):
        return pa.array(np.arange(1, n_rows + 1) + np.ceil(column.maximum or 0.0))
    if column.role in (Role.KEY, Role.GROUP) and column.kind in _TEXTS:
        return joined.column("__id")
    return pa.nulls(n_rows, pa.string())


def _live(project: Project, settings: Settings, schema: Schema, registry: Registry) -> LiveRows:
    table, times = live_table(settings, project, schema)
    change = _change_index(registry, project.name, times)
    live = LiveRows(table, deal(table, schema), change)
    learnable, judges = live.part(LEARN).num_rows, live.judges.num_rows
    if learnable < MIN_WINDOW_ROWS or judges < MIN_JUDGES:
        raise DataError(
            f"a retrain needs {MIN_WINDOW_ROWS} labeled live rows to learn from and {MIN_JUDGES} "
            f"to judge it since the last change; of {table.num_rows} labeled rows there are "
            f"{learnable} and {judges}; send labels with `tenfold feedback`, or train on a newer "
            "table with `tenfold run`"
        )
    return live


def _choose(
    project: Project,
    snapshot: Snapshot,
    predictor: Predictor,
    live: LiveRows,
    where: Where,
    progress: Progress,
) -> tuple[Window, dict[str, float]]:
    manifest = predictor.manifest
    schema = manifest.schema
    rules = project.prepare
    base, _ = clean_table(
        _thinned(snapshot), schema, markers=rules.missing_markers, trim=rules.trim
    )
    windows = windows_of(base, live)
    lineage = manifest.lineage
    heaviest = Answer.from_lineage(lineage.family, lineage.params).parts[0]
    with progress.step("choosing the window", total=len(windows)):
        return choose_window(
            windows,
            live,
            question=make_question(
                project, schema, ordered=snapshot.ordered, positive=manifest.positive_class
            ),
            schema=schema,
            family=heaviest.family,
            params=heaviest.params,
            threads=REFIT_THREADS,
            making=Making(construct=project.train.construct_columns),
            placement=where.placement,
        )


def _thinned(snapshot: Snapshot) -> pa.Table:
    """The prepared training rows, thinned by row hash to what one process holds."""
    share = min(1.0, MAX_BASE_ROWS / max(snapshot.n_rows, 1))
    kept = []
    for block in snapshot.blocks():
        wanted = pc.not_equal(block.column(FOLD), -1)
        if share < 1.0:
            raw = b"".join(value[:8] for value in block.column(HASH).to_pylist())
            below = np.frombuffer(raw, dtype=">u8") < share * 2.0**64
            wanted = pc.and_(wanted, pa.array(below))
        kept.append(block.filter(wanted))
    return pa.concat_tables(kept).drop_columns([ROW, FOLD, HASH])


def _change_index(registry: Registry, project: str, times: pa.ChunkedArray) -> int:
    """Where the newest harm alarm saw the change begin, as an index of the live rows; 0 if none."""
    for entry in reversed(registry.state.journal.tail(project, 50, kind="alarm")):
        change_s = entry.body.get("change_s")
        if entry.body.get("channel") == "harm" and change_s is not None:
            moment = pa.scalar(datetime.fromtimestamp(change_s, UTC), times.type)
            return int(pc.sum(pc.less(times, moment)).as_py() or 0)
    return 0


def _compare(old: Predictor, new: Predictor, snapshot: Snapshot) -> PairedDifference:
    """Losses of both models on the sealed rows, all of which came live.

    A row that came again counts once: the interval takes rows for independent, and traffic that is
    repeated is not.
    """
    table = snapshot.table()
    sealed = table.filter(pc.equal(table.column(FOLD), -1))
    loss = Reference.from_bytes(old.files[REFERENCE_FILE]).loss
    target = old.schema.target
    if loss is None or target is None or sealed.num_rows == 0:
        return paired_difference([], [])
    first = first_of_equals(from_binary(sealed.column(HASH)))
    sealed = sealed.filter(pa.array(first == np.arange(sealed.num_rows)))
    truth = sealed.column(target.name).to_pylist()
    return paired_difference(
        *(loss.rule.losses(model.predict_table(sealed).values, truth) for model in (old, new))
    )


def _broken(settings: Settings, champion: Version) -> tuple[str, ...]:
    """Columns whose quality evidence a running monitor holds at its level; none where none runs."""
    path = status_file(settings)
    if running_keeper(settings) is None or not path.exists():
        return ()
    try:
        models = read_json(path)[champion.project]["monitor"]["models"]
        quality = models[str(champion.version)]["channels"]["quality"]
    except (StoreError, KeyError, TypeError):  # it has not told yet
        return ()
    return tuple(quality["named"]) if quality["active"] else ()


def _decide(
    project: Project,
    version: Version,
    compared: PairedDifference,
    *,
    gates_hold: bool,
    broken: tuple[str, ...],
) -> Decision:
    retrain = project.retrain
    rules = Rules(retrain.enabled, retrain.min_labels, retrain.cooldown_s)
    challenger = Challenger(
        version.version, gates_hold, compared.n_rows, compared.lower, compared.upper
    )
    return decide(Evidence(now_s=time.time(), broken=broken, challenger=challenger), rules)


def _obey(
    registry: Registry, project: str, champion: Version, version: Version, decision: Decision
) -> str:
    body = {**json.loads(json.dumps(decision.to_dict())), "champion": champion.version}
    if decision.action is Action.PROMOTE and version.version != champion.version:
        try:
            registry.promote(project, version.version, expected=champion.version)
        except RegistryConflict as conflict:
            registry.state.journal.append(project, "promote_refused", {"reason": str(conflict)})
        else:
            registry.state.journal.append(project, "promote", body)
            return CHAMPION
    if version.version != champion.version:
        registry.set_alias(project, CHALLENGER, version.version)
    registry.state.journal.append(project, "decision", body)
    return CHALLENGER


def _run_facts(packed: Packed, *, parent: Version, window: str) -> RunFacts:
    version = packed.version
    return RunFacts(
        project=version.project,
        version=version.version,
        params={"window": window},
        metrics={name: estimate.value for name, estimate in packed.metrics.items()},
        tags={"tenfold.digest": version.model_digest, "tenfold.parent": parent.model_digest},
        folder=version.path,
    )
