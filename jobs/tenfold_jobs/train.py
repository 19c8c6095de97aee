"""``tenfold train``: search, last fit, artifact, registry, promotion."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from tenfold.canonical import canonical_json, finite_or_none, sha256_hex
from tenfold.cluster import Plan, inventory_ray, make_plan
from tenfold.cluster.connect import keeper_address
from tenfold.data import RayData, Snapshot
from tenfold.errors import DataError
from tenfold.models import FAMILIES, Model
from tenfold.models.arrays import ArrayModel
from tenfold.models.clusters import KMEANS
from tenfold.progress import SILENT, Progress
from tenfold.project import Project
from tenfold.project.measures import Objective, Task
from tenfold.settings import Settings
from tenfold.tracking import RunFacts, Tracker, TrialLog
from tenfold.training.board import Tried
from tenfold.training.choosing import Choice
from tenfold.training.distributed import fit_distributed
from tenfold.training.ensemble import PREFERENCES, choose_answer
from tenfold.training.finish import Finished, finish
from tenfold.training.fitter import Fitter, LastFit
from tenfold.training.fitter import Plan as FitPlan
from tenfold.training.gate import leakage_gate
from tenfold.training.group import INGEST_ROWS
from tenfold.training.lloyd import move_centers
from tenfold.training.making import Making, fit_stages, is_due
from tenfold.training.placed import call_placed, fit_placed, plan_placed
from tenfold.training.question import Question, question_of, rarer_class, traits_of
from tenfold.training.rows import SEARCH_ROWS, TrainingRows, load_rows
from tenfold.training.search import Material, SearchResult
from tenfold_jobs.mirror import tell_mlflow
from tenfold_jobs.packing import Origin, Packed, pack
from tenfold_jobs.promotion import Promotion, promote_if_better
from tenfold_jobs.ray_rim import start_ray
from tenfold_jobs.searching import (
    ARTIFACT_S,
    limits_of,
    run_search,
    search_folder,
    search_key,
    too_small,
)
from tenfold_jobs.segmenting import choice_section, run_choice, segments_record
from tenfold_jobs.trials import trial_facts

__all__ = ["TrainRecord", "run_train"]

Found = SearchResult | Choice
"""What a search gives: a model for a target, or a number of segments."""
MEDIAN_SHARE = 0.5
"""Of a latency gate, for the median row: the slowest of a hundred takes about twice as long."""


@dataclass(frozen=True, slots=True)
class TrainRecord:
    """What a training made; `to_dict` is what ``--json`` prints.

    Attributes:
        project: name.
        version: number in the registry.
        digest: model digest.
        alias: ``champion`` if it was promoted, else None.
        reason: why it was promoted or not, in one sentence.
        metrics: name to value, lower, upper, on the sealed test rows; bounds may be None.
        gates: gate, value, holds.
        family: of the model.
        params: of the last fits.
        engine: that answers.
        answer: who answers, in words.
        choice: why, in words.
        front: what else could have answered, the fastest first: members, seeds, score, us_per_row,
            bytes, behind (standard errors of the difference from the best), picked; nulls where it
            was not fitted.
        blend_score: of a blend, with weights that have not seen the fold that they are judged on;
            None for a single configuration.
        report: path of the exploration report, or None.
        card: path of the model card.
        seconds: wall time.
        n_tried: configurations, the baseline included.
        segments: of a clustering: whether there are any, what marks each, and the choice of their
            number; None for other tasks.
    """

    project: str
    version: int
    digest: str
    alias: str | None
    reason: str
    metrics: dict[str, dict[str, float | None]]
    gates: list[dict[str, Any]]
    family: str
    params: dict[str, Any]
    engine: str
    answer: str
    choice: str
    front: list[dict[str, Any]]
    blend_score: float | None
    report: str | None
    card: str
    seconds: float
    n_tried: int
    segments: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class _Job:
    """A training under way: what every step needs."""

    project: Project
    settings: Settings
    snapshot: Snapshot
    question: Question
    plan: Plan
    rows: TrainingRows
    material: Material
    progress: Progress


def run_train(
    project: Project,
    settings: Settings,
    *,
    budget_s: float | None = None,
    progress: Progress = SILENT,
    quiet: bool = True,
) -> TrainRecord:
    """Train on the newest snapshot of a project and register the model.

    Args:
        project: what is asked; its ``train.trials`` (if set, and no budget is given here) makes the
            search repeatable, else wall time ends it.
        settings: where things live.
        budget_s: wall time of the whole training; overrides the project's.
        progress: is told of steps and findings.
        quiet: keep Ray's own chatter off the terminal.

    Raises:
        DataError: the project was not prepared, or prepared with another target.
        StoreError: the snapshot is damaged, or the store cannot be written.
        OurError: no configuration could be fitted.
    """
    began = time.monotonic()
    tracker = Tracker(settings)
    snapshot = _snapshot(project, settings, progress)
    with ExitStack() as until_published:
        with start_ray(settings, quiet=quiet):
            job = _job(project, settings, snapshot, progress=progress)
            notes = [*_notes(job), *_leakage(job)]
            seconds = _seconds(project, budget_s, began)
            key = search_key(project, snapshot, job.material, timed=seconds is not None)
            storage = until_published.enter_context(search_folder(settings, project.name, key))
            log = TrialLog(tracker, project.name, memory=storage / "mlflow-run")
            until_published.callback(log.close)
            found = _search(job, seconds, storage=storage, log=log)
            notes += _tell_best(job, found)
            with progress.step("last fit"):
                left_s = _left(project, budget_s, began)
                finished = _finish(job, found, left_s, last_fit=_last_fit(job, storage, notes))
        spent = time.monotonic() - began
        if finished.segments is not None:
            progress.say(finished.segments.structure.told())
        sections = choice_section(found)
        origin = Origin(snapshot, job.question, spent, found.tried, notes=notes, sections=sections)
        record = _publish(job, finished, origin, tracker=tracker, log=log, began=began)
        return replace(record, segments=segments_record(finished, found))


def _leakage(job: _Job) -> list[str]:
    """What seems to know the answer, told before anything is fitted; notes for the card."""
    snapshot, policy = job.snapshot, job.project.train.on_leakage
    found = leakage_gate(snapshot.schema, snapshot.profiles(), policy)
    for one in found:
        job.progress.say(f"leakage: {one.message}")
    return [f"Leakage: {one.message}." for one in found]


def _snapshot(project: Project, settings: Settings, progress: Progress) -> Snapshot:
    snapshot = Snapshot.latest(settings, project)
    target = None if snapshot.schema.target is None else snapshot.schema.target.name
    if target != project.target:
        raise DataError(
            f"the snapshot of {project.name!r} was prepared for target {target!r}, the project "
            f"asks for {project.target!r}; run tenfold prepare again"
        )
    with progress.step("checking the snapshot"):
        snapshot.verify()
    return snapshot


def _job(project: Project, settings: Settings, snapshot: Snapshot, *, progress: Progress) -> _Job:
    profiles = snapshot.profiles()
    positive = rarer_class(snapshot.schema, profiles)
    question = replace(
        question_of(project, snapshot, positive=positive),
        traits=traits_of(snapshot.schema, profiles),
    )
    plan = make_plan(
        project,
        inventory_ray(),
        n_rows=snapshot.n_rows,
        n_columns=len(snapshot.schema.features),
        size_bytes=sum(block["size_bytes"] for block in snapshot.manifest["blocks"]),
        local_bytes=settings.local_bytes,
        serves=False,
    )
    limit = SEARCH_ROWS if plan.mode == "ray-data" else None
    rows = load_rows(snapshot, question, max_rows=limit)
    material = _material(project, snapshot, question, rows.training, plan=plan, progress=progress)
    return _Job(project, settings, snapshot, question, plan, rows, material, progress)


def _material(
    project: Project,
    snapshot: Snapshot,
    question: Question,
    rows: TrainingRows,
    *,
    plan: Plan,
    progress: Progress,
) -> Material:
    """What the search and the last fit work on; columns are constructed and selected once, here."""
    profiles, schema, making = snapshot.profiles(), snapshot.schema, Making.of(project)
    plain = Material(
        rows, profiles, schema, question, plan.threads_per_trial, placement=plan.placement
    )
    if not is_due(schema, question, making):
        return plain
    with progress.step("columns"):
        side_by_side = 1 if plan.nodes else plan.trials_at_once
        fit = partial(
            fit_stages,
            profiles=profiles,
            schema=schema,
            question=question,
            making=making,
            threads=side_by_side * plan.threads_per_trial,
        )
        on_cpu = replace(plan.placement, gpus=0.0)
        stages = call_placed(fit, rows, placement=on_cpu, what="the choice of columns")
    return replace(plain, stages=stages)


def _seconds(project: Project, budget_s: float | None, began: float) -> float | None:
    """What is left of the budget, or None when only the number of trials counts."""
    if budget_s is None and project.train.trials is not None:
        return None
    budget = project.train.budget_s if budget_s is None else budget_s
    return budget - (time.monotonic() - began)


def _search(job: _Job, seconds: float | None, *, storage: Path, log: TrialLog) -> Found:
    limits = limits_of(
        job.project,
        job.plan,
        job.material,
        seconds=seconds,
        beside_serving=keeper_address(job.settings) is not None,
    )

    def mirror(tried: Tried) -> None:
        metric, journal = job.question.metric, storage / "journal"
        log.add(trial_facts(tried, metric=metric, journal=journal))

    if job.question.task is Task.CLUSTERING:
        return run_choice(job.material, limits, progress=job.progress, on_tried=mirror)
    found = run_search(
        job.material, limits, storage=storage, progress=job.progress, on_tried=mirror
    )
    for tried in found.tried:  # those that died, and those of an earlier run
        mirror(tried)
    return found


def _tell_best(job: _Job, found: Found) -> list[str]:
    """Say what won; a note where it is no model."""
    best, question = found.best, job.question
    job.progress.say(
        f"best of {len(found.tried)}: {best.config.family}, "
        f"{question.metric} {best.outcome.score:.4f} in cross-validation"
    )
    if best.config.family != "dummy" or not question.families or isinstance(found, Choice):
        return []
    note = too_small(found)
    job.progress.say(note)
    return [note]


def _left(project: Project, budget_s: float | None, began: float) -> Callable[[], float] | None:
    """The clock of the last fits; None where only the number of trials counts."""
    if budget_s is None and project.train.trials is not None:
        return None
    return lambda: (_seconds(project, budget_s, began) or 0.0) - ARTIFACT_S


def _finish(
    job: _Job, found: Found, left_s: Callable[[], float] | None, *, last_fit: LastFit
) -> Finished:
    """Choose who answers, and fit it on all training rows."""
    fitter = Fitter(job.material, last_fit=last_fit)
    chosen = choose_answer(
        job.material,
        found.best,
        found.tried,
        found.oof_of,
        fitter=fitter,
        left_s=left_s,
        single=_is_distributed(job, found.best.config.family),
        prefer=PREFERENCES[job.project.train.prefer],
        most_micros=_most_micros(job.project),
    )
    if chosen.pick is not None:
        job.progress.say(f"answers: {chosen.answer.words}, {chosen.reason}")
    return finish(
        job.material,
        job.rows.test,
        chosen.answer,
        oof=chosen.oof,
        block_rows=job.project.monitor.block_rows,
        fitter=fitter,
        chosen=chosen,
    )


def _most_micros(project: Project) -> float | None:
    """Microseconds a row that the project's latency gates leave to preparation and engine."""
    limits = [
        gate.threshold * 1000.0
        for gate in project.problem.gates
        if gate.metric.startswith("latency") and gate.op in ("<", "<=")
    ]
    return min(limits) * MEDIAN_SHARE if limits else None


def _last_fit(job: _Job, storage: Path, notes: list[str]) -> LastFit:
    """Where the plan says: in this process, in a task with a share of a GPU, or by Ray Train where
    it asks for workers and the family can.

    A group's checkpoints lie in the folder of the search: a training that was killed goes on from
    them, and what people should know of a group's fate joins the notes.
    """

    def tell(text: str) -> None:
        job.progress.say(text)
        notes.append(text)

    def fit(plan: FitPlan, rows: TrainingRows) -> Model:
        n_workers = job.plan.n_workers
        served = plan.prepared.served.to_dict()
        told = [plan.family, plan.params, plan.question.seed, served, n_workers]
        folder = storage / "fits" / sha256_hex(canonical_json(told))[:16]
        if not _is_distributed(job, plan.family):
            model = fit_placed(plan, rows, job.plan.placement)
            if job.plan.mode != "ray-data" or plan.family != KMEANS.name:
                return model
            return move_centers(
                cast(ArrayModel, model),
                plan,
                job.snapshot,
                driver=RayData(),
                folder=folder,
                tell=tell,
            )
        return fit_distributed(
            plan_placed(plan, job.plan.last_placement),
            job.snapshot,
            rows,
            n_workers=n_workers,
            placement=job.plan.last_placement,
            storage=folder,
            batch_rows=job.plan.batch_rows or INGEST_ROWS,
            external_memory=job.plan.external_memory,
            tell=tell,
        )

    return fit


def _is_distributed(job: _Job, family: str) -> bool:
    return job.plan.fit == "distributed" and FAMILIES[family].distributed


def _notes(job: _Job) -> list[str]:
    held, words = job.rows.n_rows, {1: "never falls", -1: "never rises"}
    notes = [
        f"The answer {words[direction]} as {column} grows and all else stays."
        for column, direction in job.question.monotone
    ]
    if job.question.objective is Objective.QUANTILE:
        notes.append(
            f"The answer is the quantile {job.question.quantile:g}: that share of rows lies below."
        )
    if job.question.objective is Objective.COUNT:
        notes.append("The answer is the mean of a count, fitted by Poisson's likelihood.")
    if held >= job.snapshot.n_rows:
        return notes
    return [
        *notes,
        f"Configurations were compared, and the test measures taken, on {held:,} of "
        f"{job.snapshot.n_rows:,} rows, chosen by row hash.",
    ]


def _publish(
    job: _Job,
    finished: Finished,
    origin: Origin,
    *,
    tracker: Tracker,
    log: TrialLog,
    began: float,
) -> TrainRecord:
    settings, project = job.settings, job.project
    with job.progress.step("artifact"):
        packed = pack(project, settings, finished, origin)
        promotion = promote_if_better(
            settings,
            packed,
            snapshot=job.snapshot,
            question=job.question,
            finished=finished,
            test=job.rows.test,
        )
    job.progress.say(f"version {packed.version.version}: {promotion.reason}")
    record = _record(job, finished, packed, promotion, origin=origin, began=began)
    left_out = log.close()
    if left_out is not None:
        job.progress.say(f"MLflow was not told of every trial ({left_out})")
    facts = replace(_run_facts(record, packed, origin), run_id=log.run_id)
    tell_mlflow(project.name, settings, run=facts, tracker=tracker, progress=job.progress)
    return record


def _record(
    job: _Job,
    finished: Finished,
    packed: Packed,
    promotion: Promotion,
    *,
    origin: Origin,
    began: float,
) -> TrainRecord:
    report = job.settings.reports / job.project.name / "report.html"
    return TrainRecord(
        project=job.project.name,
        version=packed.version.version,
        digest=packed.version.model_digest,
        alias=promotion.alias,
        reason=promotion.reason,
        metrics={name: estimate.to_dict() for name, estimate in packed.metrics.items()},
        gates=[gate.to_dict() for gate in packed.gates],
        family=finished.family,
        params=finished.params,
        engine=finished.engine.name,
        answer=finished.answer.words,
        choice="" if finished.chosen is None else finished.chosen.reason,
        front=[] if finished.chosen is None else finished.chosen.front_dicts(),
        blend_score=None if finished.chosen is None else finite_or_none(finished.chosen.nested),
        report=str(report) if report.exists() else None,
        card=str(packed.version.path / "card.html"),
        seconds=time.monotonic() - began,
        n_tried=len(origin.tried),
    )


def _run_facts(record: TrainRecord, packed: Packed, origin: Origin) -> RunFacts:
    return RunFacts(
        project=record.project,
        version=record.version,
        params={
            "family": record.family,
            "engine": record.engine,
            "answer": record.answer,
            **{k: v for k, v in record.params.items() if not isinstance(v, list)},
        },
        metrics={name: e.value for name, e in packed.metrics.items()},
        tags={
            "tenfold.digest": record.digest,
            "tenfold.snapshot": origin.snapshot.digest,
            "tenfold.parent": origin.parent or "",
        },
        folder=packed.version.path,
    )
